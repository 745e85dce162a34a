/*
 * Download: fetches a published data set into a folder, from its public address, a mirror, or a
 * folder that has the files already. Every file is compared with the SHA-256 of the published one
 * before it appears under its name; what an interrupted fetch left is gone on with.
 *
 *   1. cupel_download_fetch()
 *   2. cupel_download_folder(), _fetched()
 *   3. cupel_download_destroy()
 *
 * libcurl is loaded at the first fetch from an address; from folders none is needed.
 */
#ifndef CUPEL_DOWNLOAD_H
#define CUPEL_DOWNLOAD_H

#include <cupel/status.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cupel_download cupel_download;

/* Bytes of a file so far. Returning false stops the fetch: INTERRUPTED, and what is there is kept
 * for the next one. */
typedef bool (*cupel_download_progress)(void *user, const char *file, uint64_t got, uint64_t total);

/* Right when zeroed. */
typedef struct cupel_download_options {
    /* A folder that holds the files (or a folder SET with them), or the address of one
     * (http://, https://, file://); NULL: the public addresses of the set. */
    const char *from;
    /* Below it the folder SET is made; NULL: $CUPEL_DATA, else the user's cache. */
    const char *to;
    cupel_download_progress progress;
    void *user;
} cupel_download_options;

/* Names of the sets that are known; NULL past the end. */
CUPEL_API const char *cupel_download_name(size_t index);

/* INVALID_ARGUMENT: no such set. IO: network, files, no folder to write to. BAD_DATA: a file is not
 * the published one (a web page instead of data is recognised). BUSY: another process fetches into
 * the folder. UNSUPPORTED: libcurl is not there. On failure *out only carries the sentence, or is
 * NULL. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_download_fetch(cupel_download **out, const char *set,
                                                          const cupel_download_options *options);
CUPEL_API void cupel_download_destroy(cupel_download *download);
CUPEL_API const char *cupel_download_error(const cupel_download *download);
/* Where the files are. */
CUPEL_API const char *cupel_download_folder(const cupel_download *download);
/* How many files were fetched; the others were there already. */
CUPEL_API int cupel_download_fetched(const cupel_download *download);

#ifdef __cplusplus
}
#endif
#endif
