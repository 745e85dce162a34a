/*
 * The JSON reader (src/base/json.c). A text is passed over as a whole and then pulled apart value
 * by value: both must agree on whether it is JSON. Every string comes back when it is written and
 * read.
 */
#include "fuzz_target.h"

#include "base/json.h"

static cupel_status pull(struct json_reader *reader);

static cupel_status pull_string(struct json_reader *reader, bool key) {
    struct json_text text = {0}, quoted = {0}, again = {0};
    const cupel_status status = key ? json_key(reader, &text) : json_string(reader, &text);
    if (status == CUPEL_STATUS_OK) {
        struct cupel_error error = {0};
        struct json_reader copy;
        FUZZ_REQUIRE(strlen(text.bytes) == text.length);
        FUZZ_REQUIRE(json_append_quoted(&quoted, text.bytes));
        json_begin(&copy, quoted.bytes, quoted.length, "copy", &error);
        FUZZ_REQUIRE(json_string(&copy, &again) == CUPEL_STATUS_OK);
        FUZZ_REQUIRE(json_finish(&copy) == CUPEL_STATUS_OK);
        FUZZ_REQUIRE(strcmp(text.bytes, again.bytes) == 0);
    }
    json_text_release(&text);
    json_text_release(&quoted);
    json_text_release(&again);
    return status;
}

static cupel_status pull_members(struct json_reader *reader, char open, char close) {
    CUPEL_TRY(json_expect(reader, open));
    for (;;) {
        bool more;
        CUPEL_TRY(json_more(reader, close, &more));
        if (!more)
            return CUPEL_STATUS_OK;
        if (open == '{')
            CUPEL_TRY(pull_string(reader, true));
        CUPEL_TRY(pull(reader));
    }
}

/* Whole numbers are read as such where they are. */
static cupel_status pull_number(struct json_reader *reader) {
    struct json_reader before = *reader;
    int64_t whole;
    double real;
    if (json_i64(reader, &whole) == CUPEL_STATUS_OK) {
        FUZZ_REQUIRE(json_f64(&before, &real) == CUPEL_STATUS_OK);
        FUZZ_REQUIRE(real == (double)whole);
        return CUPEL_STATUS_OK;
    }
    *reader = before;
    return json_f64(reader, &real);
}

static cupel_status pull(struct json_reader *reader) {
    bool flag;
    switch (json_peek(reader)) {
    case '{': return pull_members(reader, '{', '}');
    case '[': return pull_members(reader, '[', ']');
    case '"': return pull_string(reader, false);
    case 't':
    case 'f': return json_bool(reader, &flag);
    case 'n': return json_skip(reader); /* null has no value to pull */
    default: return pull_number(reader);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct cupel_error error = {0};
    struct json_reader reader;
    json_begin(&reader, (const char *)bytes, size, "input", &error);
    cupel_status skipped = json_skip(&reader);
    if (skipped == CUPEL_STATUS_OK)
        skipped = json_finish(&reader);
    if (skipped != CUPEL_STATUS_OK) {
        FUZZ_REQUIRE(skipped == CUPEL_STATUS_BAD_DATA && error.text[0] != '\0');
        if (strstr(error.text, "nested deeper") != NULL)
            return 0; /* pull() recurses as deep as the text does */
    }
    json_begin(&reader, (const char *)bytes, size, "input", &error);
    cupel_status pulled = pull(&reader);
    if (pulled == CUPEL_STATUS_OK)
        pulled = json_finish(&reader);
    FUZZ_REQUIRE(pulled == skipped);
    return 0;
}
