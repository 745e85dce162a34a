/*
 * The backend's interface: lists of kernels (reference last, CUPEL_DISABLE, CUPEL_ISA), devices by
 * name, and the execution of steps in order: prologue, packs, visitors, failures, the caller's
 * floating-point state.
 */
#define _POSIX_C_SOURCE 200809L
#include "support/kernel_case.h"

#include <stdlib.h>

#include "backend/cpu/cpu.h"
#include "base/memory.h"
#include "base/parallel.h"

static int length(const struct kernel *const *list) {
    int n = 0;
    while (list[n] != NULL)
        n++;
    return n;
}

static bool contains(const char *op, const char *name) {
    for (const struct kernel *const *k = cpu_kernels(NULL, op); *k != NULL; k++)
        if (strcmp((*k)->name, name) == 0)
            return true;
    return false;
}

static void test_reference_is_last(void **state) {
    (void)state;
    for (size_t i = 0; op_list[i] != NULL; i++) {
        const char *op = op_list[i]->name;
        check_context("%s", op);
        const struct kernel *const *list = cpu_kernels(NULL, op);
        if (list == NULL)
            continue; /* leaves have no kernels */
        const int n = length(list);
        for (int k = 0; k < n; k++) {
            CHECK_STRING(list[k]->op, op);
            CHECK(((list[k]->flags & KERNEL_REFERENCE) != 0) == (k == n - 1));
            CHECK(list[k]->run != NULL && list[k]->revision > 0);
        }
    }
    CHECK(contains("conv2d", "onednn:conv"));
    CHECK(contains("add", "vec:chain"));
    const struct kernel *const *reorders = cpu_kernels(NULL, "reorder");
    CHECK_I64(length(reorders), 2);
    CHECK((reorders[1]->flags & KERNEL_REFERENCE) != 0);
}

static void test_disable(void **state) {
    (void)state;
    setenv("CUPEL_DISABLE", "onednn", 1);
    CHECK(!contains("conv2d", "onednn:conv") && !contains("matmul", "onednn:matmul"));
    CHECK(contains("add", "vec:chain"));
    setenv("CUPEL_DISABLE", "vec:wino,vec:few,onednn", 1);
    CHECK_I64(length(cpu_kernels(NULL, "conv2d_backward_weights")), 1);
    setenv("CUPEL_DISABLE", "none,vec:chain,onednn:wino", 1);
    CHECK(!contains("add", "vec:chain") && !contains("conv2d", "onednn:winograd"));
    CHECK(contains("conv2d", "onednn:conv") && contains("reduce_sum", "vec:reduce"));
    setenv("CUPEL_DISABLE", ",", 1);
    CHECK(contains("add", "vec:chain"));
    unsetenv("CUPEL_DISABLE");
    CHECK(contains("conv2d", "onednn:winograd"));
}

/* Less than the processor has can be asked for, more cannot. */
static void test_isa(void **state) {
    (void)state;
    unsetenv("CUPEL_ISA");
    const enum cpu_isa here = cpu_isa();
    setenv("CUPEL_ISA", "baseline", 1);
    CHECK_I64(cpu_isa(), CPU_ISA_BASELINE);
    setenv("CUPEL_ISA", "avx2", 1);
    CHECK(cpu_isa() <= CPU_ISA_AVX2 && cpu_isa() <= here);
    setenv("CUPEL_ISA", "avx512", 1);
    CHECK_I64(cpu_isa(), here);
    setenv("CUPEL_ISA", "nonsense", 1);
    CHECK_I64(cpu_isa(), here);
    unsetenv("CUPEL_ISA");
}

static char warnings[512];

static void keep(void *user, const char *level, const char *line) {
    (void)user;
    CHECK_STRING(level, "warning");
    strncat(warnings, line, sizeof warnings - strlen(warnings) - 1);
    strncat(warnings, "\n", sizeof warnings - strlen(warnings) - 1);
}

static const char *warnings_with(const char *disable, const char *isa) {
    cupel_context *context;
    setenv("CUPEL_DISABLE", disable, 1);
    setenv("CUPEL_ISA", isa, 1);
    warnings[0] = '\0';
    CHECK_OK(cupel_context_create(&context, &(cupel_context_options){.log = keep}));
    CHECK_OK(cupel_context_destroy(context));
    unsetenv("CUPEL_DISABLE");
    unsetenv("CUPEL_ISA");
    return warnings;
}

