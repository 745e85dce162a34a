/*
 * Own Winograd convolutions against oneDNN's best kernel, alternately in one run: in each round
 * every kernel runs once on the same operands, so that a clock that drifts and neighbours that come
 * and go meet all of them alike. Weights are packed beforehand for all, as in a program. Not a
 * test: build it with the target bench_winograd and run
 *
 *   bench_winograd [threads [rounds [name]]]     name: only lines that start so
 */
#define _POSIX_C_SOURCE 200809L
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "backend/backend.h"
#include "base/memory.h"
#include "base/number.h"
#include "base/parallel.h"
#include "deconvolution.h"
#include "op/op_internal.h"

enum { MOST_KERNELS = 8, MOST_ROUNDS = 200, MOST_OPERANDS = 4 };

static int threads = 2, rounds = 15;
static const char *wanted = "";

struct shape {
    const char *title;
    bool transposed;
    int64_t images, in, out, extent, padding;        /* of the mirrored convolution */
    double forward, backward_data, backward_weights; /* ratios to be reached; 0: none */
};

static const struct shape shapes[] = {
    {"32-32 at 32x32, padding 1", false, 100, 32, 32, 32, 1, 1.35, 1.35, 1.2},
    {"32-64 at 30x30", false, 100, 32, 64, 30, 0, 0, 0, 0},
    {"64-128 at 28x28", false, 100, 64, 128, 28, 0, 1.35, 1.35, 1.1},
    {"128-64 transposed at 26x26", true, 100, 64, 128, 28, 0, 1.35, 1.35, 1.1},
    {"64-64 at 32x32, padding 1", false, 128, 64, 64, 32, 1, 0, 0, 0},
};

struct contender {
    const struct kernel *kernel;
    struct kernel_plan plan;
    void *packed[MOST_OPERANDS]; /* per operand, inputs then outputs: its private form */
    void *scratch;
    double took[MOST_ROUNDS], middle; /* seconds; a value of the result */
};

struct node {
    cupel_op_view view;
    cupel_desc inputs[MOST_OPERANDS], outputs[CUPEL_OP_MAX_OUTPUTS];
    void *data[MOST_OPERANDS + CUPEL_OP_MAX_OUTPUTS];
    int n;
    struct contender contenders[MOST_KERNELS];
};

static struct backend *device;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* In whole huge pages, as what belongs to a program lies in one large block. */
static size_t whole_pages(size_t bytes) {
    return (bytes + CUPEL_HUGE_PAGE - 1) / CUPEL_HUGE_PAGE * CUPEL_HUGE_PAGE;
}

static float *make(size_t bytes) {
    float *data = device->allocate(device, whole_pages(bytes));
    if (data == NULL) {
        fputs("bench_winograd: out of memory\n", stderr);
        exit(1);
    }
    for (size_t i = 0; i < bytes / sizeof *data; i++)
        data[i] = (float)(i * 2654435761U % 2001) * 1e-3F - 1;
    return data;
}

static void discard(void *data, size_t bytes) {
    device->release(device, data, whole_pages(bytes));
}

/* False where the kernel declines. */
static bool enter(struct node *n, const struct kernel *kernel) {
    struct contender *c = &n->contenders[n->n];
    const struct kernel_request request = {.view = n->view, .threads = threads};
    const char *why = "";
    struct cupel_error error = {0};
    *c = (struct contender){.kernel = kernel, .plan = {.kernel = kernel, .threads = threads}};
    if ((kernel->accept != NULL && !kernel->accept(&request, &why)) ||
        (kernel->plan != NULL && kernel->plan(&c->plan, &request, &error) != CUPEL_STATUS_OK))
        return false;
    for (int p = 0; p < c->plan.n_packs; p++) {
        const struct kernel_pack *pack = &c->plan.packs[p];
        const int operand = pack->operand + (pack->output ? n->view.n_inputs : 0);
        c->packed[operand] = make(pack->bytes);
        if (!pack->output)
            kernel->pack(&c->plan, p, n->data[operand], c->packed[operand]);
    }
    c->scratch = make(c->plan.scratch_bytes + 64);
    n->n++;
    return true;
}

