/*
 * Plans (src/compile/plan.c, plan_json.c): what is recorded is followed, the text reads back to the
 * same plan, and a plan of another machine is refused by the name of the field.
 */
#include "support/drill.h"

#include "backend/backend.h"
#include "cupel/ops.h"
#include "cupel/plan.h"
#include "support/trainer.h"

/* y = relu(x W), a product for each leading index: oneDNN's and the reference kernel take it, and
 * oneDNN's bits depend on threads. */
static cupel_program *compile(cupel_context *context, cupel_plan *plan) {
    cupel_graph *graph;
    cupel_program *program;
    CHECK_OK(cupel_graph_create(&graph, context, NULL));
    const cupel_node x = cupel_input(graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(3, 64, 32));
    const cupel_node w = cupel_input(graph, "w", CUPEL_TYPE_REAL, CUPEL_SHAPE(3, 32, 48));
    const cupel_output y = {"y", cupel_relu(cupel_matmul(x, w, false, false))};
    const cupel_compile_options options = {
        .name = "layer", .outputs = &y, .n_outputs = 1, .threads = 1, .plan = plan};
    CHECK_OK_TEXT(cupel_program_compile(&program, graph, &options), cupel_graph_error(graph));
    CHECK_OK(cupel_graph_destroy(graph));
    return program;
}

struct setup {
    cupel_context *context;
    cupel_plan *plan;
    char *text;
};

static struct setup make(void) {
    struct setup s = {.context = context_on("cpu")};
    CHECK_OK(cupel_plan_create(&s.plan, s.context, 2));
    CHECK_OK(cupel_program_destroy(compile(s.context, s.plan)));
    CHECK_OK(cupel_plan_format(s.plan, &s.text));
    return s;
}

static void unmake(struct setup *s) {
    cupel_plan_text_free(s->text);
    cupel_plan_destroy(s->plan);
    CHECK_OK(cupel_context_destroy(s->context));
}

/* The text with one part replaced. */
static char *edited(const char *text, const char *from, const char *to) {
    const char *const place = strstr(text, from);
    CHECK(place != NULL);
    const size_t size = strlen(text) + strlen(to) + 1;
    char *const copy = cupel_alloc(size, 1);
    CHECK(copy != NULL);
    snprintf(copy, size, "%.*s%s%s", (int)(place - text), text, to, place + strlen(from));
    return copy;
}

static void test_text_reads_back(void **state) {
    (void)state;
    struct setup s = make();
    CHECK_CONTAINS(s.text, "\"format\": \"cupel-plan-2\"");
    CHECK_CONTAINS(s.text, "\"threads\": 2");
    CHECK_CONTAINS(s.text, "\"op\": \"matmul\"");
    cupel_plan *other;
    char *text;
    CHECK_OK(cupel_plan_create(&other, s.context, 2));
    CHECK_OK_TEXT(cupel_plan_parse(other, s.text, strlen(s.text), false), cupel_plan_error(other));
    CHECK_U64(cupel_plan_hash(other), cupel_plan_hash(s.plan));
    CHECK_OK(cupel_plan_format(other, &text));
    CHECK_STRING(text, s.text);
    cupel_plan_text_free(text);
    /* Compiling again adds nothing. */
    CHECK_OK(cupel_program_destroy(compile(s.context, other)));
    CHECK_U64(cupel_plan_hash(other), cupel_plan_hash(s.plan));
    cupel_plan_destroy(other);
    unmake(&s);
}

/* The name of the kernel that the plan gives the product. */
static const char *kernel_field(const char *text, char out[80]) {
    const char *const line = strstr(text, "\"op\": \"matmul\"");
    const char *const start = line == NULL ? NULL : strstr(line, "\"kernel\": \"");
    CHECK(start != NULL);
    const char *const end = strchr(start + 11, '"');
    CHECK(end != NULL && end - start < 79);
    const size_t length = (size_t)(end - start) + 1;
    memcpy(out, start, length);
    out[length] = '\0';
    return out;
}

static void test_a_plan_is_followed(void **state) {
    (void)state;
    struct setup s = make();
    char kernel[80];
    cupel_plan *other;
    /* The reference kernel, which no estimate would take. */
    char *const text = edited(s.text, kernel_field(s.text, kernel), "\"kernel\": \"ref\"");
    CHECK_OK(cupel_plan_create(&other, s.context, 2));
    const cupel_status status = cupel_plan_parse(other, text, strlen(text), false);
    if (status == CUPEL_STATUS_MISMATCH) /* the reference kernel has another revision */
        CHECK_CONTAINS(cupel_plan_error(other), "revision");
    else
        CHECK_OK(status);
    cupel_program *const estimated = compile(s.context, NULL);
    cupel_program *const followed = compile(s.context, other);
    CHECK(strstr(kernel, "\"ref\"") != NULL || status != CUPEL_STATUS_OK ||
          cupel_program_hash(estimated) != cupel_program_hash(followed));
    CHECK_OK(cupel_program_destroy(estimated));
    CHECK_OK(cupel_program_destroy(followed));
    cupel_plan_destroy(other);
    cupel_free(text);
    unmake(&s);
}

