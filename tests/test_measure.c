/*
 * Plans by measured time: the table of times and the clock (src/compile/measure.c), and what the
 * choice makes of them (choose.c, choose_kernel.c, split.c), on a device of its own making whose
 * clock is a table. No test here depends on how fast anything is.
 */
#include "support/passes.h"

#include <math.h>

#include "base/memory.h"
#include "cupel/plan.h"
#include "op/op_fused.h"
#include "op/op_internal.h"

/* --- the table --- */

static struct kernel_request request_for(const cupel_op *op, cupel_desc *src, cupel_desc *dst) {
    return (struct kernel_request){.view = {.op = op,
                                            .attrs = "",
                                            .name = "node",
                                            .n_inputs = 1,
                                            .inputs = src,
                                            .n_outputs = 1,
                                            .outputs = dst},
                                   .threads = 1};
}

static void what_is_identical_has_one_key(void **state) {
    (void)state;
    static const struct kernel one = {.op = "relu", .name = "one"};
    static const struct kernel two = {.op = "relu", .name = "two"};
    const cupel_desc image = {.type = CUPEL_TYPE_F32, .shape = CUPEL_SHAPE(2, 8, 4, 4)};
    cupel_desc src = image, dst = image;
    struct kernel_request request = request_for(&op_relu, &src, &dst);
    const uint64_t key = measured_key(&one, &request);
    request.view.name = "another node";
    CHECK_U64(measured_key(&one, &request), key);
    CHECK(measured_key(&two, &request) != key);
    request.threads = 2;
    CHECK(measured_key(&one, &request) != key);
    request.threads = 1;
    dst.layout = CUPEL_LAYOUT_NHWC;
    CHECK(measured_key(&one, &request) != key);
    dst = image;
    src.shape.dims[0] = 3;
    CHECK(measured_key(&one, &request) != key);
    src = image;
    request.view.op = &op_tanh;
    CHECK(measured_key(&one, &request) != key);

    static const struct attrs_leaky_relu slope[2] = {{0.1}, {0.2}};
    request.view.op = &op_leaky_relu;
    request.view.attrs = &slope[0];
    const uint64_t first = measured_key(&one, &request);
    request.view.attrs = &slope[1];
    CHECK(measured_key(&one, &request) != first);

    struct measured measured = {0};
    double seconds = 0;
    CHECK(!measured_find(&measured, key, &seconds));
    CHECK(measured_add(&measured, key, 0.5));
    CHECK(measured_add(&measured, first, 0.25));
    CHECK(measured_find(&measured, key, &seconds));
    CHECK_F64(seconds, 0.5);
    cupel_memory_fail_after(0, true);
    while (measured.count < measured.capacity)
        CHECK(measured_add(&measured, 7, 1));
    CHECK(!measured_add(&measured, 7, 1));
    cupel_memory_fail_never();
    measured_release(&measured);
}

/* --- the clock --- */

/* A kernel that looks at what it is given: a packed operand, indices, scratch. */
static struct seen {
    int runs, packs, unpacks;
    const void *from, *to, *src, *dst;
    bool fine;
    cupel_status answer;
} seen;

enum { PACKED_BYTES = 96, SCRATCH_BYTES = 128 };

static cupel_status look_run(const struct kernel_plan *plan, const struct kernel_call *call) {
    (void)plan;
    seen.runs++;
    seen.src = call->inputs[0];
    const float *const values = call->inputs[1];
    const int64_t *const indices = call->inputs[2];
    float *const dst = call->outputs[0];
    memset(call->scratch, 1, SCRATCH_BYTES);
    for (int i = 0; i < 8; i++) {
        seen.fine = seen.fine && indices[i] == 0 && fabsf(values[i]) <= 1;
        dst[i] = values[i];
    }
    seen.fine = seen.fine && call->inputs[0] == seen.to; /* its private form */
    return seen.answer;
}

static cupel_status look_pack(const struct kernel_plan *plan, int index, const void *from,
                              void *to) {
    (void)plan;
    seen.packs += index == 0;
    seen.unpacks += index == 1;
    if (index == 0) {
        seen.from = from;
        seen.to = to;
    } else {
        seen.fine = seen.fine && from != to;
    }
    return CUPEL_STATUS_OK;
}

static const struct kernel looking = {
    .op = "gather", .name = "test:looking", .run = look_run, .pack = look_pack};

