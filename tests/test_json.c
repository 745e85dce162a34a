/* The JSON reader and writer (src/base/json.c): the grammar of RFC 8259, places of mistakes. */
#include "support/drill.h"

#include "base/json.h"

static struct json_reader reader;
static struct cupel_error error;

static struct json_reader *begin(const char *text) {
    json_begin(&reader, text, strlen(text), "t.json", &error);
    return &reader;
}

/* A whole text that is any value. */
static cupel_status skip_all(const char *text) {
    struct json_reader *const r = begin(text);
    const cupel_status status = json_skip(r);
    return status == CUPEL_STATUS_OK ? json_finish(r) : status;
}

static void test_walk(void **state) {
    (void)state;
    struct json_reader *const r = begin(" {\"a\" : [1,-2, 30 ],\n\"b\":{}, \"c\":[] ,\"d\":true} ");
    struct json_text key = {0};
    bool more, flag;
    int64_t sum = 0, value;
    CHECK_OK(json_expect(r, '{'));
    CHECK_OK(json_more(r, '}', &more));
    CHECK(more);
    CHECK_OK(json_key(r, &key));
    CHECK_STRING(key.bytes, "a");
    CHECK_OK(json_expect(r, '['));
    for (;;) {
        CHECK_OK(json_more(r, ']', &more));
        if (!more)
            break;
        CHECK_OK(json_i64(r, &value));
        sum = sum * 10 + value;
    }
    CHECK_I64(sum, 110);
    CHECK_OK(json_more(r, '}', &more));
    CHECK_OK(json_key(r, &key));
    CHECK_OK(json_expect(r, '{'));
    CHECK_OK(json_more(r, '}', &more));
    CHECK(!more);
    CHECK_OK(json_more(r, '}', &more));
    CHECK(more);
    CHECK_OK(json_key(r, &key));
    CHECK_OK(json_skip(r));
    CHECK_OK(json_more(r, '}', &more));
    CHECK_OK(json_key(r, &key));
    CHECK_STRING(key.bytes, "d");
    CHECK_OK(json_bool(r, &flag));
    CHECK(flag);
    CHECK_OK(json_more(r, '}', &more));
    CHECK(!more);
    CHECK_OK(json_finish(r));
    json_text_release(&key);
}