/* What was read and is of no node of the programs that were compiled can be forgotten. */
static void test_unused_choices_are_dropped(void **state) {
    (void)state;
    struct setup s = make();
    cupel_plan *other;
    char *const foreign = edited(s.text, "\"node\": \"matmul#1\"", "\"node\": \"elsewhere\"");
    char *text;
    CHECK_OK(cupel_plan_create(&other, s.context, 2));
    CHECK_OK_TEXT(cupel_plan_parse(other, s.text, strlen(s.text), false), cupel_plan_error(other));
    CHECK_OK(cupel_program_destroy(compile(s.context, other)));
    cupel_plan_drop_unused(other);
    CHECK_U64(cupel_plan_hash(other), cupel_plan_hash(s.plan));
    /* Another key and another name: the first is dropped, the node's own takes its place. */
    char *const strange = edited(foreign, "\"key\": \"", "\"key\": \"0");
    char *const shorter = cupel_strdup(strange);
    CHECK(shorter != NULL);
    char *const key = strstr(shorter, "\"key\": \"0") + strlen("\"key\": \"0");
    memmove(key + 15, key + 16, strlen(key + 16) + 1);
    CHECK_OK_TEXT(cupel_plan_parse(other, shorter, strlen(shorter), false),
                  cupel_plan_error(other));
    CHECK_OK(cupel_program_destroy(compile(s.context, other)));
    CHECK_OK(cupel_plan_format(other, &text));
    CHECK_CONTAINS(text, "elsewhere");
    cupel_plan_text_free(text);
    cupel_plan_drop_unused(other);
    CHECK_OK(cupel_plan_format(other, &text));
    CHECK_STRING(text, s.text);
    cupel_plan_text_free(text);
    cupel_free(shorter);
    cupel_free(strange);
    cupel_free(foreign);
    cupel_plan_destroy(other);
    unmake(&s);
}

/* A convolution that Winograd's kernels take where they may. */
static cupel_program *compile_conv(cupel_context *context, cupel_plan *plan, bool no_winograd) {
    cupel_graph *graph;
    cupel_program *program;
    CHECK_OK(cupel_graph_create(&graph, context, NULL));
    const cupel_node x = cupel_input(graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(2, 32, 16, 16));
    const cupel_node w = cupel_input(graph, "w", CUPEL_TYPE_REAL, CUPEL_SHAPE(32, 32, 3, 3));
    const cupel_output y = {"y", cupel_named(cupel_conv2d(x, w, (cupel_node){0}, NULL), "conv")};
    const cupel_compile_options options = {.name = "layer",
                                           .outputs = &y,
                                           .n_outputs = 1,
                                           .threads = 1,
                                           .plan = plan,
                                           .no_winograd = no_winograd};
    CHECK_OK_TEXT(cupel_program_compile(&program, graph, &options), cupel_graph_error(graph));
    CHECK_OK(cupel_graph_destroy(graph));
    return program;
}

static bool takes_winograd(cupel_program *program) {
    bool found = false;
    for (size_t i = 0; i < cupel_program_get_info(program).steps; i++)
        found = found || strstr(cupel_program_get_step(program, i).kernel, "winograd") != NULL;
    CHECK_OK(cupel_program_destroy(program));
    return found;
}

/* Forbidden, Winograd's kernels are not taken, though a plan names one; the plan then names what
 * was taken. */
static void test_winograd_can_be_forbidden(void **state) {
    (void)state;
    cupel_context *const context = context_on("cpu");
    cupel_plan *plan;
    char *text;
    CHECK_OK(cupel_plan_create(&plan, context, 1));
    const bool usual = takes_winograd(compile_conv(context, plan, false));
    CHECK_OK(cupel_plan_format(plan, &text));
    CHECK((strstr(text, "winograd") != NULL) == usual);
    CHECK(usual || cpu_channel_block() < 8 || strcmp(cpu_instruction_set(), "baseline") == 0);
    cupel_plan_text_free(text);
    CHECK(!takes_winograd(compile_conv(context, NULL, true)));
    CHECK(!takes_winograd(compile_conv(context, plan, true)));
    CHECK_OK(cupel_plan_format(plan, &text));
    CHECK(strstr(text, "winograd") == NULL);
    cupel_plan_text_free(text);
    cupel_plan_destroy(plan);
    CHECK_OK(cupel_context_destroy(context));
}