static cupel_status measure_looking(struct measure_room *room, double rival, double *seconds) {
    cupel_desc inputs[3] = {{.type = CUPEL_TYPE_F32, .shape = CUPEL_SHAPE(8)},
                            {.type = CUPEL_TYPE_F32, .shape = CUPEL_SHAPE(8)},
                            {.type = CUPEL_TYPE_I64, .shape = CUPEL_SHAPE(8)}};
    cupel_desc output = {.type = CUPEL_TYPE_F32, .shape = CUPEL_SHAPE(8)};
    const cupel_op_view view = {.op = &op_gather,
                                .attrs = "",
                                .name = "node",
                                .n_inputs = 3,
                                .inputs = inputs,
                                .n_outputs = 1,
                                .outputs = &output};
    const struct kernel_plan plan = {
        .kernel = &looking,
        .scratch_bytes = SCRATCH_BYTES,
        .threads = 1,
        .n_packs = 2,
        .packs = {{.operand = 0, .bytes = PACKED_BYTES},
                  {.operand = 0, .output = true, .bytes = PACKED_BYTES}}};
    struct cupel_error error = {0};
    return measure_on_device(room, &plan, &view, rival, seconds, &error);
}

static void a_kernel_is_timed_as_it_runs(void **state) {
    (void)state;
    struct backend *backend = NULL;
    CHECK_OK(backend_create(&backend, "cpu"));
    const uint64_t live = cupel_memory_stats().live_bytes;
    struct measure_room room = {.backend = backend, .threads = 1};
    double seconds = -1;
    seen = (struct seen){.fine = true};
    CHECK_OK(measure_looking(&room, INFINITY, &seconds));
    CHECK(seconds >= 0 && seconds < INFINITY);
    CHECK(seen.fine);
    CHECK(seen.runs >= 2 && seen.runs <= 7);
    CHECK_I64(seen.packs, seen.runs);
    CHECK_I64(seen.unpacks, seen.runs);
    /* Nothing takes no time at all, so this is hopeless at once. */
    seen = (struct seen){.fine = true};
    CHECK_OK(measure_looking(&room, 1e-300, &seconds));
    CHECK_I64(seen.runs, 1);
    seen = (struct seen){.fine = true, .answer = CUPEL_STATUS_NOT_FINITE};
    CHECK_STATUS(measure_looking(&room, INFINITY, &seconds), CUPEL_STATUS_NOT_FINITE);
    CHECK_I64(seen.runs, 1);
    measure_room_release(&room);
    for (uint64_t successes = 0; successes < 3; successes++) {
        check_context("after %d allocations", (int)successes);
        cupel_memory_fail_after(successes, false);
        CHECK_STATUS(measure_looking(&room, INFINITY, &seconds), CUPEL_STATUS_OUT_OF_MEMORY);
        cupel_memory_fail_never();
        measure_room_release(&room);
    }
    CHECK_U64(cupel_memory_stats().live_bytes, live);
    backend->destroy(backend);
}

/* --- a device whose clock is a table --- */

static bool accept_any(const struct kernel_request *request, const char **why) {
    const cupel_op_view *const view = &request->view;
    return KERNEL_REQUIRE(view->inputs[0].layout == view->outputs[0].layout ||
                              view->inputs[0].shape.dims[1] % 8 != 0,
                          "two layouts");
}

static bool accept_blocks(const struct kernel_request *request, const char **why) {
    return KERNEL_REQUIRE(request->view.inputs[0].layout == CUPEL_LAYOUT_NCHW8C, "no blocks");
}

static const struct kernel table[] = {
    {.op = "conv2d", .name = "test:plain", .revision = 1, .accept = accept_any},
    {.op = "conv2d", .name = "test:blocks", .revision = 1, .accept = accept_blocks},
    {.op = "relu", .name = "test:relu", .revision = 1, .accept = accept_any},
    {.op = "tanh", .name = "test:tanh", .revision = 1},
    {.op = "fused", .name = "test:chain", .revision = 1},
    {.op = "reorder", .name = "test:reorder", .revision = 1},
    {.op = "exp", .name = "test:slow", .revision = 1},
    {.op = "exp", .name = "test:fast", .revision = 1},
};
enum { KERNELS = sizeof table / sizeof table[0] };

