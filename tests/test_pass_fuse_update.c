/*
 * Updates fused with the products that make their gradients (src/compile/fuse_update.c), split
 * where no kernel takes them (src/compile/choose.c), and the reference kernel that never lays the
 * gradient down (src/backend/ref/ref_product_update.c): the bits of the two run apart.
 */
#include "support/net.h"
#include "support/passes.h"

#include "compile/program_internal.h"
#include "op/op_internal.h"
#include "op/op_product_update.h"

/* --- which updates are fused --- */

enum product_kind { PLAIN, TWICE, AS_OUTPUT, BATCHED, RESHAPED, NO_PRODUCT, KINDS };
static const char *const kind_names[] = {"plain",   "used twice", "an output",
                                         "batched", "reshaped",   "no product"};

/* A parameter p [6, 5] and an update of it by a gradient of that kind. */
static void build_update(struct passes *p, enum product_kind kind,
                         const cupel_optimizer *optimizer) {
    const bool batched = kind == BATCHED;
    const cupel_shape shape = batched ? CUPEL_SHAPE(2, 6, 5) : CUPEL_SHAPE(6, 5);
    const cupel_node parameter =
        cupel_parameter(p->graph, "p", shape, (cupel_init){.kind = CUPEL_INIT_ONES});
    const cupel_node a = cupel_input(p->graph, "a", CUPEL_TYPE_REAL,
                                     batched ? CUPEL_SHAPE(2, 7, 6) : CUPEL_SHAPE(7, 6));
    const cupel_node b = cupel_input(p->graph, "b", CUPEL_TYPE_REAL, CUPEL_SHAPE(7, 5));
    const cupel_node rate = cupel_input(p->graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    cupel_node gradient = cupel_matmul(a, b, true, false);
    if (kind == NO_PRODUCT)
        gradient = cupel_input(p->graph, "g", CUPEL_TYPE_REAL, shape);
    if (kind == RESHAPED)
        gradient =
            cupel_reshape(cupel_matmul(b, a, true, false), shape); /* [5, 6] as if it were p's */
    if (kind == TWICE)
        passes_output(p, "sum", cupel_reduce_sum(gradient, CUPEL_ALL_AXES, false));
    if (kind == AS_OUTPUT)
        passes_output(p, "gradient", gradient);
    cupel_optimizer_apply(p->graph, "optimizer", optimizer, rate, 1, &parameter, &gradient);
}

static int updates_alone(const struct passes *p) {
    return passes_count(p, "adam_update") + passes_count(p, "sgd_update");
}

static void test_what_is_fused(void **state) {
    (void)state;
    for (int optimizer_kind = CUPEL_SGD; optimizer_kind <= CUPEL_ADAMW; optimizer_kind++)
        for (int kind = 0; kind < KINDS; kind++) {
            check_context("%s, optimiser %d", kind_names[kind], optimizer_kind);
            const cupel_optimizer optimizer =
                cupel_optimizer_defaults((cupel_optimizer_kind)optimizer_kind);
            const bool fused = kind == PLAIN;
            struct passes p;
            passes_open(&p, "reference", CUPEL_TYPE_F32);
            build_update(&p, (enum product_kind)kind, &optimizer);
            passes_run(&p, "fuse_update");
            passes_check_list(&p);
            CHECK_I64(passes_count(&p, "product_update"), fused ? 1 : 0);
            CHECK_I64(updates_alone(&p), fused ? 0 : 1);
            CHECK_I64(passes_count(&p, "matmul"), fused || kind == NO_PRODUCT ? 0 : 1);
            passes_close(&p);
        }
}

/* The node keeps both parts, their names, and says where its results may lie. */
static void test_operands(void **state) {
    (void)state;
    for (int momentum = 0; momentum < 2; momentum++) {
        const cupel_optimizer sgd = {.kind = CUPEL_SGD, .momentum = momentum ? .9 : 0.};
        struct passes p;
        passes_open(&p, "reference", CUPEL_TYPE_F32);
        build_update(&p, PLAIN, &sgd);
        passes_run(&p, "fuse_update");
        const struct graph_node *node = compile_node(&p.c, passes_nth(&p, "product_update", 0));
        const struct attrs_product_update *attrs = node->attrs;
        CHECK_I64(node->n_inputs, momentum ? 5 : 4); /* a, b, p, rate, buffer */
        CHECK_I64(attrs->gradient, 1);
        CHECK(attrs->product.transpose_a && !attrs->product.transpose_b);
        CHECK_I64(product_update_in_place(attrs, (int)node->n_inputs, 0), 1 + 2);
        CHECK_I64(product_update_in_place(attrs, (int)node->n_inputs, 1), momentum ? 1 + 4 : 0);
        CHECK_STRING(compile_node(&p.c, node->inputs[0].node)->name, "a");
        CHECK_STRING(compile_node(&p.c, node->inputs[2].node)->variable->name, "p");
        CHECK_STRING(compile_node(&p.c, node->inputs[3].node)->name, "rate");
        passes_close(&p);
    }
}

/* --- where it is not --- */

static cupel_status decline(struct kernel_plan *plan, const struct kernel_request *request,
                            struct cupel_error *error) {
    (void)plan;
    (void)request;
    return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED, "never");
}