static void leave(const struct node *n, struct contender *c) {
    for (int p = 0; p < c->plan.n_packs; p++) {
        const struct kernel_pack *pack = &c->plan.packs[p];
        discard(c->packed[pack->operand + (pack->output ? n->view.n_inputs : 0)], pack->bytes);
    }
    discard(c->scratch, c->plan.scratch_bytes + 64);
    if (c->kernel->drop != NULL)
        c->kernel->drop(&c->plan);
}

static double run(struct node *n, struct contender *c) {
    void *all[MOST_OPERANDS + CUPEL_OP_MAX_OUTPUTS];
    for (int i = 0; i < n->view.n_inputs + n->view.n_outputs; i++)
        all[i] = i < MOST_OPERANDS && c->packed[i] != NULL ? c->packed[i] : n->data[i];
    const struct kernel_call call = {.view = &n->view,
                                     .inputs = (const void *const *)all,
                                     .outputs = all + n->view.n_inputs,
                                     .scratch = c->scratch,
                                     .threads = threads};
    const double start = now();
    if (c->kernel->run(&c->plan, &call) != CUPEL_STATUS_OK)
        fprintf(stderr, "%s failed\n", c->kernel->name);
    return now() - start;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(const double *values) {
    double sorted[MOST_ROUNDS];
    memcpy(sorted, values, (size_t)rounds * sizeof *sorted);
    qsort(sorted, (size_t)rounds, sizeof *sorted, ascending);
    return sorted[rounds / 2];
}

static void enter_all(struct node *n, bool transposed) {
    n->n = 0;
    for (const struct kernel *const *k = cpu_kernels(NULL, n->view.op->name); *k != NULL; k++)
        if (((*k)->flags & KERNEL_REFERENCE) == 0 && n->n < MOST_KERNELS)
            (void)enter(n, *k);
    for (const struct kernel *k = deconvolution_kernels; transposed && k->op != NULL; k++)
        if (strcmp(k->op, n->view.op->name) == 0 && n->n < MOST_KERNELS)
            (void)enter(n, k);
}

/* Pages, caches and the library's code; and who computes something else is told. */
static void warm_up(struct node *n, const char *title) {
    for (int i = 0; i < n->n; i++) {
        struct contender *c = &n->contenders[i];
        (void)run(n, c);
        float *result = n->data[n->view.n_inputs];
        for (int p = 0; p < c->plan.n_packs; p++)
            if (c->plan.packs[p].output)
                c->kernel->pack(&c->plan, p, c->packed[n->view.n_inputs], result);
        const size_t last = cupel_desc_bytes(&n->outputs[0]) / sizeof(float) - 1;
        c->middle = (double)result[last / 2];
        if (fabs(c->middle - n->contenders[0].middle) > 1e-3 * fabs(c->middle) + 0.1)
            fprintf(stderr, "%s: %s gives %g, %s %g\n", title, c->kernel->name, c->middle,
                    n->contenders[0].kernel->name, n->contenders[0].middle);
        memset(result, 0, cupel_desc_bytes(&n->outputs[0]));
    }
}

static void compete(struct node *n, const char *title, bool transposed, double least) {
    const double flops = n->view.op->flops(&n->view);
    enter_all(n, transposed);
    warm_up(n, title);
    for (int r = 0; r < rounds; r++)
        for (int i = 0; i < n->n; i++)
            n->contenders[i].took[r] = run(n, &n->contenders[i]);
    const struct contender *own = NULL, *peer = NULL;
    for (int i = 0; i < n->n; i++) {
        const struct contender *c = &n->contenders[i];
        const double t = median(c->took);
        printf("%-44s %-22s %8.3f ms %7.0f GFLOP/s  %s\n", title, c->kernel->name, t * 1e3,
               flops / t * 1e-9, c->plan.detail == NULL ? "" : c->plan.detail);
        const struct contender **best = strncmp(c->kernel->name, "onednn", 6) == 0 ? &peer : &own;
        if (*best == NULL || t < median((*best)->took))
            *best = c;
    }
    if (own != NULL && peer != NULL) {
        double ratios[MOST_ROUNDS];
        for (int r = 0; r < rounds; r++)
            ratios[r] = peer->took[r] / own->took[r];
        const double ratio = median(ratios);
        printf("%-44s ratio %.2f", title, ratio);
        if (least > 0)
            printf(", at least %.2f: %s", least, ratio >= least ? "met" : "missed");
        printf("\n");
    }
    for (int i = 0; i < n->n; i++)
        leave(n, &n->contenders[i]);
}

static cupel_desc tensor(cupel_layout layout, cupel_shape shape) {
    return (cupel_desc){.type = CUPEL_TYPE_F32, .layout = layout, .shape = shape};
}

static void direction(const struct shape *s, const char *name, const cupel_op *op,
                      const struct attrs_conv *attrs, const cupel_desc *first,
                      const cupel_desc *second, const cupel_desc *result, double least) {
    char title[64];
    snprintf(title, sizeof title, "%s %s", s->title, name);
    if (strncmp(title, wanted, strlen(wanted)) != 0)
        return;
    struct node n = {.inputs = {*first, *second}, .outputs = {*result}};
    n.view = (cupel_op_view){.op = op,
                             .attrs = attrs,
                             .name = title,
                             .n_inputs = 2,
                             .inputs = n.inputs,
                             .n_outputs = op->n_outputs,
                             .outputs = n.outputs};
    if (op->n_outputs > 1)
        n.outputs[1] = tensor(CUPEL_LAYOUT_PLAIN, cupel_shape_scalar());
    for (int i = 0; i < 2; i++)
        n.data[i] = make(cupel_desc_bytes(&n.inputs[i]));
    for (int k = 0; k < op->n_outputs; k++)
        n.data[2 + k] = make(cupel_desc_bytes(&n.outputs[k]));
    compete(&n, title, s->transposed, least);
    for (int i = 0; i < 2; i++)
        discard(n.data[i], cupel_desc_bytes(&n.inputs[i]));
    for (int k = 0; k < op->n_outputs; k++)
        discard(n.data[2 + k], cupel_desc_bytes(&n.outputs[k]));
}

static void all_directions(const struct shape *s) {
    const cupel_layout blocked =
        cpu_channel_block() == 16 ? CUPEL_LAYOUT_NCHW16C : CUPEL_LAYOUT_NCHW8C;
    const int64_t after = s->extent + 2 * s->padding - 2;
    const cupel_desc src = tensor(blocked, CUPEL_SHAPE(s->images, s->in, s->extent, s->extent));
    const cupel_desc dst = tensor(blocked, CUPEL_SHAPE(s->images, s->out, after, after));
    const cupel_desc weights = tensor(CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(s->out, s->in, 3, 3));
    const struct attrs_conv attrs = {.stride = {1, 1},
                                     .padding = {s->padding, s->padding},
                                     .dilation = {1, 1},
                                     .groups = 1,
                                     .src_hw = {s->extent, s->extent},
                                     .kernel = {3, 3}};
    /* A transposed convolution's forward is backward data of the convolution it mirrors. */
    const bool t = s->transposed;
    direction(s, t ? "backward data" : "forward", &op_conv2d, &attrs, &src, &weights, &dst,
              t ? s->backward_data : s->forward);
    direction(s, t ? "forward" : "backward data", &op_conv2d_backward_data, &attrs, &dst, &weights,
              &src, t ? s->forward : s->backward_data);
    direction(s, "backward weights", &op_conv2d_backward_weights, &attrs, &src, &dst, &weights,
              s->backward_weights);
}

/* The library's threads must not spin when our kernel runs after its: they would take the time of
 * ours. The runtime reads its policy when it is loaded, so the program starts itself again, as
 * cupel does. */
static void wait_politely(char **argv) {
    if (getenv("OMP_WAIT_POLICY") == NULL && setenv("OMP_WAIT_POLICY", "passive", 1) == 0)
        (void)execv("/proc/self/exe", argv);
}

int main(int argc, char **argv) {
    int64_t value = 0;
    wait_politely(argv);
    if (argc > 1 && number_parse_i64(argv[1], &value) && value > 0)
        threads = (int)value;
    if (argc > 2 && number_parse_i64(argv[2], &value) && value > 0)
        rounds = value < MOST_ROUNDS ? (int)value : MOST_ROUNDS;
    if (backend_create(&device, "cpu") != CUPEL_STATUS_OK)
        return 1;
    if (argc > 3)
        wanted = argv[3];
    const unsigned saved = parallel_fp_begin();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        all_directions(&shapes[i]);
    parallel_fp_end(saved);
    device->destroy(device);
    return 0;
}
