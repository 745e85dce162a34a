/*
 * The public face of number.h, for programs outside that print as cupel does.
 * Test: tests/test_number.c
 */
#include "base/number.h"
#include "cupel/number.h"

char *cupel_number_format(char buffer[CUPEL_NUMBER_TEXT_SIZE], double value) {
    return number_format_f64(buffer, value);
}

char *cupel_number_format_fixed(char buffer[CUPEL_NUMBER_TEXT_SIZE], double value, int decimals) {
    return number_format_fixed(buffer, value, decimals);
}

bool cupel_number_parse(const char *text, double *out) {
    return number_parse_f64(text, out);
}

bool cupel_number_parse_whole(const char *text, int64_t *out) {
    return number_parse_i64(text, out);
}
