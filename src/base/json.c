/*
 * The JSON reader and writer: a cursor over a text in memory, and a growing buffer.
 * Test: tests/test_json.c
 */
#include "base/json.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "base/number.h"
#include "base/utf8.h"

/* ---- the growing buffer ---------------------------------------------------------------------- */

void json_text_release(struct json_text *text) {
    cupel_free(text->bytes);
    *text = (struct json_text){0};
}

static bool append_bytes(struct json_text *text, const char *bytes, size_t count) {
    if (count > SIZE_MAX - text->length - 1 ||
        !cupel_grow(&text->bytes, &text->capacity, text->length + count + 1, 1))
        return false;
    memcpy(text->bytes + text->length, bytes, count);
    text->length += count;
    text->bytes[text->length] = '\0';
    return true;
}

bool json_append(struct json_text *text, const char *raw) {
    return append_bytes(text, raw, strlen(raw));
}

bool json_append_i64(struct json_text *text, int64_t value) {
    char digits[24];
    snprintf(digits, sizeof digits, "%lld", (long long)value);
    return json_append(text, digits);
}

/* Characters that JSON takes as they are but YAML does not: DEL, the second block of control
 * characters, the byte order mark, and the two that are none. 0 for others. */
static unsigned unprintable(const unsigned char *at, size_t *length) {
    *length = 1;
    if (at[0] == 0x7f)
        return 0x7f;
    *length = 2;
    if (at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xa0)
        return at[1];
    *length = 3;
    if (at[0] == 0xef && at[1] == 0xbb && at[2] == 0xbf)
        return 0xfeff;
    if (at[0] == 0xef && at[1] == 0xbf && at[2] >= 0xbe)
        return 0xff00U + at[2] + 0x40U;
    return 0;
}