/* What a run takes, in milliseconds; plain, nhwc, nChw8c, nChw16c. */
static double times[KERNELS][4];
static int asked[KERNELS];
static bool silent; /* nobody may look at the clock */

static cupel_status fake_clock(void *user, const struct kernel_plan *plan,
                               const cupel_op_view *view, double rival, double *seconds,
                               struct cupel_error *error) {
    (void)user;
    (void)rival;
    (void)error;
    CHECK(!silent);
    cupel_layout layout = view->inputs[0].layout;
    layout = layout == CUPEL_LAYOUT_PLAIN ? view->outputs[0].layout : layout;
    for (int k = 0; k < KERNELS; k++)
        if (plan->kernel == &table[k]) {
            asked[k]++;
            *seconds = 1e-3 * times[k][layout];
            return *seconds < 0 ? CUPEL_STATUS_UNSUPPORTED : CUPEL_STATUS_OK;
        }
    check_failed(__FILE__, __LINE__, "%s is timed", plan->kernel->name);
    return CUPEL_STATUS_BUG;
}

static const struct kernel *const *kernels(struct backend *backend, const char *op) {
    static const struct kernel *lists[KERNELS][4];
    int n = 0;
    int first = 0;
    while (first < KERNELS && strcmp(table[first].op, op) != 0)
        first++;
    if (first == KERNELS)
        return ref_kernels(backend, op);
    const struct kernel **const list = lists[first];
    for (int k = first; k < KERNELS && strcmp(table[k].op, op) == 0; k++)
        list[n++] = &table[k];
    const struct kernel *const *const reference = ref_kernels(backend, op);
    list[n] = reference == NULL ? NULL : reference[0];
    return list;
}

static struct measured measured;

static void set_times(int kernel, double plain, double nhwc, double blocks_8, double blocks_16) {
    const double row[4] = {plain, nhwc, blocks_8, blocks_16};
    memcpy(times[kernel], row, sizeof row);
}

enum { PLAIN, BLOCKS, RELU, TANH, CHAIN, REORDER, SLOW, FAST };

static void open_clock(struct passes *p) {
    passes_open_kernels(p, "clock", kernels);
    memset(asked, 0, sizeof asked);
    silent = false;
    for (int k = 0; k < KERNELS; k++)
        set_times(k, 10, 10, 10, 10);
    p->measured = &measured;
    p->measure = fake_clock;
}

static void close_clock(struct passes *p) {
    measured_release(&measured);
    passes_close(p);
}

static cupel_node image(struct passes *p, int64_t channels) {
    return cupel_input(p->graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(2, channels, 4, 4));
}

static cupel_node conv(cupel_node x, const char *name, int64_t channels) {
    const int64_t in = cupel_node_shape(x).dims[1];
    const cupel_node w =
        cupel_parameter(x.graph, name, CUPEL_SHAPE(channels, in, 1, 1), (cupel_init){0});
    return cupel_conv2d(x, w, cupel_none(), NULL);
}

static const struct kernel_plan *plan_of(const struct passes *p, const char *op, int index) {
    return p->c.plans[passes_nth(p, op, index)];
}

static cupel_layout layout_of(const struct passes *p, const char *op, int index) {
    return p->c.list.nodes[passes_nth(p, op, index)].outputs[0].layout;
}

static void the_fastest_of_several_kernels_is_taken(void **state) {
    (void)state;
    static const struct {
        double slow, fast;
        const char *taken;
    } rows[] = {
        {10, 5, "test:fast"},
        {5, 10, "test:slow"},
        {10, 9.1, "test:slow"}, /* too little to leave the list's order */
        {-1, 50, "test:fast"},  /* cannot run */
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct passes p;
        check_context("row %zu", i);
        open_clock(&p);
        set_times(SLOW, rows[i].slow, 0, 0, 0);
        set_times(FAST, rows[i].fast, 0, 0, 0);
        const cupel_node x = cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(3, 2));
        const cupel_node y = cupel_input(p.graph, "y", CUPEL_TYPE_REAL, CUPEL_SHAPE(3, 2));
        passes_output(&p, "a", cupel_exp(x));
        passes_output(&p, "b", cupel_exp(y));
        passes_output(&p, "c", cupel_tanh(cupel_reshape(y, CUPEL_SHAPE(6))));
        passes_run(&p, "choose");
        CHECK_STRING(plan_of(&p, "exp", 0)->kernel->name, rows[i].taken);
        CHECK_STRING(plan_of(&p, "exp", 1)->kernel->name, rows[i].taken);
        /* for both, being identical; a second time where they are close */
        CHECK_I64(asked[SLOW], i == 2 ? 2 : 1);
        CHECK_I64(asked[FAST], i == 2 ? 2 : 1);
        CHECK_I64(asked[TANH], 0); /* alone */
        close_clock(&p);
    }
}

