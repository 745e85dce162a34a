/*
 * Files written whole or not at all, as cupel writes its own: beside the target first, then renamed
 * over it. Symbolic links are followed; devices and pipes are written straight. And where a path
 * leads.
 */
#ifndef CUPEL_FILE_H
#define CUPEL_FILE_H

#include <stdbool.h>

#include <cupel/status.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CUPEL_FILE_SENTENCE_SIZE = 768 };

/* IO, and the sentence says why, or OUT_OF_MEMORY; what was there before is then left alone. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_file_write(const char *path, const void *bytes,
                                                      size_t size,
                                                      char sentence[CUPEL_FILE_SENTENCE_SIZE]);

/* What to do about a failure of a file, from its errno: "; check the path", to be put behind the
 * reason; "" where nobody knows. */
CUPEL_API const char *cupel_file_advice(int number);
/* The path without links and dots. It need not exist: what lacks is taken as folders that will be
 * made, so that new/../x is x. false when it is too long. */
enum { CUPEL_FILE_PATH_SIZE = 4096 };
CUPEL_API bool cupel_file_resolve(const char *path, char out[CUPEL_FILE_PATH_SIZE]);

#ifdef __cplusplus
}
#endif
#endif
