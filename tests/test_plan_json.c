/* Plans as text (src/compile/plan_json.c): what is written, what is read back, what is refused. */
#include "support/drill.h"

#include <cupel/context.h>
#include <cupel/plan.h>

enum { THREADS = 2 };

#define HEAD \
    "{\n  \"format\": \"cupel-plan-2\",\n  \"device\": \"reference\",\n" \
    "  \"instruction_set\": \"\",\n  \"kernel_library\": \"\",\n  \"threads\": 2,\n" \
    "  \"choices\": [\n"
#define CHOICE(node, key) \
    "    {\"program\": \"train\", \"node\": \"" node "\", \"op\": \"relu\", \"key\": \"" key \
    "\", \"layout\": \"plain\", \"kernel\": \"ref\", \"revision\": 1}"
#define TAIL "  ]\n}\n"

static cupel_context *context;
static cupel_plan *plan;

static int open_plan(void **state) {
    (void)state;
    const cupel_context_options options = {.device = "reference"};
    return cupel_context_create(&context, &options) != CUPEL_STATUS_OK ||
           cupel_plan_create(&plan, context, THREADS) != CUPEL_STATUS_OK;
}

static int close_plan(void **state) {
    (void)state;
    cupel_plan_destroy(plan);
    return cupel_context_destroy(context) != CUPEL_STATUS_OK;
}

static cupel_status parse(const char *text, bool replan) {
    return cupel_plan_parse(plan, text, strlen(text), replan);
}

/* Compares the plan's text with what it must be. */
static void expect_text(const char *expected) {
    char *text;
    CHECK_OK(cupel_plan_format(plan, &text));
    CHECK_STRING(text, expected);
    cupel_plan_text_free(text);
}

static void test_round_trip(void **state) {
    (void)state;
    expect_text(HEAD TAIL);
    /* Choices are sorted by program and node, whatever their order was. */
    CHECK_OK(parse(HEAD CHOICE("b", "00000000000000ff") "," CHOICE("a", "0123456789abcdef") TAIL,
                   false));
    const uint64_t hash = cupel_plan_hash(plan);
    static const char sorted[] =
        HEAD CHOICE("a", "0123456789abcdef") ",\n" CHOICE("b", "00000000000000ff") "\n" TAIL;
    expect_text(sorted);
    CHECK_OK(parse(sorted, false));
    expect_text(sorted);
    CHECK(cupel_plan_hash(plan) == hash);
}

