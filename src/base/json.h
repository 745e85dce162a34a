/*
 * JSON, read by pulling and written by appending. The reader builds no tree and asks for no memory
 * but the one buffer a string is decoded into, so an untrusted text of any size costs nothing
 * beyond itself; it is strict (RFC 8259: UTF-8 only, no trailing commas, no lone surrogates, no NUL
 * in strings) and knows the place of a mistake. The caller walks the structure it expects:
 *
 *   json_expect(r, '{'), then while json_more(r, '}', &more) says so: json_key(r, &key), a value
 *   json_expect(r, '['), then while json_more(r, ']', &more) says so: a value
 *   json_finish(r): nothing but white space follows
 * Test: tests/test_json.c
 */
#ifndef CUPEL_BASE_JSON_H
#define CUPEL_BASE_JSON_H

#include "base/error.h"

struct json_reader {
    const char *start, *at, *end;
    const char *name;          /* of the text, for messages */
    struct cupel_error *error; /* receives BAD_DATA "<name>: byte 17: ..." or OUT_OF_MEMORY */
    bool first;                /* just behind an opening bracket */
};

/* A growing buffer; zeroed at first, released with json_text_release(). Always 0-terminated. */
struct json_text {
    char *bytes;
    size_t length, capacity;
};
void json_text_release(struct json_text *text);

void json_begin(struct json_reader *reader, const char *bytes, size_t size, const char *name,
                struct cupel_error *error);
/* The next character after white space, 0 at the end; nothing is consumed. */
char json_peek(struct json_reader *reader);
cupel_status json_expect(struct json_reader *reader, char c);
/* *out: whether another member follows (its comma is consumed); false when `close` was consumed. */
cupel_status json_more(struct json_reader *reader, char close, bool *out);
/* A string, decoded; json_key() also consumes the colon. */
cupel_status json_string(struct json_reader *reader, struct json_text *out);
cupel_status json_key(struct json_reader *reader, struct json_text *out);
/* A number without fraction and exponent that fits. */
cupel_status json_i64(struct json_reader *reader, int64_t *out);
/* Any number that is finite as a double. */
cupel_status json_f64(struct json_reader *reader, double *out);
cupel_status json_bool(struct json_reader *reader, bool *out);
/* Passes over any value, nested at most 64 deep. */
cupel_status json_skip(struct json_reader *reader);
cupel_status json_finish(struct json_reader *reader);
/* Fails with BAD_DATA at the place the reader is at. */
cupel_status json_fail(const struct json_reader *reader, const char *format, ...)
    CUPEL_PRINTF(2, 3);

/* Appends text as it is, or quoted and escaped; false when memory is refused. Numbers: append what
 * base/number.h prints (NaN and infinities have no JSON form: append null). */
bool json_append(struct json_text *text, const char *raw);
bool json_append_quoted(struct json_text *text, const char *string);
bool json_append_i64(struct json_text *text, int64_t value);

#endif