/* What matches nothing is told when a context is made, by its name. */
static void test_names_that_match_nothing(void **state) {
    (void)state;
    CHECK_STRING(warnings_with("onednn,vec:chain,", "baseline"), "");
    CHECK_STRING(warnings_with("", ""), "");
    CHECK_CONTAINS(warnings_with("vec,bogus", ""), "CUPEL_DISABLE");
    CHECK_CONTAINS(warnings, "\"bogus\"");
    CHECK(strstr(warnings, "\"vec\"") == NULL);
    CHECK_CONTAINS(warnings_with("ref", ""), "\"ref\""); /* which always stays */
    CHECK_CONTAINS(warnings_with("", "foo"), "CUPEL_ISA=foo");
    CHECK_CONTAINS(warnings, cpu_instruction_set());
    if (cpu_isa() < CPU_ISA_AVX512)
        CHECK_CONTAINS(warnings_with("", "avx512"), "does not have it");
    cupel_context *context; /* the reference device has nothing to remove */
    setenv("CUPEL_DISABLE", "bogus", 1);
    warnings[0] = '\0';
    CHECK_OK(cupel_context_create(&context,
                                  &(cupel_context_options){.device = "reference", .log = keep}));
    CHECK_OK(cupel_context_destroy(context));
    unsetenv("CUPEL_DISABLE");
    CHECK_STRING(warnings, "");
}

static void test_devices(void **state) {
    (void)state;
    struct backend *backend = NULL;
    CHECK_STATUS(backend_create(&backend, "abacus"), CUPEL_STATUS_UNSUPPORTED);
    CHECK(backend == NULL);
    static const char *const names[] = {"cpu", "reference"};
    for (int i = 0; i < 2; i++) {
        CHECK_OK(backend_create(&backend, names[i]));
        CHECK_STRING(backend->name, names[i]);
        CHECK(i == 0 ? backend->channel_block >= 1 : backend->channel_block == 1);
        CHECK_I64(length(backend->kernels(backend, "conv2d")) > 1, i == 0);
        unsigned char *memory = backend->allocate(backend, 1000);
        assert_non_null(memory);
        CHECK_I64((intptr_t)memory % CUPEL_ALIGNMENT, 0);
        for (int b = 0; b < 1000; b++)
            CHECK_I64(memory[b], 0);
        static const char text[] = "moved";
        char back[sizeof text];
        backend->write(backend, memory + 100, text, sizeof text);
        backend->read(backend, back, memory + 100, sizeof text);
        CHECK_STRING(back, text);
        backend->release(backend, memory, 1000);
        cupel_memory_fail_after(0, false);
        CHECK(backend->allocate(backend, 10) == NULL);
        cupel_memory_fail_after(0, false);
        struct backend *none = backend;
        CHECK_STATUS(backend_create(&none, "cpu"), CUPEL_STATUS_OUT_OF_MEMORY);
        CHECK(none == NULL);
        cupel_memory_fail_never();
        backend->destroy(backend);
    }
}

/* ---- a small program of invented kernels: y = x + 1, and packs that double ---- */

static int runs;
static unsigned mode_seen;

static cupel_status add_one(const struct kernel_plan *plan, const struct kernel_call *call) {
    (void)plan;
    runs++;
    mode_seen = parallel_fp_begin();
    parallel_fp_end(mode_seen);
    *(float *)call->outputs[0] = *(const float *)call->inputs[0] + 1 + (float)call->threads * 100;
    if (call->scratch != NULL)
        *(float *)call->scratch = 7;
    return CUPEL_STATUS_OK;
}

static cupel_status refuse(const struct kernel_plan *plan, const struct kernel_call *call) {
    (void)plan;
    (void)call;
    return CUPEL_STATUS_NOT_FINITE;
}

static cupel_status doubled(const struct kernel_plan *plan, int index, const void *from, void *to) {
    (void)plan;
    *(float *)to = *(const float *)from * 2 + (float)index;
    return CUPEL_STATUS_OK;
}

static const struct kernel adder = {
    .op = "neg", .name = "adder", .revision = 1, .run = add_one, .pack = doubled};