static const struct kernel *const *declining_kernels(struct backend *backend, const char *op) {
    static const struct kernel never = {
        .op = "product_update", .name = "test:never", .plan = decline};
    static const struct kernel *const list[] = {&never, NULL};
    return strcmp(op, "product_update") == 0 ? list : cpu_kernels(backend, op);
}

/* The cpu takes no such product of SGD's, a list of plain reference kernels and reference mode none
 * at all; a kernel that declines when it is planned gets the node split. */
static void test_split(void **state) {
    (void)state;
    const cupel_optimizer adam = cupel_optimizer_defaults(CUPEL_ADAM),
                          sgd = cupel_optimizer_defaults(CUPEL_SGD);
    for (int way = 0; way < 4; way++) {
        check_context("way %d", way);
        struct passes p;
        if (way == 0) {
            passes_open(&p, "cpu", CUPEL_TYPE_F32);
        } else if (way == 1) {
            passes_open_splitting(&p, CUPEL_TYPE_F32);
        } else if (way == 2) {
            passes_open(&p, "reference", CUPEL_TYPE_F32);
            p.options.reference = true;
        } else {
            struct backend *backend = NULL;
            CHECK_OK(backend_create(&backend, "cpu"));
            backend->kernels = declining_kernels;
            passes_open_backend(&p, backend, CUPEL_TYPE_F32);
        }
        build_update(&p, PLAIN, way == 0 ? &sgd : &adam);
        passes_run(&p, "steps");
        passes_check_list(&p);
        CHECK_I64(passes_count(&p, "product_update"), 0);
        CHECK_I64(updates_alone(&p), 1);
        CHECK_I64(passes_count(&p, "matmul"), 1);
        passes_close(&p);
    }
}

/* --- the same bits --- */

enum { IN = 21, HIDDEN = 150, OUT = 70 }; /* several tiles, the last one smaller */

static int count_steps(const struct net *net, const char *op) {
    int n = 0;
    for (uint32_t t = 0; t < net->program->draft.n_steps; t++)
        n += strcmp(net->program->draft.steps[t].view.op->name, op) == 0;
    return n;
}

static struct net open_reference_device(cupel_type real) {
    struct net net = {.real = real, .owns = true};
    CHECK_OK(cupel_context_create(&net.context, &(cupel_context_options){.device = "reference"}));
    CHECK_OK(cupel_parameters_create(&net.parameters, net.context, real, 11));
    CHECK_OK(cupel_graph_create(&net.graph, net.context, net.parameters));
    return net;
}

/* Products of every pair of transposes make gradients: dW = x' g, g' x, and two whose operand is
 * stored the other way round. */