bool json_append_quoted(struct json_text *text, const char *string) {
    if (!append_bytes(text, "\"", 1))
        return false;
    for (const char *at = string; *at != '\0'; at++) {
        static const char named[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
        const char *const found = strchr(named, *at);
        char escaped[8] = {*at};
        size_t length;
        const unsigned code = unprintable((const unsigned char *)at, &length);
        if (code != 0) {
            snprintf(escaped, sizeof escaped, "\\u%04x", code);
            at += length - 1;
        } else if (found)
            snprintf(escaped, sizeof escaped, "\\%c", letters[found - named]);
        else if ((unsigned char)*at < 0x20)
            snprintf(escaped, sizeof escaped, "\\u%04x", (unsigned)*at);
        if (!json_append(text, escaped))
            return false;
    }
    return append_bytes(text, "\"", 1);
}

/* ---- the reader ------------------------------------------------------------------------------ */

void json_begin(struct json_reader *reader, const char *bytes, size_t size, const char *name,
                struct cupel_error *error) {
    *reader = (struct json_reader){bytes, bytes, bytes + size, name, error, false};
}

cupel_status json_fail(const struct json_reader *reader, const char *format, ...) {
    struct cupel_error detail;
    va_list args;
    va_start(args, format);
    cupel_vfail(&detail, CUPEL_STATUS_BAD_DATA, format, args);
    va_end(args);
    return cupel_fail(reader->error, CUPEL_STATUS_BAD_DATA, "%s: JSON, byte %zu: %s", reader->name,
                      (size_t)(reader->at - reader->start), detail.text);
}

char json_peek(struct json_reader *reader) {
    while (reader->at < reader->end && (*reader->at == ' ' || *reader->at == '\n' ||
                                        *reader->at == '\r' || *reader->at == '\t'))
        reader->at++;
    return reader->at < reader->end ? *reader->at : '\0';
}

cupel_status json_expect(struct json_reader *reader, char c) {
    if (json_peek(reader) != c)
        return json_fail(reader,
                         reader->at == reader->end ? "the text ends where '%c' must stand"
                                                   : "'%c' must stand here",
                         c);
    reader->at++;
    reader->first = c == '{' || c == '[';
    return CUPEL_STATUS_OK;
}

cupel_status json_more(struct json_reader *reader, char close, bool *out) {
    const bool first = reader->first;
    reader->first = false;
    const char next = json_peek(reader);
    *out = next != close;
    if (next == close) {
        reader->at++;
        return CUPEL_STATUS_OK;
    }
    return first ? CUPEL_STATUS_OK : json_expect(reader, ',');
}

static bool read_hex4(struct json_reader *reader, uint32_t *out) {
    *out = 0;
    if (reader->end - reader->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        const char c = *reader->at++;
        const uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                               : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                               : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                      : 16;
        if (digit > 15)
            return false;
        *out = *out << 4 | digit;
    }
    return true;
}

static size_t encode_utf8(uint32_t point, char out[4]) {
    if (point < 0x80) {
        out[0] = (char)point;
        return 1;
    }
    const size_t more = point < 0x800 ? 1 : point < 0x10000 ? 2 : 3;
    static const uint32_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    for (size_t i = more; i > 0; i--, point >>= 6)
        out[i] = (char)(0x80 | (point & 0x3f));
    out[0] = (char)(lead[more] | point);
    return more + 1;
}

/* Behind a backslash; the decoded bytes go to out. */
static cupel_status read_escape(struct json_reader *reader, char out[4], size_t *count) {
    static const char letters[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    if (reader->at == reader->end)
        return json_fail(reader, "the text ends inside a string");
    const char c = *reader->at++;
    const char *const found = c != '\0' ? strchr(letters, c) : NULL;
    if (found) {
        out[0] = values[found - letters];
        *count = 1;
        return CUPEL_STATUS_OK;
    }
    uint32_t point, low;
    if (c != 'u' || !read_hex4(reader, &point))
        return json_fail(reader, "an unknown escape in a string");
    if (point == 0)
        return json_fail(reader, "a NUL character in a string");
    if (point >= 0xd800 && point <= 0xdfff) {
        if (point >= 0xdc00 || reader->end - reader->at < 2 || reader->at[0] != '\\' ||
            reader->at[1] != 'u')
            return json_fail(reader, "half of a surrogate pair in a string");
        reader->at += 2;
        if (!read_hex4(reader, &low) || low < 0xdc00 || low > 0xdfff)
            return json_fail(reader, "half of a surrogate pair in a string");
        point = 0x10000 + ((point - 0xd800) << 10 | (low - 0xdc00));
    }
    *count = encode_utf8(point, out);
    return CUPEL_STATUS_OK;
}

cupel_status json_string(struct json_reader *reader, struct json_text *out) {
    CUPEL_TRY(json_expect(reader, '"'));
    out->length = 0;
    bool fine = append_bytes(out, "", 0);
    while (fine) {
        if (reader->at == reader->end)
            return json_fail(reader, "the text ends inside a string");
        const char *const from = reader->at;
        if (*from == '"') {
            reader->at++;
            return CUPEL_STATUS_OK;
        }
        if (*from == '\\') {
            char decoded[4];
            size_t count = 0;
            reader->at++;
            CUPEL_TRY(read_escape(reader, decoded, &count));
            fine = append_bytes(out, decoded, count);
            continue;
        }
        if ((unsigned char)*from < 0x20)
            return json_fail(reader, "a control character in a string");
        const size_t length = utf8_length(from, reader->end);
        if (length == 0)
            return json_fail(reader, "a string is not UTF-8");
        reader->at += length;
        fine = append_bytes(out, from, length);
    }
    return cupel_fail_memory(reader->error, reader->name, out->length + 1);
}

cupel_status json_key(struct json_reader *reader, struct json_text *out) {
    CUPEL_TRY(json_string(reader, out));
    return json_expect(reader, ':');
}

/* Copies the characters of a number; its grammar is checked here, its value by base/number. */
static cupel_status read_number(struct json_reader *reader, char text[64]) {
    json_peek(reader);
    size_t length = 0;
    while (reader->at + length < reader->end && length < 63 && reader->at[length] != '\0' &&
           strchr("+-.0123456789eE", reader->at[length]))
        length++;
    memcpy(text, reader->at, length);
    text[length] = '\0';
    const char *at = text + (*text == '-');
    const bool leading_zero = at[0] == '0' && at[1] >= '0' && at[1] <= '9';
    const char *const point = strchr(text, '.');
    const bool bare_point = point && !(point[1] >= '0' && point[1] <= '9');
    if (length == 0 || length == 63 || !(*at >= '0' && *at <= '9') || leading_zero || bare_point)
        return json_fail(reader, "a number must stand here");
    reader->at += length;
    reader->first = false;
    return CUPEL_STATUS_OK;
}

cupel_status json_i64(struct json_reader *reader, int64_t *out) {
    char text[64];
    CUPEL_TRY(read_number(reader, text));
    if (strcmp(text, "-0") == 0)
        *out = 0;
    else if (!number_parse_i64(text, out))
        return json_fail(reader, "%s is not a whole number of 64 bits", text);
    return CUPEL_STATUS_OK;
}

cupel_status json_f64(struct json_reader *reader, double *out) {
    char text[64];
    CUPEL_TRY(read_number(reader, text));
    if (!number_parse_f64(text, out))
        return json_fail(reader, "%s is not a finite number", text);
    return CUPEL_STATUS_OK;
}

static bool take_word(struct json_reader *reader, const char *word) {
    const size_t length = strlen(word);
    json_peek(reader);
    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0)
        return false;
    reader->at += length;
    reader->first = false;
    return true;
}

cupel_status json_bool(struct json_reader *reader, bool *out) {
    *out = take_word(reader, "true");
    if (!*out && !take_word(reader, "false"))
        return json_fail(reader, "true or false must stand here");
    return CUPEL_STATUS_OK;
}

static cupel_status skip_value(struct json_reader *reader, struct json_text *text, int depth) {
    enum { MAX_DEPTH = 64 };
    const char next = json_peek(reader);
    if (next == '"')
        return json_string(reader, text);
    if (next == '{' || next == '[') {
        const char close = next == '{' ? '}' : ']';
        bool more;
        if (depth == MAX_DEPTH)
            return json_fail(reader, "values are nested deeper than %d", MAX_DEPTH);
        CUPEL_TRY(json_expect(reader, next));
        for (;;) {
            CUPEL_TRY(json_more(reader, close, &more));
            if (!more)
                return CUPEL_STATUS_OK;
            if (next == '{')
                CUPEL_TRY(json_key(reader, text));
            CUPEL_TRY(skip_value(reader, text, depth + 1));
        }
    }
    if (take_word(reader, "true") || take_word(reader, "false") || take_word(reader, "null"))
        return CUPEL_STATUS_OK;
    double number;
    return json_f64(reader, &number);
}

cupel_status json_skip(struct json_reader *reader) {
    struct json_text text = {0};
    const cupel_status status = skip_value(reader, &text, 0);
    json_text_release(&text);
    return status;
}

cupel_status json_finish(struct json_reader *reader) {
    json_peek(reader);
    if (reader->at != reader->end)
        return json_fail(reader, "something follows the end");
    return CUPEL_STATUS_OK;
}
