/*
 * Plans as text: plan.json. The first fields are the fingerprint, on which the bits of a run
 * depend: a plan made under another one is refused by the name of the field, the threads only where
 * a chosen kernel's bits depend on their number. Choices are sorted, one a line, so that two plans
 * can be compared by eye. Test: tests/test_plan_json.c
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/memory.h"
#include "compile/plan_internal.h"

static const char format_name[] = "cupel-plan-2";

/* --- writing --- */

static int by_place(const void *a, const void *b) {
    const struct plan_choice *const *x = a, *const *y = b;
    int order = strcmp((*x)->program, (*y)->program);
    if (order == 0)
        order = strcmp((*x)->node, (*y)->node);
    if (order == 0)
        order = strcmp((*x)->op, (*y)->op);
    return order != 0 ? order : ((*x)->key > (*y)->key) - ((*x)->key < (*y)->key);
}

static bool append_field(struct json_text *text, const char *name, const char *value) {
    return json_append(text, name) && json_append_quoted(text, value == NULL ? "" : value);
}

static bool append_choice(struct json_text *text, const struct plan_choice *choice, bool last) {
    char key[24];
    snprintf(key, sizeof key, "%016" PRIx64, choice->key);
    return append_field(text, "    {\"program\": ", choice->program) &&
           append_field(text, ", \"node\": ", choice->node) &&
           append_field(text, ", \"op\": ", choice->op) && append_field(text, ", \"key\": ", key) &&
           append_field(text, ", \"layout\": ", cupel_layout_name(choice->layout)) &&
           append_field(text, ", \"kernel\": ", choice->kernel) &&
           json_append(text, ", \"revision\": ") && json_append_i64(text, choice->revision) &&
           json_append(text, last ? "}\n" : "},\n");
}

static bool append_plan(struct json_text *text, const cupel_plan *plan,
                        struct plan_choice *const *sorted) {
    const struct backend *const backend = plan->context->backend;
    bool fine = append_field(text, "{\n  \"format\": ", format_name) &&
                append_field(text, ",\n  \"device\": ", backend->name) &&
                append_field(text, ",\n  \"instruction_set\": ", backend->instruction_set) &&
                append_field(text, ",\n  \"kernel_library\": ", backend->kernel_library) &&
                json_append(text, ",\n  \"threads\": ") && json_append_i64(text, plan->threads) &&
                json_append(text, ",\n  \"choices\": [\n");
    for (size_t i = 0; fine && i < plan->count; i++)
        fine = append_choice(text, sorted[i], i + 1 == plan->count);
    return fine && json_append(text, "  ]\n}\n");
}

cupel_status cupel_plan_format(cupel_plan *plan, char **out) {
    *out = NULL;
    struct plan_choice **sorted = cupel_alloc(plan->count + 1, sizeof *sorted);
    struct json_text text = {0};
    bool fine = sorted != NULL;
    for (size_t i = 0; fine && i < plan->count; i++)
        sorted[i] = &plan->choices[i];
    if (fine)
        qsort(sorted, plan->count, sizeof *sorted, by_place);
    fine = fine && append_plan(&text, plan, sorted);
    cupel_free(sorted);
    if (!fine) {
        json_text_release(&text);
        return cupel_fail_memory(&plan->error, "the plan's text", plan->count);
    }
    *out = text.bytes;
    return CUPEL_STATUS_OK;
}

void cupel_plan_text_free(char *text) {
    cupel_free(text);
}

/* --- reading --- */

/* What a plan's text says, before it is compared. */
struct reading {
    struct json_reader json;
    cupel_plan *plan;
    struct json_text key, value;
    char *fields[4]; /* format, device, instruction_set, kernel_library; NULL: missing */
    int64_t threads;
    bool has_key, has_layout; /* the choice at hand */
    struct plan_choice *choices;
    size_t count, capacity;
};

static const char *const field_names[] = {"format", "device", "instruction_set", "kernel_library"};

static void release_choice(struct plan_choice *choice) {
    cupel_free(choice->program);
    cupel_free(choice->node);
    cupel_free(choice->op);
    cupel_free(choice->kernel);
}

static void release_reading(struct reading *reading) {
    for (int i = 0; i < 4; i++)
        cupel_free(reading->fields[i]);
    for (size_t i = 0; i < reading->count; i++)
        release_choice(&reading->choices[i]);
    cupel_free(reading->choices);
    json_text_release(&reading->key);
    json_text_release(&reading->value);
}

/* A string into *out, which must be empty: a field that comes twice is an error. */
static cupel_status read_text(struct reading *reading, char **out) {
    if (*out != NULL)
        return json_fail(&reading->json, "\"%.40s\" is there twice", reading->key.bytes);
    CUPEL_TRY(json_string(&reading->json, &reading->value));
    *out = cupel_strdup(reading->value.bytes == NULL ? "" : reading->value.bytes);
    return *out != NULL ? CUPEL_STATUS_OK : cupel_fail_memory(&reading->plan->error, "the plan", 0);
}

