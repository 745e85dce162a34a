/*
 * Optimiser updates against the reference, in place and apart, and a first Adam step against its
 * closed form: p - learning_rate * sign(g) up to epsilon.
 */
#include "support/kernel_case.h"

#include "op/op_sweep.h"

static void check_adam(int64_t n, bool decoupled, double decay, bool in_place) {
    check_context("adam, %lld elements, decoupled %d, in place %d", (long long)n, decoupled,
                  in_place);
    const struct attrs_adam attrs = {.beta1 = 0.9,
                                     .beta2 = 0.999,
                                     .epsilon = 1e-8,
                                     .weight_decay = decay,
                                     .decoupled = decoupled};
    struct kernel_case c = {.op = &op_adam_update, .attrs = &attrs};
    for (int i = 0; i < 4; i++)
        case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(n));
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, cupel_shape_scalar());
    case_input(&c, CUPEL_TYPE_F64, CUPEL_LAYOUT_PLAIN, cupel_shape_scalar());
    case_infer(&c);
    case_fill(&c, 1);
    for (int64_t i = 0; i < n; i++)
        case_f32(&c, 3)[i] = fabsf(case_f32(&c, 3)[i]);
    case_f32(&c, 4)[0] = 1e-2F;
    ((double *)c.values[5])[0] = 7;
    for (int k = 0; k < 3; k++)
        c.share[k] = in_place ? op_adam_update.in_place[k] : 0;
    const struct kernel *kernel = case_kernel("adam_update", "vec:adam");
    CHECK(case_check(&c, kernel, 2, 1e-6, 1e-2));
    case_check_threads(&c, kernel);
    case_release(&c);
}

/* A parameter of so many, its gradient and moments; the seventh step. */
static void fill_adam(struct kernel_case *c, int64_t count, float rate) {
    for (int i = 0; i < 4; i++)
        case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(count));
    case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, cupel_shape_scalar());
    case_input(c, CUPEL_TYPE_F64, CUPEL_LAYOUT_PLAIN, cupel_shape_scalar());
    case_infer(c);
    case_fill(c, 1);
    case_f32(c, 4)[0] = rate;
    ((double *)c->values[5])[0] = 7;
}

/* From nothing to 1e36, infinite, and NaN: with p = 0 the result is the step alone, which must be
 * right to a few units in the last place. */
static void test_adam_of_any_size(void **state) {
    (void)state;
    enum { COUNT = 77 };
    const struct attrs_adam attrs = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
    struct kernel_case c = {.op = &op_adam_update, .attrs = &attrs};
    fill_adam(&c, COUNT, 1);
    for (int i = 0; i < COUNT; i++) {
        case_f32(&c, 0)[i] = 0.0F;
        case_f32(&c, 1)[i] = 0.0F;
        case_f32(&c, 3)[i] = (float)((1.0 + 0.01 * i) * pow(10.0, i - 37));
    }
    case_f32(&c, 3)[0] = 0.0F;
    case_f32(&c, 3)[COUNT - 1] = NAN;
    case_f32(&c, 3)[COUNT - 2] = INFINITY; /* no step */
    case_f32(&c, 2)[COUNT - 2] = 1e-2F;
    CHECK(case_check(&c, case_kernel("adam_update", "vec:adam"), 1, 1e-6, 0));
    case_release(&c);
}

/* An infinite gradient leaves no number; a parameter whose gradients were all 0 stays, however
 * small epsilon is beside the step size. */
static void test_adam_at_the_ends(void **state) {
    (void)state;
    static const struct {
        double epsilon;
        float rate;
    } cases[] = {{1e-8, 1e-3F}, {1e-36, 10.0F}, {1e-37, 1.0F}, {1e-40, 1.0F}, {1e-8, 1e30F}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        check_context("epsilon %g, learning rate %g", cases[i].epsilon, (double)cases[i].rate);
        const struct attrs_adam attrs = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = cases[i].epsilon};
        struct kernel_case c = {.op = &op_adam_update, .attrs = &attrs};
        fill_adam(&c, 100, cases[i].rate);
        for (int k = 0; k < 100; k++)
            case_f32(&c, 1)[k] = case_f32(&c, 2)[k] = case_f32(&c, 3)[k] = 0.0F;
        case_f32(&c, 1)[17] = INFINITY;
        case_f32(&c, 1)[99] = -INFINITY;
        CHECK(case_check(&c, case_kernel("adam_update", "vec:adam"), 1, 1e-6, 0));
        case_release(&c);
    }
}

/* A step size that is 0, or nearly: the moments move and the parameter does not, or hardly. */
static void test_adam_of_small_steps(void **state) {
    (void)state;
    static const float rates[] = {0.0F, 1e-30F, 1e-13F, 1e-12F};
    const struct attrs_adam attrs = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
        check_context("learning rate %g", (double)rates[r]);
        struct kernel_case c = {.op = &op_adam_update, .attrs = &attrs};
        fill_adam(&c, 100, rates[r]);
        for (int i = 0; i < 100; i++) {
            case_f32(&c, 0)[i] = 0.0F; /* so that the step alone is judged */
            case_f32(&c, 3)[i] = i % 3 == 0 ? 0.0F : fabsf(case_f32(&c, 3)[i]);
        }
        CHECK(case_check(&c, case_kernel("adam_update", "vec:adam"), 1, 1e-6, 0));
        case_release(&c);
    }
}

