/*
 * Numbers as text, the same in every locale: what cupel's own files and tables are written with.
 */
#ifndef CUPEL_NUMBER_H
#define CUPEL_NUMBER_H

#include <cupel/status.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { CUPEL_NUMBER_TEXT_SIZE = 40 };

/* Fewest digits that read back to the same value ("0.1", "1e-05", "nan", "inf"); returns buffer. */
CUPEL_API char *cupel_number_format(char buffer[CUPEL_NUMBER_TEXT_SIZE], double value);
/* A fixed number of decimals ("21.86"). */
CUPEL_API char *cupel_number_format_fixed(char buffer[CUPEL_NUMBER_TEXT_SIZE], double value,
                                          int decimals);
/* The whole string must be the number; false otherwise, and *out is left alone. */
CUPEL_API bool cupel_number_parse(const char *text, double *out);
CUPEL_API bool cupel_number_parse_whole(const char *text, int64_t *out);

#ifdef __cplusplus
}
#endif
#endif