static cupel_status read_key(struct reading *reading, uint64_t *out) {
    CUPEL_TRY(json_string(&reading->json, &reading->value));
    const char *const text = reading->value.bytes == NULL ? "" : reading->value.bytes;
    *out = 0;
    if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        return json_fail(&reading->json, "a key is 16 hexadecimal digits, not \"%.40s\"", text);
    reading->has_key = true;
    for (const char *c = text; *c != '\0'; c++)
        *out = *out << 4 | (uint64_t)(*c <= '9' ? *c - '0' : *c - 'a' + 10);
    return CUPEL_STATUS_OK;
}

static cupel_status read_layout(struct reading *reading, cupel_layout *out) {
    CUPEL_TRY(json_string(&reading->json, &reading->value));
    const char *const text = reading->value.bytes == NULL ? "" : reading->value.bytes;
    for (*out = CUPEL_LAYOUT_PLAIN; *out < CUPEL_LAYOUT_PACKED; (*out)++)
        if (strcmp(text, cupel_layout_name(*out)) == 0) {
            reading->has_layout = true;
            return CUPEL_STATUS_OK;
        }
    return json_fail(&reading->json, "there is no layout \"%.40s\"", text);
}

static cupel_status read_choice_field(struct reading *reading, struct plan_choice *choice) {
    const char *const name = reading->key.bytes;
    if (strcmp(name, "program") == 0)
        return read_text(reading, &choice->program);
    if (strcmp(name, "node") == 0)
        return read_text(reading, &choice->node);
    if (strcmp(name, "op") == 0)
        return read_text(reading, &choice->op);
    if (strcmp(name, "kernel") == 0)
        return read_text(reading, &choice->kernel);
    if (strcmp(name, "key") == 0)
        return read_key(reading, &choice->key);
    if (strcmp(name, "layout") == 0)
        return read_layout(reading, &choice->layout);
    if (strcmp(name, "revision") != 0)
        return json_fail(&reading->json, "a choice has no field \"%.40s\"", name);
    int64_t revision;
    CUPEL_TRY(json_i64(&reading->json, &revision));
    if (revision < 0 || revision > UINT32_MAX)
        return json_fail(&reading->json, "a revision is a whole number of 32 bits");
    choice->revision = (uint32_t)revision;
    return CUPEL_STATUS_OK;
}

static cupel_status read_choice(struct reading *reading) {
    if (!cupel_grow(&reading->choices, &reading->capacity, reading->count + 1,
                    sizeof *reading->choices))
        return cupel_fail_memory(&reading->plan->error, "the plan", reading->count);
    struct plan_choice *const choice = &reading->choices[reading->count++];
    *choice = (struct plan_choice){0};
    reading->has_key = reading->has_layout = false;
    bool more;
    CUPEL_TRY(json_expect(&reading->json, '{'));
    for (;;) {
        CUPEL_TRY(json_more(&reading->json, '}', &more));
        if (!more)
            break;
        CUPEL_TRY(json_key(&reading->json, &reading->key));
        CUPEL_TRY(read_choice_field(reading, choice));
    }
    if (choice->program == NULL || choice->node == NULL || choice->op == NULL ||
        choice->kernel == NULL || !reading->has_key || !reading->has_layout)
        return json_fail(&reading->json,
                         "a choice needs program, node, op, key, layout and kernel");
    return CUPEL_STATUS_OK;
}

static cupel_status read_choices(struct reading *reading) {
    bool more;
    CUPEL_TRY(json_expect(&reading->json, '['));
    for (;;) {
        CUPEL_TRY(json_more(&reading->json, ']', &more));
        if (!more)
            return CUPEL_STATUS_OK;
        CUPEL_TRY(read_choice(reading));
    }
}

/* At once, before fields and choices that another version has: its plan is no damaged one. */
static cupel_status check_format(const struct reading *reading) {
    if (strcmp(reading->fields[0], format_name) == 0)
        return CUPEL_STATUS_OK;
    return cupel_fail(&reading->plan->error, CUPEL_STATUS_MISMATCH,
                      "format: the plan is a \"%.40s\", and here it is \"%s\": it was made by "
                      "another version. Use the same, or plan anew",
                      reading->fields[0], format_name);
}