static void build_net(struct net *net, const cupel_optimizer *optimizer, bool reference) {
    static const char *const names[] = {"nn", "tn", "nt", "tt"};
    const cupel_node rate = cupel_input(net->graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    cupel_node parameters[4], gradients[4];
    for (int i = 0; i < 4; i++) {
        const bool ta = i & 1, tb = i & 2;
        char name[24];
        parameters[i] = cupel_parameter(net->graph, names[i], CUPEL_SHAPE(HIDDEN, OUT),
                                        (cupel_init){.kind = CUPEL_INIT_UNIFORM, .b = 1});
        snprintf(name, sizeof name, "a_%s", names[i]);
        const cupel_node a = cupel_input(net->graph, name, CUPEL_TYPE_REAL,
                                         ta ? CUPEL_SHAPE(IN, HIDDEN) : CUPEL_SHAPE(HIDDEN, IN));
        snprintf(name, sizeof name, "b_%s", names[i]);
        const cupel_node b = cupel_input(net->graph, name, CUPEL_TYPE_REAL,
                                         tb ? CUPEL_SHAPE(OUT, IN) : CUPEL_SHAPE(IN, OUT));
        gradients[i] = cupel_matmul(a, b, ta, tb);
    }
    cupel_optimizer_apply(net->graph, "optimizer", optimizer, rate, 4, parameters, gradients);
    net_compile(net, reference, 0, NULL);
}

static void train(struct net *net) {
    static const char *const names[] = {"nn", "tn", "nt", "tt"};
    double a[HIDDEN * IN], b[IN * OUT];
    for (int step = 0; step < 3; step++) {
        for (int i = 0; i < 4; i++) {
            char name[24];
            for (int j = 0; j < HIDDEN * IN; j++)
                a[j] = sin(.7 * j + i + step);
            for (int j = 0; j < IN * OUT; j++)
                b[j] = cos(1.3 * j - i + .5 * step);
            snprintf(name, sizeof name, "a_%s", names[i]);
            net_write(net, name, a, HIDDEN * IN);
            snprintf(name, sizeof name, "b_%s", names[i]);
            net_write(net, name, b, IN * OUT);
        }
        net_scalar(net, "rate", .01 / (1 + step));
        net_run(net);
    }
}

static void test_same_bits(void **state) {
    (void)state;
    cupel_optimizer optimizers[] = {
        cupel_optimizer_defaults(CUPEL_ADAM),
        cupel_optimizer_defaults(CUPEL_ADAMW),
        {.kind = CUPEL_SGD},
        {.kind = CUPEL_SGD, .momentum = .9, .nesterov = true, .weight_decay = 1e-3},
    };
    optimizers[0].weight_decay = 1e-3;
    for (size_t i = 0; i < sizeof optimizers / sizeof optimizers[0]; i++)
        for (int real = 0; real < 2; real++) {
            const cupel_type type = real ? CUPEL_TYPE_F64 : CUPEL_TYPE_F32;
            check_context("optimiser %zu, %s", i, cupel_type_name(type));
            struct net fused = open_reference_device(type), apart = open_reference_device(type);
            build_net(&fused, &optimizers[i], false);
            build_net(&apart, &optimizers[i], true);
            CHECK_I64(count_steps(&fused, "product_update"), 4);
            CHECK_I64(count_steps(&fused, "matmul"), 0);
            CHECK_I64(count_steps(&apart, "product_update"), 0);
            CHECK_I64(count_steps(&apart, "matmul"), 4);
            double before[HIDDEN * OUT], after[HIDDEN * OUT];
            net_get(&fused, "tt", before, HIDDEN * OUT);
            train(&fused);
            train(&apart);
            net_get(&fused, "tt", after, HIDDEN * OUT);
            for (int j = 0; j < HIDDEN * OUT; j++) /* every row was reached */
                CHECK(before[j] != after[j]);
            net_check_same(&fused, &apart);
            /* Parameters and moments are written where they are, and no gradient lies anywhere. */
            const struct program_draft *draft = &fused.program->draft;
            const size_t gradient = (size_t)HIDDEN * OUT * cupel_type_size(type);
            for (uint32_t t = 0; t < draft->n_steps; t++) {
                const struct exec_step *step = &draft->steps[t];
                for (int k = 0; k < step->view.n_outputs; k++) {
                    if (step->view.outputs[k].shape.rank != 2)
                        continue;
                    CHECK_I64(draft->buffers[step->buffers[step->view.n_inputs + k]].space,
                              SPACE_VARIABLE);
                }
            }
            for (uint32_t b = 0; b < draft->n_buffers; b++)
                CHECK(draft->buffers[b].space != SPACE_ARENA ||
                      draft->buffers[b].bytes != gradient);
            net_close(&fused);
            net_close(&apart);
        }
}

/* A parameter that is an operand of the product that makes its own gradient: p - p q / 2, and each
 * of two whose gradient is made of the other. Neither may be written too early. */
static void test_parameters_in_the_product(void **state) {
    (void)state;
    struct net net = open_reference_device(CUPEL_TYPE_F64);
    const cupel_init zeros = {.kind = CUPEL_INIT_ZEROS};
    const cupel_node p = cupel_parameter(net.graph, "p", CUPEL_SHAPE(2, 2), zeros);
    const cupel_node q = cupel_parameter(net.graph, "q", CUPEL_SHAPE(2, 2), zeros);
    const cupel_node rate = cupel_input(net.graph, "rate", CUPEL_TYPE_REAL, cupel_shape_scalar());
    const cupel_optimizer sgd = {.kind = CUPEL_SGD};
    cupel_optimizer_apply(
        net.graph, "optimizer", &sgd, rate, 2, (const cupel_node[]){p, q},
        (const cupel_node[]){cupel_matmul(p, q, false, false), cupel_matmul(q, p, false, false)});
    net_compile(&net, false, 0, NULL);
    CHECK_I64(count_steps(&net, "product_update"), 2);
    net_set(&net, "p", (const double[]){1, 2, 3, 4}, 4);
    net_set(&net, "q", (const double[]){2, 0, 1, 4}, 4);
    net_scalar(&net, "rate", .5);
    net_run(&net);
    double values[4];
    /* p q = [4 8; 10 16], q p = [2 4; 13 18] */
    static const double p_next[] = {-1, -2, -2, -4}, q_next[] = {1, -2, -5.5, -5};
    net_get(&net, "p", values, 4);
    for (int i = 0; i < 4; i++)
        CHECK_F64(values[i], p_next[i]);
    net_get(&net, "q", values, 4);
    for (int i = 0; i < 4; i++)
        CHECK_F64(values[i], q_next[i]);
    net_close(&net);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_fused),
        cmocka_unit_test(test_operands),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_parameters_in_the_product),
    };
    return CHECK_MAIN(tests);
}