/* A text that is no plan, or another machine's, changes nothing. */
static void test_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        cupel_status status;
        const char *part; /* of the sentence */
    } rows[] = {
        {"", CUPEL_STATUS_BAD_DATA, "byte 0"},
        {"{}", CUPEL_STATUS_BAD_DATA, "format"},
        {HEAD TAIL "x", CUPEL_STATUS_BAD_DATA, "something follows"},
        {"{\"format\": \"cupel-plan-9\", \"later\": 1}", CUPEL_STATUS_MISMATCH, "another version"},
        {"{\"device\": \"cpu\", \"device\": \"cpu\"}", CUPEL_STATUS_BAD_DATA, "twice"},
        {"{\"colour\": \"red\"}", CUPEL_STATUS_BAD_DATA, "colour"},
        {HEAD "{\"program\": \"train\"}" TAIL, CUPEL_STATUS_BAD_DATA, "needs"},
        {HEAD "{\"program\": \"t\", \"node\": \"n\", \"op\": \"relu\", \"kernel\": \"ref\", "
              "\"revision\": 1}" TAIL,
         CUPEL_STATUS_BAD_DATA, "needs"},
        {HEAD CHOICE("a", "123") TAIL, CUPEL_STATUS_BAD_DATA, "16 hexadecimal"},
        {HEAD CHOICE("a", "0123456789ABCDEF") TAIL, CUPEL_STATUS_BAD_DATA, "16 hexadecimal"},
        {HEAD "{\"program\": \"t\", \"node\": \"n\", \"op\": \"relu\", \"key\": "
              "\"0123456789abcdef\", \"kernel\": \"ref\", \"revision\": 1}" TAIL,
         CUPEL_STATUS_BAD_DATA, "needs"},
        {HEAD "{\"layout\": \"nchw\"}" TAIL, CUPEL_STATUS_BAD_DATA, "no layout \"nchw\""},
        {HEAD "{\"layout\": \"packed\"}" TAIL, CUPEL_STATUS_BAD_DATA, "no layout \"packed\""},
        /* 2^32 + 1 is not revision 1 */
        {HEAD "{\"program\": \"t\", \"node\": \"n\", \"op\": \"relu\", \"key\": "
              "\"0123456789abcdef\", \"layout\": \"plain\", \"kernel\": \"ref\", \"revision\": "
              "4294967297}" TAIL,
         CUPEL_STATUS_BAD_DATA, "32 bits"},
        {HEAD
         "{\"program\": \"t\", \"node\": \"n\", \"op\": \"relu\", \"key\": "
         "\"0123456789abcdef\", \"layout\": \"plain\", \"kernel\": \"ref\", \"revision\": 2}" TAIL,
         CUPEL_STATUS_MISMATCH, "revision"},
        {HEAD
         "{\"program\": \"t\", \"node\": \"n\", \"op\": \"relu\", \"key\": "
         "\"0123456789abcdef\", \"layout\": \"plain\", \"kernel\": \"fast\", \"revision\": 1}" TAIL,
         CUPEL_STATUS_MISMATCH, "fast"},
    };
    static const char kept[] = HEAD CHOICE("a", "0123456789abcdef") "\n" TAIL;
    CHECK_OK(parse(kept, false));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_context("%s", rows[i].text);
        CHECK_I64(parse(rows[i].text, false), rows[i].status);
        CHECK(strstr(cupel_plan_error(plan), rows[i].part) != NULL);
        expect_text(kept);
    }
}

/* Each field of the fingerprint is refused by its name; replanning drops the old choices. */
static void test_fingerprint(void **state) {
    (void)state;
    static const struct {
        const char *field, *old, *other;
    } rows[] = {
        {"device", "\"device\": \"reference\"", "\"device\": \"cpu\""},
        {"instruction_set", "\"instruction_set\": \"\"", "\"instruction_set\": \"avx2\""},
        {"kernel_library", "\"kernel_library\": \"\"", "\"kernel_library\": \"oneDNN 1\""},
    };
    static const char here[] = HEAD CHOICE("a", "0123456789abcdef") "\n" TAIL;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        check_context("%s", rows[i].field);
        char text[1024];
        const char *const at = strstr(here, rows[i].old);
        snprintf(text, sizeof text, "%.*s%s%s", (int)(at - here), here, rows[i].other,
                 at + strlen(rows[i].old));
        CHECK_OK(parse(here, false));
        CHECK_I64(parse(text, false), CUPEL_STATUS_MISMATCH);
        CHECK(strncmp(cupel_plan_error(plan), rows[i].field, strlen(rows[i].field)) == 0);
        expect_text(here);
        CHECK_OK(parse(text, true));
        expect_text(HEAD TAIL);
    }
    /* The reference kernels' bits do not depend on threads: a plan of another number is fine. */
    CHECK_OK(parse("{\"format\": \"cupel-plan-2\", \"device\": \"reference\", "
                   "\"instruction_set\": \"\", \"kernel_library\": \"\", \"threads\": 3, "
                   "\"choices\": [\n" CHOICE("a", "0123456789abcdef") "]}",
                   false));
    expect_text(here);
    CHECK_I64(parse("{", true), CUPEL_STATUS_BAD_DATA); /* replanning forgives no damage */
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_round_trip, open_plan, close_plan),
        cmocka_unit_test_setup_teardown(test_refused, open_plan, close_plan),
        cmocka_unit_test_setup_teardown(test_fingerprint, open_plan, close_plan),
    };
    return CHECK_MAIN(tests);
}
