/*
 * Numbers as text under the C locale, whatever setlocale() the program called. Parsing checks the
 * grammar itself and leaves the value to strtod; printing takes the fewest digits that read back
 * and places the point by the rule of Python (exponents from 1e16 and below 1e-4).
 * Test: tests/test_number.c
 */
#define _GNU_SOURCE
#include "base/number.h"

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The C library keeps one object for the C locale: asking again allocates nothing. */
static locale_t c_locale(void) {
    return newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static const char *skip_digits(const char *text) {
    while (is_digit(*text))
        text++;
    return text;
}

/* [+-] (digits [. [digits]] | . digits) [(e|E) [+-] digits] and nothing else. */
static bool is_decimal(const char *text) {
    if (*text == '+' || *text == '-')
        text++;
    const char *whole_end = skip_digits(text);
    size_t digits = (size_t)(whole_end - text);
    text = whole_end;
    if (*text == '.') {
        const char *fraction_end = skip_digits(text + 1);
        digits += (size_t)(fraction_end - (text + 1));
        text = fraction_end;
    }
    if (digits == 0)
        return false;
    if (*text == 'e' || *text == 'E') {
        text++;
        if (*text == '+' || *text == '-')
            text++;
        const char *exponent_end = skip_digits(text);
        if (exponent_end == text)
            return false;
        text = exponent_end;
    }
    return *text == '\0';
}

bool number_parse_f64(const char *text, double *out) {
    if (!is_decimal(text))
        return false;
    const double value = strtod_l(text, NULL, c_locale());
    if (!isfinite(value)) /* too large for a double */
        return false;
    *out = value;
    return true;
}

/* Digits without a leading 0, at most `most`. */
static bool parse_digits(const char *text, uint64_t most, uint64_t *out) {
    if (!is_digit(text[0]) || (text[0] == '0' && text[1] != '\0'))
        return false;
    uint64_t value = 0;
    for (; is_digit(*text); text++) {
        const uint64_t digit = (uint64_t)(*text - '0');
        if (value > (most - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (*text != '\0')
        return false;
    *out = value;
    return true;
}

bool number_parse_u64(const char *text, uint64_t *out) {
    return parse_digits(text, UINT64_MAX, out);
}

bool number_parse_i64(const char *text, int64_t *out) {
    uint64_t magnitude = 0;
    if (text[0] == '-') {
        if (text[1] == '0' || !parse_digits(text + 1, (uint64_t)INT64_MAX + 1, &magnitude))
            return false;
        *out = -(int64_t)(magnitude - 1) - 1;
        return true;
    }
    if (!parse_digits(text, INT64_MAX, &magnitude))
        return false;
    *out = (int64_t)magnitude;
    return true;
}

struct decimal {
    bool negative;
    int exponent;    /* of ten, of the first digit */
    int count;       /* digits */
    char digits[20]; /* not terminated */
};

/* The value rounded to `count` significant digits; the text is "[-]d.ddde[+-]dd". */
static void to_decimal(double value, int count, struct decimal *out, char text[NUMBER_TEXT_SIZE]) {
    const locale_t callers = uselocale(c_locale());
    snprintf(text, NUMBER_TEXT_SIZE, "%.*e", count - 1, value);
    uselocale(callers);

    const char *at = text;
    out->negative = *at == '-';
    at += out->negative;
    out->count = 0;
    for (; *at != '\0' && *at != 'e'; at++)
        if (is_digit(*at))
            out->digits[out->count++] = *at;
    const bool small = at[1] == '-';
    int exponent = 0;
    for (at += 2; is_digit(*at); at++)
        exponent = exponent * 10 + (*at - '0');
    out->exponent = small ? -exponent : exponent;
}

static bool reads_back(double value, bool single, int count, struct decimal *out) {
    char text[NUMBER_TEXT_SIZE];
    to_decimal(value, count, out, text);
    if (single)
        return strtof_l(text, NULL, c_locale()) == (float)value;
    return strtod_l(text, NULL, c_locale()) == value;
}

static void shortest(double value, bool single, struct decimal *out) {
    /* Any float survives 9 digits and any double 17; most short ones are found from below. Numbers
     * with a full mantissa start near the top. */
    const int most = single ? 9 : 17;
    const int sure = single ? 6 : 15; /* digits that any decimal keeps */
    int count = reads_back(value, single, sure, out) ? 1 : sure + 1;
    while (!reads_back(value, single, count, out) && count < most)
        count++;
}

/* Writes the digits with a point or an exponent; never more than 26 characters. */
static void write_decimal(char *to, const struct decimal *decimal) {
    if (decimal->negative)
        *to++ = '-';
    int exponent = decimal->exponent;
    if (exponent < -4 || exponent >= 16) {
        *to++ = decimal->digits[0];
        if (decimal->count > 1)
            *to++ = '.';
        for (int i = 1; i < decimal->count; i++)
            *to++ = decimal->digits[i];
        *to++ = 'e';
        *to++ = exponent < 0 ? '-' : '+';
        exponent = exponent < 0 ? -exponent : exponent;
        if (exponent >= 100)
            *to++ = (char)('0' + exponent / 100);
        *to++ = (char)('0' + exponent / 10 % 10);
        *to++ = (char)('0' + exponent % 10);
        *to = '\0';
        return;
    }
    if (exponent < 0) {
        *to++ = '0';
        *to++ = '.';
        for (int i = -1; i > exponent; i--)
            *to++ = '0';
    }
    for (int i = 0; i < decimal->count || i <= exponent; i++) {
        if (i > 0 && i == exponent + 1)
            *to++ = '.';
        *to++ = i < decimal->count ? decimal->digits[i] : '0';
    }
    *to = '\0';
}

/* NaN and the infinities; false for every other value. */
static bool format_special(char buffer[NUMBER_TEXT_SIZE], double value) {
    if (isfinite(value))
        return false;
    snprintf(buffer, NUMBER_TEXT_SIZE, "%s", isnan(value) ? "nan" : value < 0 ? "-inf" : "inf");
    return true;
}

static char *format_shortest(char buffer[NUMBER_TEXT_SIZE], double value, bool single) {
    if (!format_special(buffer, value)) {
        struct decimal decimal;
        shortest(value, single, &decimal);
        write_decimal(buffer, &decimal);
    }
    return buffer;
}

char *number_format_f64(char buffer[NUMBER_TEXT_SIZE], double value) {
    return format_shortest(buffer, value, false);
}

char *number_format_f32(char buffer[NUMBER_TEXT_SIZE], float value) {
    return format_shortest(buffer, (double)value, true);
}

char *number_format_fixed(char buffer[NUMBER_TEXT_SIZE], double value, int decimals) {
    if (format_special(buffer, value))
        return buffer;
    const int places = decimals < 0 ? 0 : decimals > 17 ? 17 : decimals;
    const locale_t callers = uselocale(c_locale());
    const int length = snprintf(buffer, NUMBER_TEXT_SIZE, "%.*f", places, value);
    uselocale(callers);
    if (length < 0 || length >= NUMBER_TEXT_SIZE) /* too large to write out */
        return number_format_f64(buffer, value);
    if (buffer[0] == '-' && strspn(buffer + 1, "0.") == (size_t)length - 1) /* "-0.00" */
        memmove(buffer, buffer + 1, (size_t)length);
    return buffer;
}