static void test_strings(void **state) {
    (void)state;
    static const struct {
        const char *json, *value; /* value NULL: malformed */
    } rows[] = {
        {"\"\"", ""},
        {"\"plain\"", "plain"},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t"},
        {"\"\\u00e4\\u20AC\"", "\xc3\xa4\xe2\x82\xac"},
        {"\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80"},
        {"\"\xc3\xa4\"", "\xc3\xa4"},
        {"\"open", NULL},
        {"\"\\", NULL},
        {"\"\\x41\"", NULL},
        {"\"\\u12\"", NULL},
        {"\"\\u12g4\"", NULL},
        {"\"\\u0000\"", NULL},
        {"\"\\ud83d\"", NULL},
        {"\"\\ud83dx\"", NULL},
        {"\"\\ud83d\\u0041\"", NULL},
        {"\"\\ude00\"", NULL},
        {"\"a\nb\"", NULL},
        {"\"\xff\"", NULL},
        {"\"\xc0\x80\"", NULL},
        {"\"\xed\xa0\x80\"", NULL},
        {"\"\xc3\"", NULL},
        {"'a'", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_context("%s", rows[i].json);
        struct json_text text = {0};
        struct json_reader *const r = begin(rows[i].json);
        const cupel_status status = json_string(r, &text);
        CHECK_I64(status, rows[i].value ? CUPEL_STATUS_OK : CUPEL_STATUS_BAD_DATA);
        if (rows[i].value) {
            CHECK_STRING(text.bytes, rows[i].value);
            CHECK_OK(json_finish(r));
        } else {
            CHECK_CONTAINS(error.text, "t.json: JSON, byte ");
        }
        json_text_release(&text);
    }
}

static void test_numbers(void **state) {
    (void)state;
    int64_t whole;
    double number;
    CHECK_OK(json_i64(begin("-9223372036854775808"), &whole));
    CHECK_I64(whole, INT64_MIN);
    CHECK_OK(json_i64(begin("0"), &whole));
    CHECK_I64(whole, 0);
    CHECK_OK(json_f64(begin("-1.5e-3"), &number));
    CHECK_F64(number, -1.5e-3);
    CHECK_OK(json_f64(begin("7"), &number));
    CHECK_F64(number, 7);
    static const char *const not_whole[] = {"1.0", "1e3", "9223372036854775808", "", "x", "\"1\""};
    for (size_t i = 0; i < sizeof not_whole / sizeof not_whole[0]; i++)
        CHECK_STATUS(json_i64(begin(not_whole[i]), &whole), CUPEL_STATUS_BAD_DATA);
    static const char *const bad[] = {"01", "-01",   "+1",   ".5",  "1.",       "1.e2", "1e",
                                      "-",  "1e999", "0x10", "NaN", "Infinity", "1-2",  "--1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        check_context("%s", bad[i]);
        CHECK_STATUS(skip_all(bad[i]), CUPEL_STATUS_BAD_DATA);
    }
}

static void test_grammar(void **state) {
    (void)state;
    static const char *const good[] = {
        "null", "[]", "{}", "[1,[2,{\"a\":[null,false]}]]", " [ ] ", "{\"a\":1,\"a\":2}"};
    static const char *const bad[] = {"",        "[",        "{",          "]",     "[1,]",  "[,1]",
                                      "{\"a\"}", "{\"a\":}", "{\"a\":1,}", "{a:1}", "[1 2]", "[1}",
                                      "nul",     "truex",    "[] []",      "{1:2}"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        check_context("%s", good[i]);
        CHECK_OK_TEXT(skip_all(good[i]), error.text);
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        check_context("%s", bad[i]);
        CHECK_STATUS(skip_all(bad[i]), CUPEL_STATUS_BAD_DATA);
    }
    char deep[201];
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    deep[200] = '\0';
    CHECK_STATUS(skip_all(deep), CUPEL_STATUS_BAD_DATA);
    CHECK_CONTAINS(error.text, "nested deeper");
    deep[50] = '\0';
    CHECK_STATUS(skip_all(deep), CUPEL_STATUS_BAD_DATA);
}

/* The place is that of the character that is wrong. */
static void test_places(void **state) {
    (void)state;
    bool flag;
    CHECK_STATUS(json_bool(begin("   yes"), &flag), CUPEL_STATUS_BAD_DATA);
    CHECK_STRING(error.text, "t.json: JSON, byte 3: true or false must stand here");
    CHECK_STATUS(json_expect(begin("  x"), '{'), CUPEL_STATUS_BAD_DATA);
    CHECK_STRING(error.text, "t.json: JSON, byte 2: '{' must stand here");
    CHECK_STATUS(json_expect(begin(""), '{'), CUPEL_STATUS_BAD_DATA);
    CHECK_CONTAINS(error.text, "ends where '{'");
}

static void test_writing(void **state) {
    (void)state;
    struct json_text text = {0}, back = {0};
    CHECK(json_append(&text, "{"));
    CHECK(json_append_quoted(&text, "a\"\\\b\f\n\r\t\x01/\xc3\xa4"));
    CHECK(json_append(&text, ":"));
    CHECK(json_append_i64(&text, INT64_MIN));
    CHECK(json_append(&text, "}"));
    CHECK_STRING(text.bytes, "{\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001/\xc3\xa4\":-9223372036854775808}");
    struct json_reader *const r = begin(text.bytes);
    CHECK_OK(json_expect(r, '{'));
    CHECK_OK(json_key(r, &back));
    CHECK_STRING(back.bytes, "a\"\\\b\f\n\r\t\x01/\xc3\xa4");
    /* What YAML does not take as it is: DEL, U+0080, U+009F, U+FEFF, U+FFFE, U+FFFF. */
    text.length = 0;
    CHECK(json_append_quoted(&text, "\x7f\xc2\x80\xc2\x9f\xc2\xa0\xef\xbb\xbf\xef\xbf\xbd"
                                    "\xef\xbf\xbe\xef\xbf\xbf\xef"));
    CHECK_STRING(text.bytes, "\"\\u007f\\u0080\\u009f\xc2\xa0\\ufeff\xef\xbf\xbd"
                             "\\ufffe\\uffff\xef\"");
    json_text_release(&text);
    json_text_release(&back);
}

static cupel_status read_and_write(void *user) {
    (void)user;
    struct json_text text = {0}, back = {0};
    cupel_status status = CUPEL_STATUS_OUT_OF_MEMORY;
    if (json_append_quoted(&text, "a string that is longer than the first few bytes of a buffer"))
        status = json_string(begin(text.bytes), &back);
    if (status == CUPEL_STATUS_OK) /* no byte was lost on the way */
        CHECK_I64(back.length, text.length - 2);
    json_text_release(&text);
    json_text_release(&back);
    return status;
}

static void test_refused_memory(void **state) {
    (void)state;
    CHECK(drill_memory(read_and_write, NULL) >= 4);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_walk),           cmocka_unit_test(test_strings),
        cmocka_unit_test(test_numbers),        cmocka_unit_test(test_grammar),
        cmocka_unit_test(test_places),         cmocka_unit_test(test_writing),
        cmocka_unit_test(test_refused_memory),
    };
    return CHECK_MAIN(tests);
}
