/*
 * Times single kernels on the shapes of the networks cupel trains: GFLOP/s and GB/s, the fastest of
 * several runs. Kernels of a node stand below each other, so that they can be compared; the
 * reference is left out. Not a test: build it with the target bench_kernels and run
 *
 *   bench_kernels [threads [name]]     name: only cases whose line starts so
 */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "backend/backend.h"
#include "base/memory.h"
#include "base/number.h"
#include "base/parallel.h"
#include "op/op_fused.h"
#include "op/op_image_sweep.h"
#include "op/op_internal.h"

enum { MOST = 16, FEWEST_RUNS = 12 };

/* Short kernels are run so long that the processor has its full clock. */
static const double LEAST_SECONDS = 0.02;

static int threads = 2;
static const char *wanted = "";

struct node {
    const char *title;
    const cupel_op *op;
    const void *attrs;
    int n_inputs, n_outputs;
    cupel_desc inputs[MOST], outputs[CUPEL_OP_MAX_OUTPUTS];
    bool in_place; /* output k in the memory the op allows */
};

/* One thread is timed by its own clock, which other programs disturb less. */
static double now(void) {
    struct timespec t;
    clock_gettime(threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static size_t bytes_of(const struct kernel_plan *plan, int operand, bool output,
                       const cupel_desc *desc) {
    for (int p = 0; p < plan->n_packs; p++)
        if (plan->packs[p].operand == operand && plan->packs[p].output == output)
            return plan->packs[p].bytes;
    return cupel_desc_bytes(desc);
}

static void *make(size_t bytes, cupel_type type) {
    void *data = cupel_alloc_aligned(bytes);
    if (data == NULL)
        return NULL;
    memset(data, 0, bytes);
    if (type == CUPEL_TYPE_F32)
        for (size_t i = 0; i < bytes / sizeof(float); i++)
            ((float *)data)[i] = (float)(i * 2654435761U % 2001) * 1e-3F - 1;
    return data;
}

static void time_kernel(const struct node *n, const struct kernel *kernel,
                        const cupel_op_view *view) {
    const struct kernel_request request = {.view = *view, .threads = threads};
    const char *why = NULL;
    struct kernel_plan plan = {.kernel = kernel, .threads = threads};
    struct cupel_error error = {0};
    if (kernel->accept != NULL && !kernel->accept(&request, &why)) {
        printf("%-34s %-16s declined: %s\n", n->title, kernel->name, why);
        return;
    }
    if (kernel->plan != NULL && kernel->plan(&plan, &request, &error) != CUPEL_STATUS_OK) {
        printf("%-34s %-16s declined: %s\n", n->title, kernel->name, error.text);
        return;
    }
    void *inputs[MOST] = {NULL}, *outputs[CUPEL_OP_MAX_OUTPUTS] = {NULL};
    bool shared[CUPEL_OP_MAX_OUTPUTS] = {false};
    double moved = 0;
    for (int i = 0; i < n->n_inputs; i++) {
        inputs[i] = make(bytes_of(&plan, i, false, &n->inputs[i]), n->inputs[i].type);
        moved += (double)cupel_desc_bytes(&n->inputs[i]);
    }
    for (int k = 0; k < n->n_outputs; k++) {
        moved += (double)cupel_desc_bytes(&n->outputs[k]);
        shared[k] = n->in_place && n->op->in_place[k] > 0;
        outputs[k] = shared[k] ? inputs[n->op->in_place[k] - 1]
                               : make(bytes_of(&plan, k, true, &n->outputs[k]), n->outputs[k].type);
    }
    void *scratch = cupel_alloc_aligned(plan.scratch_bytes);
    const struct kernel_call call = {.view = view,
                                     .inputs = (const void *const *)inputs,
                                     .outputs = outputs,
                                     .scratch = scratch,
                                     .threads = threads};
    double best = 1e30, whole = 0;
    for (int r = 0; r < FEWEST_RUNS || whole < LEAST_SECONDS; r++) {
        const double start = now();
        if (kernel->run(&plan, &call) != CUPEL_STATUS_OK)
            printf("%s failed\n", kernel->name);
        const double took = now() - start;
        best = took < best ? took : best;
        whole += took;
    }
    const double flops =
        n->op->flops != NULL ? n->op->flops(view) : (double)cupel_shape_count(n->outputs[0].shape);
    printf("%-34s %-16s %8.3f ms %8.1f GFLOP/s %7.1f GB/s  %s\n", n->title, kernel->name,
           best * 1e3, flops / best * 1e-9, moved / best * 1e-9,
           plan.detail == NULL ? "" : plan.detail);
    if (kernel->drop != NULL)
        kernel->drop(&plan);
    for (int i = 0; i < n->n_inputs; i++)
        cupel_free(inputs[i]);
    for (int k = 0; k < n->n_outputs; k++)
        if (!shared[k])
            cupel_free(outputs[k]);
    cupel_free(scratch);
}

/* Infers what was not given, then times every kernel of the list but the reference. */
static void time_node(struct node *n) {
    if (strncmp(n->title, wanted, strlen(wanted)) != 0)
        return;
    cupel_desc outputs[CUPEL_OP_MAX_OUTPUTS];
    memcpy(outputs, n->outputs, sizeof outputs);
    if (n->n_outputs == 0)
        n->n_outputs = n->op->n_outputs;
    const cupel_op_view view = {.op = n->op,
                                .attrs = n->attrs,
                                .name = n->title,
                                .n_inputs = n->n_inputs,
                                .inputs = n->inputs,
                                .n_outputs = n->n_outputs,
                                .outputs = n->outputs};
    if (n->op->infer(&view) != CUPEL_STATUS_OK) {
        printf("%s: wrong shapes\n", n->title);
        return;
    }
    for (int k = 0; k < n->n_outputs; k++) {
        n->outputs[k].layout = outputs[k].layout;
        if (n->outputs[k].type == CUPEL_TYPE_REAL)
            n->outputs[k].type = CUPEL_TYPE_F32;
    }
    for (const struct kernel *const *k = cpu_kernels(NULL, n->op->name); *k != NULL; k++)
        if (((*k)->flags & KERNEL_REFERENCE) == 0)
            time_kernel(n, *k, &view);
}

static cupel_desc tensor(cupel_layout layout, cupel_shape shape) {
    return (cupel_desc){.type = CUPEL_TYPE_F32, .layout = layout, .shape = shape};
}

static cupel_desc plain(cupel_shape shape) {
    return tensor(CUPEL_LAYOUT_PLAIN, shape);
}

static const cupel_layout blocked = CUPEL_LAYOUT_NCHW16C;

/* The three directions of a 3x3 convolution without padding, batch 100. */
static void conv(int64_t in, int64_t out, int64_t extent, bool transposed) {
    char title[3][64];
    const struct attrs_conv forward = {
        .stride = {1, 1}, .dilation = {1, 1}, .groups = 1, .with_bias = !transposed};
    struct attrs_conv data = forward, weights = forward;
    data.with_bias = 0;
    data.src_hw[0] = data.src_hw[1] = extent;
    weights.kernel[0] = weights.kernel[1] = 3;
    const cupel_layout of_src = in % 16 ? CUPEL_LAYOUT_PLAIN : blocked;
    const cupel_desc src = tensor(of_src, CUPEL_SHAPE(100, in, extent, extent));
    const cupel_desc dst = tensor(blocked, CUPEL_SHAPE(100, out, extent - 2, extent - 2));
    const cupel_desc filters = plain(CUPEL_SHAPE(out, in, 3, 3));
    static const char *const names[] = {"forward", "backward data", "backward weights"};
    for (int d = 0; d < 3; d++)
        snprintf(title[d], sizeof title[d], "conv %lld-%lld@%lld %s", (long long)in, (long long)out,
                 (long long)extent, names[d]);
    struct node f = {.title = title[0],
                     .op = &op_conv2d,
                     .attrs = &forward,
                     .n_inputs = transposed ? 2 : 3,
                     .inputs = {src, filters, plain(CUPEL_SHAPE(out))},
                     .outputs = {{.layout = blocked}}};
    struct node d = {.title = title[1],
                     .op = &op_conv2d_backward_data,
                     .attrs = &data,
                     .n_inputs = 2,
                     .inputs = {dst, filters},
                     .outputs = {{.layout = of_src}}};
    struct node w = {.title = title[2],
                     .op = &op_conv2d_backward_weights,
                     .attrs = &weights,
                     .n_inputs = 2,
                     .inputs = {src, dst}};
    time_node(&f);
    time_node(&d);
    time_node(&w);
}

static void matmul(const char *title, cupel_shape a, cupel_shape b, bool ta, bool tb) {
    const struct attrs_matmul attrs = {.transpose_a = ta, .transpose_b = tb};
    struct node n = {.title = title,
                     .op = &op_matmul,
                     .attrs = &attrs,
                     .n_inputs = 2,
                     .inputs = {plain(a), plain(b)}};
    time_node(&n);
}

/* The 86,528x16 dense layers of the convolutional autoencoder on images in blocks. */
static void image_products(void) {
    const cupel_desc image = tensor(blocked, CUPEL_SHAPE(100, 128, 26, 26));
    const cupel_desc few = plain(CUPEL_SHAPE(100, 16)), scalar = plain(cupel_shape_scalar());
    const cupel_desc down = plain(CUPEL_SHAPE(16, 86528)), up = plain(CUPEL_SHAPE(86528, 16));
    const struct attrs_image_matmul result = {
        .role = IMAGE_RESULT, .image = {128, 26, 26}, .products = 1};
    struct attrs_image_matmul attrs = {.role = IMAGE_A, .transpose_b = 1, .products = 1};
    time_node(&(struct node){.title = "image 86528 to 16",
                             .op = &op_image_matmul,
                             .attrs = &attrs,
                             .n_inputs = 2,
                             .inputs = {image, down}});
    attrs.transpose_b = 0;
    time_node(&(struct node){.title = "image 16 to 86528 data",
                             .op = &op_image_matmul,
                             .attrs = &attrs,
                             .n_inputs = 2,
                             .inputs = {image, up}});
    attrs = result;
    attrs.products = 2;
    attrs.finish = IMAGE_SELECT;
    time_node(&(struct node){.title = "image two heads' data, relu's",
                             .op = &op_image_matmul,
                             .attrs = &attrs,
                             .n_inputs = 6,
                             .inputs = {few, down, few, down, image, scalar},
                             .outputs = {{.layout = blocked}}});
    attrs = result;
    attrs.transpose_b = attrs.with_bias = 1;
    attrs.finish = IMAGE_RELU;
    time_node(&(struct node){.title = "image 16 to 86528 bias relu",
                             .op = &op_image_matmul,
                             .attrs = &attrs,
                             .n_inputs = 3,
                             .inputs = {few, up, plain(CUPEL_SHAPE(86528))},
                             .outputs = {{.layout = blocked}}});
    const struct attrs_adam adam = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
    for (int role = IMAGE_A; role <= IMAGE_B; role++) {
        attrs = (struct attrs_image_matmul){.role = role, .transpose_a = 1, .products = 1};
        time_node(&(struct node){
            .title = role == IMAGE_A ? "image weights" : "image weights turned",
            .op = &op_image_matmul,
            .attrs = &attrs,
            .n_inputs = 2,
            .inputs = {role == IMAGE_A ? image : few, role == IMAGE_A ? few : image}});
        struct attrs_product_update both = {
            .image = attrs, .update = &op_adam_update, .gradient = 1};
        memcpy(both.update_attrs, &adam, sizeof adam);
        const cupel_desc p = role == IMAGE_A ? up : down;
        const cupel_desc step = cupel_desc_plain(CUPEL_TYPE_F64, cupel_shape_scalar());
        time_node(&(struct node){.title = role == IMAGE_A ? "image adam" : "image adam turned",
                                 .op = &op_image_update,
                                 .attrs = &both,
                                 .n_inputs = 7,
                                 .inputs = {role == IMAGE_A ? image : few,
                                            role == IMAGE_A ? few : image, p, p, p, scalar, step}});
        /* Beside a bias, and beside another one. */
        const cupel_desc bias = plain(CUPEL_SHAPE(86528));
        struct attrs_product_update second = both;
        second.summed = role == IMAGE_A;
        struct attrs_image_sweep sweep = {0};
        if (!image_sweep_append(&sweep, "first", &both, 7, 3) ||
            !image_sweep_append(&sweep, "second", &second, role == IMAGE_A ? 6 : 7, 3))
            continue;
        struct node node = {
            .title = role == IMAGE_A ? "image adam and bias" : "image adam twice",
            .op = &op_image_sweep,
            .attrs = &sweep,
            .n_inputs = 12,
            .inputs = {image, few, p, p, p, scalar, step, bias, bias, bias, scalar, step},
            .n_outputs = 6};
        if (role == IMAGE_B) {
            const cupel_desc more[] = {few, p, p, p, scalar, step};
            memcpy(&node.inputs[7], more, sizeof more);
            node.n_inputs = 13;
        }
        time_node(&node);
    }
}

/* Those of the 784-100-5 autoencoder at batch 32, and squares of growing size. */
static void small_products(void) {
    matmul("small 784 to 100", CUPEL_SHAPE(32, 784), CUPEL_SHAPE(100, 784), false, true);
    matmul("small 784 to 100 weights", CUPEL_SHAPE(32, 100), CUPEL_SHAPE(32, 784), true, false);
    matmul("small 100 to 784", CUPEL_SHAPE(32, 100), CUPEL_SHAPE(784, 100), false, true);
    matmul("small 100 to 784 data", CUPEL_SHAPE(32, 784), CUPEL_SHAPE(784, 100), false, false);
    matmul("small 100 to 784 weights", CUPEL_SHAPE(32, 784), CUPEL_SHAPE(32, 100), true, false);
    matmul("small 100 to 5", CUPEL_SHAPE(32, 100), CUPEL_SHAPE(5, 100), false, true);
    matmul("small 100 to 5 data", CUPEL_SHAPE(32, 5), CUPEL_SHAPE(5, 100), false, false);
    matmul("small 100 to 5 weights", CUPEL_SHAPE(32, 5), CUPEL_SHAPE(32, 100), true, false);
    static const int64_t sizes[] = {16, 64, 128, 256, 512, 1024};
    for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
        char title[64];
        snprintf(title, sizeof title, "square %lld", (long long)sizes[s]);
        matmul(title, CUPEL_SHAPE(sizes[s], sizes[s]), CUPEL_SHAPE(sizes[s], sizes[s]), false,
               false);
        snprintf(title, sizeof title, "square %lld b transposed", (long long)sizes[s]);
        matmul(title, CUPEL_SHAPE(sizes[s], sizes[s]), CUPEL_SHAPE(sizes[s], sizes[s]), false,
               true);
    }
}

static void chains(void) {
    const cupel_shape image = CUPEL_SHAPE(100, 64, 28, 28);
    struct attrs_fused bias_relu = {.n_parts = 2, .n_outputs = 1, .outputs = {1}};
    bias_relu.parts[0] = (struct fused_part){
        .op = &op_add, .n_inputs = 2, .inputs = {fused_input(0), fused_input(1)}};
    bias_relu.parts[1] =
        (struct fused_part){.op = &op_relu, .n_inputs = 1, .inputs = {fused_earlier(0)}};
    struct attrs_fused mask = {.n_parts = 2, .n_outputs = 1, .outputs = {1}};
    const struct attrs_compare compare = {.comparison = CUPEL_NOT_EQUAL};
    mask.parts[0] = (struct fused_part){
        .op = &op_compare, .n_inputs = 2, .inputs = {fused_input(0), fused_input(2)}};
    memcpy(mask.parts[0].attrs, &compare, sizeof compare);
    mask.parts[1] =
        (struct fused_part){.op = &op_select,
                            .n_inputs = 3,
                            .inputs = {fused_earlier(0), fused_input(1), fused_input(2)}};
    const cupel_layout layouts[] = {CUPEL_LAYOUT_PLAIN, blocked};
    static const char *const titles[][2] = {
        {"chain bias+relu plain", "chain bias+relu blocked"},
        {"chain relu gradient plain", "chain relu gradient blocked"}};
    for (int l = 0; l < 2; l++) {
        struct node a = {.title = titles[0][l],
                         .op = &op_fused,
                         .attrs = &bias_relu,
                         .n_inputs = 2,
                         .n_outputs = 1,
                         .inputs = {tensor(layouts[l], image), plain(CUPEL_SHAPE(1, 64, 1, 1))},
                         .outputs = {{.layout = layouts[l]}}};
        time_node(&a);
        struct node b = {.title = titles[1][l],
                         .op = &op_fused,
                         .attrs = &mask,
                         .n_inputs = 3,
                         .n_outputs = 1,
                         .inputs = {tensor(layouts[l], image), tensor(layouts[l], image),
                                    plain(cupel_shape_scalar())},
                         .outputs = {{.layout = layouts[l]}}};
        time_node(&b);
    }
    static const struct {
        const char *title;
        const cupel_op *op;
        int n;
    } lone[] = {{"chain exp", &op_exp, 1},           {"chain log", &op_log, 1},
                {"chain sigmoid", &op_sigmoid, 1},   {"chain tanh", &op_tanh, 1},
                {"chain softplus", &op_softplus, 1}, {"chain add", &op_add, 2},
                {"chain relu", &op_relu, 1}};
    for (size_t i = 0; i < sizeof lone / sizeof lone[0]; i++) {
        struct node n = {.title = lone[i].title,
                         .op = lone[i].op,
                         .n_inputs = lone[i].n,
                         .inputs = {plain(image), plain(image)}};
        time_node(&n);
    }
}

static cupel_status reorder_infer(const cupel_op_view *view) {
    view->outputs[0] = view->inputs[0];
    return CUPEL_STATUS_OK;
}

static void reorders(void) {
    static const cupel_op reorder = {.name = "reorder", .n_outputs = 1, .infer = reorder_infer};
    const cupel_shape image = CUPEL_SHAPE(100, 128, 26, 26);
    struct node to = {.title = "reorder to blocked",
                      .op = &reorder,
                      .n_inputs = 1,
                      .inputs = {plain(image)},
                      .outputs = {{.layout = blocked}}};
    time_node(&to);
    struct node from = {.title = "reorder to plain",
                        .op = &reorder,
                        .n_inputs = 1,
                        .inputs = {tensor(blocked, image)}};
    time_node(&from);
}

static void reductions(void) {
    static const struct {
        const char *title;
        const cupel_op *op;
        bool blocked;
        int64_t dims[4];
        int rank;
        int64_t axes;
    } rows[] = {
        {"sum channels blocked", &op_reduce_sum, true, {100, 64, 28, 28}, 4, 13},
        {"sum channels plain", &op_reduce_sum, false, {100, 64, 28, 28}, 4, 13},
        {"sum batch blocked", &op_reduce_sum, true, {100, 128, 26, 26}, 4, 1},
        {"sum one channel", &op_reduce_sum, false, {100, 1, 32, 32}, 4, 13},
        {"sum columns 100x86528", &op_reduce_sum, false, {100, 86528}, 2, 1},
        {"sum rows 100x86528", &op_reduce_sum, false, {100, 86528}, 2, 2},
        {"sum all", &op_reduce_sum, false, {100, 86528}, 2, 3},
        {"max rows", &op_reduce_max, false, {100, 86528}, 2, 2},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        const struct attrs_reduce attrs = {.axes = rows[r].axes};
        struct node n = {.title = rows[r].title,
                         .op = rows[r].op,
                         .attrs = &attrs,
                         .n_inputs = 1,
                         .inputs = {tensor(rows[r].blocked ? blocked : CUPEL_LAYOUT_PLAIN,
                                           cupel_shape_make(rows[r].rank, rows[r].dims))}};
        time_node(&n);
    }
}

static void updates(void) {
    static const struct {
        const char *title;
        int64_t count;
    } sizes[] = {{"adam 4.4 M", 4425121}, {"adam 73,728", 73728}, {"adam 64", 64}};
    const struct attrs_adam attrs = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
    for (size_t i = 0; i < 3; i++) {
        const cupel_desc p = plain(CUPEL_SHAPE(sizes[i].count));
        const cupel_desc step = cupel_desc_plain(CUPEL_TYPE_F64, cupel_shape_scalar());
        struct node n = {.title = sizes[i].title,
                         .op = &op_adam_update,
                         .attrs = &attrs,
                         .n_inputs = 6,
                         .inputs = {p, p, p, p, plain(cupel_shape_scalar()), step},
                         .in_place = true};
        time_node(&n);
    }
}

static void draws(void) {
    const struct attrs_random attrs = {.stream = 1, .rank = 2, .dims = {100, 50176}, .p = 0.5};
    const cupel_desc scalar = cupel_desc_plain(CUPEL_TYPE_U64, cupel_shape_scalar());
    const cupel_desc ids = cupel_desc_plain(CUPEL_TYPE_U64, CUPEL_SHAPE(100));
    static const cupel_op *const ops[] = {&op_sample_uniform, &op_sample_normal, &op_dropout};
    for (int i = 0; i < 3; i++) {
        struct node n = {.title = ops[i]->name,
                         .op = ops[i],
                         .attrs = &attrs,
                         .n_inputs = i == 2 ? 4 : 3,
                         .inputs = {scalar, scalar, ids, plain(CUPEL_SHAPE(100, 50176))}};
        time_node(&n);
    }
}

int main(int argc, char **argv) {
    int64_t value = 0;
    if (argc > 1 && number_parse_i64(argv[1], &value))
        threads = (int)value;
    if (argc > 2)
        wanted = argv[2];
    const unsigned saved = parallel_fp_begin();
    conv(1, 32, 32, false);
    conv(32, 64, 30, false);
    conv(64, 128, 28, false);
    matmul("dense 86528 to 16", CUPEL_SHAPE(100, 86528), CUPEL_SHAPE(16, 86528), false, true);
    matmul("dense 86528 to 16 data", CUPEL_SHAPE(100, 16), CUPEL_SHAPE(16, 86528), false, false);
    matmul("dense 86528 to 16 weights", CUPEL_SHAPE(100, 16), CUPEL_SHAPE(100, 86528), true, false);
    matmul("dense 16 to 86528", CUPEL_SHAPE(100, 16), CUPEL_SHAPE(86528, 16), false, true);
    matmul("dense 16 to 86528 data", CUPEL_SHAPE(100, 86528), CUPEL_SHAPE(86528, 16), false, false);
    matmul("dense 16 to 86528 weights", CUPEL_SHAPE(100, 86528), CUPEL_SHAPE(100, 16), true, false);
    image_products();
    small_products();
    chains();
    reorders();
    reductions();
    updates();
    draws();
    parallel_fp_end(saved);
    return 0;
}