/* conv - relu - conv, in and out plain: three nodes and what reorders cost. */
static void chain(struct passes *p) {
    passes_output(p, "y", conv(cupel_relu(conv(image(p, 16), "w1", 16)), "w2", 32));
}

static void a_region_takes_the_layout_of_the_smallest_sum(void **state) {
    (void)state;
    enum { ROWS = 6 };
    static const struct {
        double plain[4], relu[4], blocks, reorder;
        cupel_layout layout;
        const char *kernel;
    } rows[ROWS] = {
        /* reorders are for nothing */
        {{10, 10, 10, 10}, {1, 1, 1, 1}, 10, 1, CUPEL_LAYOUT_PLAIN, "test:plain"},
        {{10, 5, 10, 10}, {1, 1, 1, 1}, 9, 1, CUPEL_LAYOUT_NHWC, "test:plain"},
        {{10, 5, 10, 10}, {1, 1, 1, 1}, 2, 1, CUPEL_LAYOUT_NCHW8C, "test:blocks"},
        {{10, 5, 3, 10}, {1, 1, 1, 1}, 4, 1, CUPEL_LAYOUT_NCHW8C, "test:plain"},
        {{10, 5, 5, 1}, {1, 1, 1, 3}, 5, 1, CUPEL_LAYOUT_NCHW16C, "test:plain"},
        /* the blocks' kernel wins by 12, and two reorders lose 14 */
        {{8, 9, 9, 9}, {1, 1, 1, 1}, 2, 7, CUPEL_LAYOUT_PLAIN, "test:plain"},
    };
    for (int i = 0; i < ROWS; i++) {
        struct passes p;
        check_context("row %d", i);
        open_clock(&p);
        memcpy(times[PLAIN], rows[i].plain, sizeof times[PLAIN]);
        memcpy(times[RELU], rows[i].relu, sizeof times[RELU]);
        set_times(BLOCKS, 0, 0, rows[i].blocks, 0);
        set_times(REORDER, 0, rows[i].reorder, rows[i].reorder, rows[i].reorder);
        chain(&p);
        passes_run(&p, "choose");
        passes_check_list(&p);
        CHECK_I64(layout_of(&p, "conv2d", 0), rows[i].layout);
        CHECK_I64(layout_of(&p, "relu", 0), rows[i].layout);
        CHECK_I64(layout_of(&p, "conv2d", 1), rows[i].layout);
        CHECK_STRING(plan_of(&p, "conv2d", 0)->kernel->name, rows[i].kernel);
        CHECK_I64(passes_count(&p, "reorder"), rows[i].layout == CUPEL_LAYOUT_PLAIN ? 0 : 2);
        close_clock(&p);
    }
}

/* Two regions, joined by a view alone, may differ; a layout that has lost is not timed further. */
static void regions_are_chosen_apart(void **state) {
    (void)state;
    struct passes p;
    open_clock(&p);
    const cupel_node first = conv(image(&p, 16), "w1", 16);
    const cupel_node second =
        cupel_reshape(cupel_reshape(first, CUPEL_SHAPE(2, 256)), CUPEL_SHAPE(2, 4, 8, 8));
    passes_output(&p, "y", conv(cupel_relu(conv(second, "w2", 4)), "w3", 4));
    /* The first may be blocked, the second has too few channels and is best in nhwc. */
    set_times(PLAIN, 100, 20, 30, 200);
    set_times(BLOCKS, 0, 0, 5, 0);
    passes_run(&p, "choose");
    CHECK_I64(layout_of(&p, "conv2d", 0), CUPEL_LAYOUT_NCHW8C);
    CHECK_I64(layout_of(&p, "conv2d", 1), CUPEL_LAYOUT_NHWC);
    CHECK_I64(layout_of(&p, "conv2d", 2), CUPEL_LAYOUT_NHWC);
    close_clock(&p);
}