/* Refused by name with both values; with replan the choices are dropped. */
static void check_refused(struct setup *s, const char *from, const char *to, const char *field,
                          const char *there, const char *here) {
    check_context("%s", to);
    char *const text = edited(s->text, from, to);
    cupel_plan *plan;
    CHECK_OK(cupel_plan_create(&plan, s->context, 2));
    CHECK_STATUS(cupel_plan_parse(plan, text, strlen(text), false), CUPEL_STATUS_MISMATCH);
    CHECK_CONTAINS(cupel_plan_error(plan), field);
    CHECK_CONTAINS(cupel_plan_error(plan), there);
    CHECK_CONTAINS(cupel_plan_error(plan), here);
    const uint64_t empty = cupel_plan_hash(plan);
    CHECK_OK(cupel_plan_parse(plan, text, strlen(text), true));
    CHECK_U64(cupel_plan_hash(plan), empty);
    cupel_plan_destroy(plan);
    cupel_free(text);
}

static void test_other_machines_are_refused_by_field(void **state) {
    (void)state;
    struct setup s = make();
    char kernel[80];
    check_refused(&s, "\"threads\": 2", "\"threads\": 3", "threads", "\"3\"", "\"2\"");
    check_refused(&s, "\"device\": \"cpu\"", "\"device\": \"abacus\"", "device", "\"abacus\"",
                  "\"cpu\"");
    check_refused(&s, "\"instruction_set\": \"", "\"instruction_set\": \"mmx+", "instruction_set",
                  "mmx+", "here");
    check_refused(&s, "\"kernel_library\": \"", "\"kernel_library\": \"old ", "kernel_library",
                  "old ", "here");
    check_refused(&s, "\"revision\": ", "\"revision\": 77", "revision", "77", "here");
    check_refused(&s, kernel_field(s.text, kernel), "\"kernel\": \"abacus\"", "kernel", "abacus",
                  "not here");
    unmake(&s);
}

static void test_malformed_texts(void **state) {
    (void)state;
    struct setup s = make();
    static const char *const bad[] = {
        "",
        "[]",
        "{",
        "{}",
        "{\"format\": 9}",
        "{\"format\": \"cupel-plan-2\", \"colour\": 1}",
        "{\"format\": \"cupel-plan-2\", \"format\": \"cupel-plan-2\"}",
        "{\"format\": \"cupel-plan-2\", \"choices\": [{}]}",
        "{\"format\": \"cupel-plan-2\", \"choices\": [{\"key\": \"xyz\"}]}",
        "{\"format\": \"cupel-plan-2\"} x",
    };
    const uint64_t before = cupel_plan_hash(s.plan);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        check_context("%s", bad[i]);
        CHECK_STATUS(cupel_plan_parse(s.plan, bad[i], strlen(bad[i]), true), CUPEL_STATUS_BAD_DATA);
        CHECK_U64(cupel_plan_hash(s.plan), before);
    }
    /* Every beginning of a good text. */
    for (size_t size = 0; size < strlen(s.text) - 2; size++)
        CHECK_STATUS(cupel_plan_parse(s.plan, s.text, size, false), CUPEL_STATUS_BAD_DATA);
    unmake(&s);
}

static cupel_status there_and_back(void *user) {
    struct setup *const s = user;
    cupel_plan *plan = NULL;
    char *text = NULL;
    cupel_status status = cupel_plan_create(&plan, s->context, 2);
    if (status == CUPEL_STATUS_OK)
        status = cupel_plan_parse(plan, s->text, strlen(s->text), false);
    if (status == CUPEL_STATUS_OK)
        status = cupel_plan_format(plan, &text);
    cupel_plan_text_free(text);
    cupel_plan_destroy(plan);
    return status;
}

static void test_memory_refused(void **state) {
    (void)state;
    struct setup s = make();
    CHECK(drill_memory(there_and_back, &s) > 10);
    unmake(&s);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_reads_back),
        cmocka_unit_test(test_a_plan_is_followed),
        cmocka_unit_test(test_unused_choices_are_dropped),
        cmocka_unit_test(test_winograd_can_be_forbidden),
        cmocka_unit_test(test_other_machines_are_refused_by_field),
        cmocka_unit_test(test_malformed_texts),
        cmocka_unit_test(test_memory_refused),
    };
    return CHECK_MAIN(tests);
}