static void check_sgd(int64_t n, double momentum, bool nesterov, bool in_place) {
    check_context("sgd, %lld elements, momentum %d/10, nesterov %d, in place %d", (long long)n,
                  (int)(momentum * 10), nesterov, in_place);
    const struct attrs_sgd attrs = {
        .momentum = momentum, .weight_decay = 1e-2, .nesterov = nesterov};
    struct kernel_case c = {.op = &op_sgd_update, .attrs = &attrs};
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(n));
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(n));
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, cupel_shape_scalar());
    if (momentum != 0.0)
        case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(n));
    case_infer(&c);
    case_fill(&c, 2); /* p and its change are of one size: what cancels is judged by the largest */
    c.share[0] = in_place ? 1 : 0;
    c.share[1] = in_place && momentum != 0.0 ? 4 : 0;
    const struct kernel *kernel = case_kernel("sgd_update", "vec:sgd");
    CHECK(case_check(&c, kernel, 2, 1e-6, 0.2));
    case_check_threads(&c, kernel);
    case_release(&c);
}

static void test_updates(void **state) {
    (void)state;
    static const int64_t counts[] = {1, 15, 17, 1000, 40001};
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (int in_place = 0; in_place < 2; in_place++) {
            check_adam(counts[i], false, 0.0, in_place);
            check_adam(counts[i], false, 1e-2, in_place);
            check_adam(counts[i], true, 1e-2, in_place);
            check_sgd(counts[i], 0.0, false, in_place);
            check_sgd(counts[i], 0.9, false, in_place);
            check_sgd(counts[i], 0.9, true, in_place);
        }
}

/* Several parameters in one node, in place: the same bits as one by one. */
static void check_sweep(const cupel_op *op, const void *attrs, int n_inputs, int n_outputs) {
    static const int64_t counts[] = {5, 1024, 1, 3000, 17000, 64, 2048, 9};
    const struct kernel *alone = case_kernel(op->name, "vec:");
    struct attrs_sweep sweep = {.op = op};
    struct kernel_case c = {.op = &op_sweep, .attrs = &sweep};
    struct kernel_case parts[SWEEP_MAX_PARTS];
    memset(parts, 0, sizeof parts);
    for (int p = 0; p < SWEEP_MAX_PARTS; p++) {
        CHECK(sweep_append(&sweep, "part", attrs, n_inputs, n_outputs));
        parts[p].op = op;
        parts[p].attrs = attrs;
        for (int i = 0; i < n_inputs; i++) {
            const bool step = op == &op_adam_update && i == 5;
            const bool scalar = step || (op == &op_adam_update ? i == 4 : i == 2);
            case_input(&parts[p], step ? CUPEL_TYPE_F64 : CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN,
                       scalar ? cupel_shape_scalar() : CUPEL_SHAPE(counts[p]));
            case_input(&c, parts[p].inputs[i].type, CUPEL_LAYOUT_PLAIN, parts[p].inputs[i].shape);
        }
        case_infer(&parts[p]);
        case_fill(&parts[p], (uint64_t)p);
        for (int i = 0; i < n_inputs; i++) {
            if (op == &op_adam_update && i == 5)
                ((double *)parts[p].values[i])[0] = 4;
            if (op == &op_adam_update && i == 3)
                for (int64_t e = 0; e < counts[p]; e++)
                    case_f32(&parts[p], i)[e] = fabsf(case_f32(&parts[p], i)[e]);
            memcpy(c.values[p * n_inputs + i], parts[p].values[i],
                   cupel_desc_bytes(&parts[p].inputs[i]));
        }
        CHECK(case_run(&parts[p], alone, 1));
    }
    c.n_outputs = SWEEP_MAX_PARTS * n_outputs;
    case_infer(&c);
    for (int k = 0; k < c.n_outputs; k++)
        c.share[k] = sweep_in_place(&sweep, k);
    for (int threads = 1; threads <= 3; threads++) {
        CHECK(case_run(&c, case_kernel("sweep", "vec:sweep"), threads));
        for (int k = 0; k < c.n_outputs; k++)
            CHECK(memcmp(c.results[k], parts[k / n_outputs].results[k % n_outputs],
                         cupel_desc_bytes(&c.outputs[k])) == 0);
    }
    for (int p = 0; p < SWEEP_MAX_PARTS; p++)
        case_release(&parts[p]);
    case_release(&c);
}

static void test_sweep(void **state) {
    (void)state;
    const struct attrs_adam adam = {
        .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8, .weight_decay = 1e-2};
    const struct attrs_sgd sgd = {.momentum = 0.9, .nesterov = 1};
    check_sweep(&op_adam_update, &adam, 6, 3);
    check_sweep(&op_sgd_update, &sgd, 4, 2);
}

static void test_first_adam_step(void **state) {
    (void)state;
    const struct attrs_adam attrs = {.beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8};
    struct kernel_case c = {.op = &op_adam_update, .attrs = &attrs};
    for (int i = 0; i < 4; i++)
        case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(3));
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, cupel_shape_scalar());
    case_input(&c, CUPEL_TYPE_F64, CUPEL_LAYOUT_PLAIN, cupel_shape_scalar());
    case_infer(&c);
    static const float gradient[] = {0.5F, -2.0F, 1e-3F};
    for (int i = 0; i < 3; i++)
        case_f32(&c, 1)[i] = gradient[i];
    case_f32(&c, 4)[0] = 0.125F;
    ((double *)c.values[5])[0] = 1;
    CHECK(case_run(&c, case_kernel("adam_update", "vec:adam"), 1));
    for (int i = 0; i < 3; i++)
        CHECK_NEAR(((float *)c.results[0])[i], gradient[i] > 0 ? -0.125 : 0.125, 2e-6);
    case_release(&c);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_updates),
                                       cmocka_unit_test(test_adam_of_any_size),
                                       cmocka_unit_test(test_adam_of_small_steps),
                                       cmocka_unit_test(test_adam_at_the_ends),
                                       cmocka_unit_test(test_sweep),
                                       cmocka_unit_test(test_first_adam_step)};
    return CHECK_MAIN(tests);
}