static const struct kernel fixed = {
    .op = "neg", .name = "fixed", .revision = 1, .flags = KERNEL_FIXED_THREADS, .run = add_one};
static const struct kernel refuser = {.op = "neg", .name = "refuser", .revision = 1, .run = refuse};

struct small {
    struct exec_step steps[3];
    struct exec_program program;
    struct exec_frame frame;
    float memory[5][16];
    void *addresses[5];
    struct cupel_error error;
};

static const uint32_t buffers[3][3] = {{0, 1, 0}, {1, 2, 4}, {2, 3, 0}};

static void small_make(struct small *s) {
    static cupel_desc desc = {.type = CUPEL_TYPE_F32};
    memset(s, 0, sizeof *s);
    static struct kernel_plan packer = {.kernel = &adder, .n_packs = 3};
    for (int i = 0; i < 3; i++) {
        s->steps[i] = (struct exec_step){
            .name = i == 0   ? "packed"
                    : i == 1 ? "first"
                             : "second",
            .view =
                {.op = &op_neg, .n_inputs = 1, .inputs = &desc, .n_outputs = 1, .outputs = &desc},
            .plan = {.kernel = &adder, .threads = 5},
            .pack_of = i == 0 ? 2 : -1,
            .pack_plan = i == 0 ? &packer : NULL,
            .n_buffers = i == 1 ? 3 : 2,
            .buffers = buffers[i],
            .scratch = i == 1 ? 4 : UINT32_MAX,
            .prologue = i == 0,
        };
    }
    for (int b = 0; b < 5; b++)
        s->addresses[b] = s->memory[b];
    s->program = (struct exec_program){.name = "small", .n_steps = 3, .steps = s->steps};
    s->frame = (struct exec_frame){.program = &s->program,
                                   .addresses = s->addresses,
                                   .threads = 3,
                                   .run_prologue = true,
                                   .error = &s->error};
}

static void test_execution(void **state) {
    (void)state;
    struct small s;
    small_make(&s);
    s.memory[0][0] = 5;
    runs = 0;
    const unsigned before = parallel_fp_begin();
    parallel_fp_end(before);
    CHECK_OK(backend_execute_in_order(NULL, &s.frame));
    CHECK_I64(runs, 2);
    CHECK_F64(s.memory[1][0], 12);  /* the pack with index 2 */
    CHECK_F64(s.memory[3][0], 614); /* two steps with three threads */
    CHECK_F64(s.memory[4][0], 7);   /* scratch of the first */
    CHECK_I64(s.frame.failed_step, UINT32_MAX);
    const unsigned after = parallel_fp_begin();
    parallel_fp_end(after);
    CHECK_I64(after, before);
#if defined(__SSE2__)
    CHECK_I64(mode_seen & 0x8040U, 0x8040U); /* flush-to-zero and denormals-are-zero */
#endif

    s.memory[1][0] = 1; /* stays: the prologue is not run */
    s.frame.run_prologue = false;
    CHECK_OK(backend_execute_in_order(NULL, &s.frame));
    CHECK_F64(s.memory[3][0], 603);

    s.steps[2].plan.kernel = &fixed; /* as planned for, whatever the run asks */
    CHECK_OK(backend_execute_in_order(NULL, &s.frame));
    CHECK_F64(s.memory[3][0], 803);
}

struct seen {
    uint32_t steps[4];
    int n;
    int stop_at;
};

static cupel_status see(void *user, uint32_t step) {
    struct seen *seen = user;
    seen->steps[seen->n++] = step;
    return seen->n == seen->stop_at ? CUPEL_STATUS_INTERRUPTED : CUPEL_STATUS_OK;
}

