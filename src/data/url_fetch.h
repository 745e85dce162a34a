/*
 * One file from an address (http, https, file), appended to what is there already.
 * Test: tests/test_download.c
 */
#ifndef CUPEL_DATA_URL_FETCH_H
#define CUPEL_DATA_URL_FETCH_H

#include "base/error.h"
#include "base/file.h"

struct url_fetch {
    const char *url;
    uint64_t size; /* of the whole file; a byte more ends the fetch, without an error */
    bool (*progress)(void *user, uint64_t got); /* false: stop; may be NULL */
    void *user;
};

/* Goes on behind writer->written; from the start where the server cannot. IO, with what the server
 * or the network said; INTERRUPTED; UNSUPPORTED without libcurl. */
cupel_status url_fetch(const struct url_fetch *fetch, struct file_writer *writer,
                       struct cupel_error *error);

#endif