static cupel_status read_field(struct reading *reading) {
    CUPEL_TRY(json_key(&reading->json, &reading->key));
    for (int i = 0; i < 4; i++)
        if (strcmp(reading->key.bytes, field_names[i]) == 0) {
            CUPEL_TRY(read_text(reading, &reading->fields[i]));
            return i == 0 ? check_format(reading) : CUPEL_STATUS_OK;
        }
    if (strcmp(reading->key.bytes, "threads") == 0)
        return json_i64(&reading->json, &reading->threads);
    if (strcmp(reading->key.bytes, "choices") == 0)
        return read_choices(reading);
    return json_fail(&reading->json, "a plan has no field \"%.40s\"", reading->key.bytes);
}

static cupel_status read_plan(struct reading *reading) {
    bool more;
    CUPEL_TRY(json_expect(&reading->json, '{'));
    for (;;) {
        CUPEL_TRY(json_more(&reading->json, '}', &more));
        if (!more)
            break;
        CUPEL_TRY(read_field(reading));
    }
    CUPEL_TRY(json_finish(&reading->json));
    return reading->fields[0] != NULL ? CUPEL_STATUS_OK
                                      : json_fail(&reading->json, "it does not say its format");
}

/* --- comparing --- */

static cupel_status differs(cupel_plan *plan, const char *field, const char *there,
                            const char *here) {
    return cupel_fail(&plan->error, CUPEL_STATUS_MISMATCH,
                      "%s: the plan was made with \"%.80s\", and here it is \"%s\": the bits would "
                      "differ. Use the same, or plan anew",
                      field, there == NULL ? "" : there, here);
}

static const struct kernel *find_kernel(const cupel_plan *plan, const struct plan_choice *choice) {
    struct backend *const backend = plan->context->backend;
    const struct kernel *const *list = backend->kernels(backend, choice->op);
    const cupel_op *const op = cupel_context_find_op(plan->context, choice->op);
    if (op != NULL && op->run != NULL)
        list = ref_kernels(backend, choice->op);
    for (; list != NULL && *list != NULL; list++)
        if (strcmp((*list)->name, choice->kernel) == 0)
            return *list;
    return NULL;
}

static cupel_status match_choice(cupel_plan *plan, struct plan_choice *choice) {
    const struct kernel *const kernel = find_kernel(plan, choice);
    if (kernel == NULL)
        return cupel_fail(
            &plan->error, CUPEL_STATUS_MISMATCH,
            "kernel: the plan runs %s (%s) of program %s with \"%.40s\", which is not "
            "here: enable it, or plan anew",
            choice->node, choice->op, choice->program, choice->kernel);
    if (kernel->revision != choice->revision)
        return cupel_fail(
            &plan->error, CUPEL_STATUS_MISMATCH,
            "revision: the plan was made with revision %u of kernel %s, and here it is "
            "%u: the bits would differ. Use the same version, or plan anew",
            choice->revision, choice->kernel, kernel->revision);
    choice->variable_bits = (kernel->flags & KERNEL_VARIABLE_BITS) != 0;
    return CUPEL_STATUS_OK;
}

static cupel_status match(cupel_plan *plan, struct reading *reading) {
    const struct backend *const backend = plan->context->backend;
    const char *const here[] = {format_name, backend->name,
                                backend->instruction_set ? backend->instruction_set : "",
                                backend->kernel_library ? backend->kernel_library : ""};
    for (int i = 1; i < 4; i++)
        if (reading->fields[i] == NULL || strcmp(reading->fields[i], here[i]) != 0)
            return differs(plan, field_names[i], reading->fields[i], here[i]);
    bool depends = false; /* on the number of threads */
    for (size_t i = 0; i < reading->count; i++) {
        CUPEL_TRY(match_choice(plan, &reading->choices[i]));
        depends = depends || reading->choices[i].variable_bits;
    }
    if (depends && reading->threads != plan->threads) {
        char there[24], now[24];
        snprintf(there, sizeof there, "%" PRId64, reading->threads);
        snprintf(now, sizeof now, "%d", plan->threads);
        return differs(plan, "threads", there, now);
    }
    return CUPEL_STATUS_OK;
}

cupel_status cupel_plan_parse(cupel_plan *plan, const char *json, size_t size, bool replan) {
    struct reading reading = {.plan = plan};
    json_begin(&reading.json, json, size, "plan", &plan->error);
    cupel_status status = read_plan(&reading);
    if (status == CUPEL_STATUS_OK)
        status = match(plan, &reading);
    const bool drop = status == CUPEL_STATUS_MISMATCH && replan;
    if (status == CUPEL_STATUS_OK || drop)
        plan_clear(plan);
    if (status == CUPEL_STATUS_OK) { /* the lists change places */
        struct plan_choice *const choices = plan->choices;
        const size_t capacity = plan->capacity;
        plan->choices = reading.choices;
        plan->count = reading.count;
        plan->capacity = reading.capacity;
        reading.choices = choices;
        reading.count = 0;
        reading.capacity = capacity;
    }
    release_reading(&reading);
    return drop ? CUPEL_STATUS_OK : status;
}