static void test_visits_and_failures(void **state) {
    (void)state;
    struct small s;
    small_make(&s);
    struct seen seen = {.stop_at = 0};
    s.frame.after_step = see;
    s.frame.after_step_user = &seen;
    CHECK_OK(backend_execute_in_order(NULL, &s.frame));
    CHECK_I64(seen.n, 3);
    CHECK_I64(seen.steps[2], 2);

    seen = (struct seen){.stop_at = 2};
    CHECK_STATUS(backend_execute_in_order(NULL, &s.frame), CUPEL_STATUS_INTERRUPTED);
    CHECK_I64(s.frame.failed_step, 1);

    seen = (struct seen){.stop_at = 0};
    s.steps[1].plan.kernel = &refuser;
    CHECK_STATUS(backend_execute_in_order(NULL, &s.frame), CUPEL_STATUS_NOT_FINITE);
    CHECK_I64(s.frame.failed_step, 1);
    CHECK_I64(seen.n, 1); /* not after the step that failed */
    CHECK_CONTAINS(s.error.text, "first");
    CHECK_CONTAINS(s.error.text, "refuser");

    s.steps[1].plan.kernel = NULL;
    CHECK_STATUS(backend_execute_in_order(NULL, &s.frame), CUPEL_STATUS_BUG);
    s.steps[0].pack_of = 3; /* the plan has packs 0 to 2 */
    CHECK_STATUS(backend_execute_in_order(NULL, &s.frame), CUPEL_STATUS_BUG);
    CHECK_I64(s.frame.failed_step, 0);
    CHECK_CONTAINS(s.error.text, "packed");
}

/* Planning with each allocation refused leaves nothing behind and says OUT_OF_MEMORY. */
static void test_plans_without_memory(void **state) {
    (void)state;
    static const struct attrs_conv conv = {.stride = {1, 1}, .dilation = {1, 1}, .groups = 1};
    static const struct attrs_reduce axes = {.axes = 1};
    cupel_desc image = cupel_desc_plain(CUPEL_TYPE_F32, CUPEL_SHAPE(1, 16, 4, 4));
    cupel_desc filters = cupel_desc_plain(CUPEL_TYPE_F32, CUPEL_SHAPE(16, 16, 3, 3));
    const cupel_desc conv_inputs[] = {image, filters}, add_inputs[] = {image, image};
    cupel_desc conv_output = cupel_desc_plain(CUPEL_TYPE_F32, CUPEL_SHAPE(1, 16, 2, 2));
    cupel_desc sum_output = cupel_desc_plain(CUPEL_TYPE_F32, CUPEL_SHAPE(16, 4, 4));
    const struct kernel_request requests[] = {
        {.view = {.op = &op_conv2d,
                  .attrs = &conv,
                  .n_inputs = 2,
                  .inputs = conv_inputs,
                  .n_outputs = 1,
                  .outputs = &conv_output},
         .threads = 1},
        {.view = {.op = &op_add,
                  .n_inputs = 2,
                  .inputs = add_inputs,
                  .n_outputs = 1,
                  .outputs = &image},
         .threads = 1},
        {.view = {.op = &op_reduce_sum,
                  .attrs = &axes,
                  .n_inputs = 1,
                  .inputs = add_inputs,
                  .n_outputs = 1,
                  .outputs = &sum_output},
         .threads = 1},
    };
    for (size_t r = 0; r < sizeof requests / sizeof requests[0]; r++) {
        const struct kernel *kernel = cpu_kernels(NULL, requests[r].view.op->name)[0];
        const struct cupel_memory_stats before = cupel_memory_stats();
        struct kernel_plan plan = {.kernel = kernel};
        struct cupel_error error = {0};
        cupel_memory_fail_after(0, true);
        const cupel_status status = kernel->plan(&plan, &requests[r], &error);
        cupel_memory_fail_never();
        CHECK_STATUS(status, CUPEL_STATUS_OUT_OF_MEMORY);
        CHECK(error.text[0] != '\0');
        CHECK_I64((int64_t)cupel_memory_stats().live_blocks, (int64_t)before.live_blocks);
        CHECK_OK_TEXT(kernel->plan(&plan, &requests[r], &error), error.text);
        kernel->drop(&plan);
        CHECK_I64((int64_t)cupel_memory_stats().live_blocks, (int64_t)before.live_blocks);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_is_last),
        cmocka_unit_test(test_disable),
        cmocka_unit_test(test_isa),
        cmocka_unit_test(test_names_that_match_nothing),
        cmocka_unit_test(test_devices),
        cmocka_unit_test(test_execution),
        cmocka_unit_test(test_visits_and_failures),
        cmocka_unit_test(test_plans_without_memory),
    };
    return CHECK_MAIN(tests);
}
