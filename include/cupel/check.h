/*
 * Checking data: what a file or a folder holds, and everything that is wrong with it, as lines.
 * Nothing is changed.
 */
#ifndef CUPEL_CHECK_H
#define CUPEL_CHECK_H

#include <cupel/status.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CUPEL_CHECK_SENTENCE_SIZE = 768 };

/* Called once for each finding, in the order of names; damage: something is wrong. */
typedef void (*cupel_check_line)(void *user, bool damage, const char *line);

/* Reads IDX files (plain or gzip) and PNG files whole; folders with all they hold, up to four
 * levels deep: what has the name or the first bytes of such a file, and web pages in its place.
 * Images and archives of other kinds are told as passed over; texts are not told. In a folder,
 * images and labels that belong together must have the same number; the files of a folder named
 * like a known set (download.h) are compared with the published ones, where a difference alone is
 * no damage. BAD_DATA: damage was told, or there are no images at all. IO and OUT_OF_MEMORY:
 * `sentence` says why. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_check(const char *path, cupel_check_line line,
                                                 void *user,
                                                 char sentence[CUPEL_CHECK_SENTENCE_SIZE]);

#ifdef __cplusplus
}
#endif
#endif
