/*
 * Numbers as text, the same in every locale: strict parsing of whole strings, shortest printing
 * that reads back to the same value. The only file that calls strtod or prints floating point.
 * Test: tests/test_number.c
 */
#ifndef CUPEL_BASE_NUMBER_H
#define CUPEL_BASE_NUMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The whole string must be the number (no spaces, no trailing text, no hex, no inf or nan). */
bool number_parse_f64(const char *text, double *out);
/* Decimal digits, with "-" in front of a negative i64; a leading 0 only for "0" itself. */
bool number_parse_i64(const char *text, int64_t *out);
bool number_parse_u64(const char *text, uint64_t *out);

enum { NUMBER_TEXT_SIZE = 40 };
/* Shortest decimal that reads back exactly ("0.1", "1e-05", "nan", "inf"); returns `buffer`. */
char *number_format_f64(char buffer[NUMBER_TEXT_SIZE], double value);
/* Shortest decimal that reads back to the same float. */
char *number_format_f32(char buffer[NUMBER_TEXT_SIZE], float value);
/* Fixed number of decimals ("21.86"). */
char *number_format_fixed(char buffer[NUMBER_TEXT_SIZE], double value, int decimals);

#endif
