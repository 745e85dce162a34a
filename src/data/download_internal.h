/*
 * Fetching a set of any description, for tests that publish small ones themselves.
 * Test: tests/test_download.c
 */
#ifndef CUPEL_DATA_DOWNLOAD_INTERNAL_H
#define CUPEL_DATA_DOWNLOAD_INTERNAL_H

#include "cupel/download.h"
#include "data/published.h"

/* cupel_download_fetch() of a set that is given; NULL: none is called `name`. */
cupel_status download_fetch_set(cupel_download **out, const struct published_set *set,
                                const char *name, const cupel_download_options *options);

#endif