static void parts_replace_a_chain_that_they_outrun(void **state) {
    (void)state;
    for (int faster = 0; faster < 2; faster++) {
        struct passes p;
        open_clock(&p);
        set_times(CHAIN, faster ? 30 : 15, 0, 0, 0);
        const cupel_node x = cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(3, 2));
        passes_output(&p, "y", cupel_tanh(cupel_exp(x))); /* 10 and 10 */
        passes_run(&p, "choose");
        CHECK_I64(passes_count(&p, "fused"), !faster);
        CHECK_I64(passes_count(&p, "tanh"), faster);
        CHECK_I64(passes_count(&p, "exp"), faster);
        CHECK_I64(p.c.n_plans, p.c.list.count);
        close_clock(&p);
    }
}

/* --- with a plan --- */

/* What was measured is recorded, and followed without a clock; so are nodes of the same name that
 * have another size. */
static void a_measured_plan_is_followed(void **state) {
    (void)state;
    cupel_plan *plan = NULL;
    cupel_context *context;
    CHECK_OK(cupel_context_create(&context, NULL));
    CHECK_OK(cupel_plan_create(&plan, context, 1));
    uint64_t record = 0;
    for (int round = 0; round < 3; round++) {
        struct passes p;
        check_context("round %d", round);
        open_clock(&p);
        set_times(CHAIN, 30, 30, 30, 30); /* splits */
        set_times(PLAIN, 9, 3, 9, 9);
        set_times(BLOCKS, 0, 0, 50, 0);
        set_times(REORDER, 0, 1, 1, 1);
        silent = round > 0;
        p.options.plan = plan;
        const int64_t batch = round == 2 ? 3 : 2;
        const cupel_node x =
            cupel_input(p.graph, "x", CUPEL_TYPE_REAL, CUPEL_SHAPE(batch, 16, 4, 4));
        const cupel_node h = cupel_tanh(cupel_exp(conv(x, "w1", 16)));
        passes_output(&p, "y", conv(h, "w2", 32));
        passes_run(&p, "choose");
        CHECK_I64(layout_of(&p, "conv2d", 0), CUPEL_LAYOUT_NHWC);
        CHECK_I64(layout_of(&p, "conv2d", 1), CUPEL_LAYOUT_NHWC);
        CHECK_STRING(plan_of(&p, "conv2d", 1)->kernel->name, "test:plain");
        CHECK_I64(passes_count(&p, "fused"), 0);
        if (round == 0)
            record = cupel_plan_hash(plan);
        CHECK((cupel_plan_hash(plan) == record) == (round < 2)); /* the third size is added */
        close_clock(&p);
    }
    cupel_plan_destroy(plan);
    CHECK_OK(cupel_context_destroy(context));
}

/* A run that runs out of memory while it chooses leaves nothing behind. */
static void refused_memory_is_survived(void **state) {
    (void)state;
    bool failed = true;
    for (uint64_t successes = 0; failed; successes++) {
        struct passes p;
        check_context("after %d allocations", (int)successes);
        open_clock(&p);
        set_times(PLAIN, 10, 5, 10, 10);
        set_times(REORDER, 0, 1, 1, 1);
        passes_output(&p, "y", cupel_tanh(cupel_exp(conv(image(&p, 16), "w1", 16))));
        passes_run(&p, "swaps");
        cupel_memory_fail_after(successes, false);
        const cupel_status status = pass_choose(&p.c);
        cupel_memory_fail_never();
        failed = status != CUPEL_STATUS_OK;
        if (failed)
            CHECK_STATUS(status, CUPEL_STATUS_OUT_OF_MEMORY);
        else
            CHECK_I64(layout_of(&p, "conv2d", 0), CUPEL_LAYOUT_NHWC);
        close_clock(&p);
    }
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_identical_has_one_key),
        cmocka_unit_test(a_kernel_is_timed_as_it_runs),
        cmocka_unit_test(the_fastest_of_several_kernels_is_taken),
        cmocka_unit_test(a_region_takes_the_layout_of_the_smallest_sum),
        cmocka_unit_test(regions_are_chosen_apart),
        cmocka_unit_test(parts_replace_a_chain_that_they_outrun),
        cmocka_unit_test(a_measured_plan_is_followed),
        cmocka_unit_test(refused_memory_is_survived),
    };
    return CHECK_MAIN(tests);
}
