/*
 * Products with images in blocks: every role, odd numbers of images, pixels and columns, against
 * the reference kernels of the ops they are made of, which see the images flattened. Updates, and
 * several of one image, against what they are made of: the same bits.
 */
#include "support/kernel_case.h"

#include "base/memory.h"
#include "op/op_image_sweep.h"

/* Sums of at most 100 (images) or 64 products of numbers in [-2, 2), or of all elements of an image
 * in fp32, in runs of some thousand; the reference sums in double. */
static const double RELATIVE = 2e-6;

static cupel_layout blocked(void) {
    return cpu_channel_block() == 16 ? CUPEL_LAYOUT_NCHW16C : CUPEL_LAYOUT_NCHW8C;
}

struct extents {
    int64_t images, channels, height, width, outs;
};

static const struct extents all[] = {
    {1, 16, 1, 2, 1},   {3, 32, 2, 5, 5},     {8, 16, 7, 7, 16},   {13, 48, 5, 3, 17},
    {100, 16, 4, 6, 3}, {9, 128, 26, 26, 16}, {5, 16, 40, 41, 33}, {9, 64, 3, 3, 64},
};
enum { ALL = sizeof all / sizeof all[0] };

static cupel_shape image_shape(const struct extents *e) {
    return CUPEL_SHAPE(e->images, e->channels, e->height, e->width);
}

static int64_t columns(const struct extents *e) {
    return e->channels * e->height * e->width;
}

static void add_matrix(struct kernel_case *c, int64_t rows, int64_t width) {
    case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(rows, width));
}

static void add_image(struct kernel_case *c, const struct extents *e) {
    case_input(c, CUPEL_TYPE_F32, blocked(), image_shape(e));
}

/* The plain values of an input as another case's, of another shape. */
static void lend(const struct kernel_case *from, int input, struct kernel_case *to, cupel_shape s) {
    const int i = case_input(to, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, s);
    memcpy(to->values[i], from->values[input], (size_t)cupel_shape_count(s) * sizeof(float));
}

/* One of the products by the reference kernel of matmul (to be freed). */
static float *product(const struct kernel_case *c, int index) {
    const struct attrs_image_matmul *attrs = c->attrs;
    const struct attrs_matmul matmul = {.transpose_a = attrs->transpose_a,
                                        .transpose_b = attrs->transpose_b};
    struct kernel_case plain = {.op = &op_matmul, .attrs = &matmul};
    for (int i = 0; i < 2; i++) {
        const int from = image_matmul_operand(attrs, index, i);
        const cupel_shape s = c->inputs[from].shape;
        lend(c, from, &plain,
             s.rank == 4 ? CUPEL_SHAPE(s.dims[0], s.dims[1] * s.dims[2] * s.dims[3]) : s);
    }
    case_infer(&plain);
    void *out[1];
    case_reference(&plain, out);
    case_release(&plain);
    return out[0];
}

static void check_close(const struct kernel_case *c, const float *expected) {
    const int64_t count = cupel_shape_count(c->outputs[0].shape);
    const float *got = c->results[0];
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        largest = fmax(largest, fabs((double)expected[i]));
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)got[i] - (double)expected[i]) <= RELATIVE * largest) &&
            !(isnan(got[i]) && isnan(expected[i])))
            check_failed(__FILE__, __LINE__, "element %lld: %.9g, the reference gives %.9g",
                         (long long)i, (double)got[i], (double)expected[i]);
}

static void run_all(struct kernel_case *c) {
    const struct kernel *kernel = case_kernel("image_matmul", "vec:image_matmul");
    case_check_threads(c, kernel);
}

/* --- matrices to images --- */

static void check_result(const struct extents *e, int products, bool turned, bool bias,
                         enum image_finish finish) {
    const int64_t j = columns(e);
    const struct attrs_image_matmul attrs = {.role = IMAGE_RESULT,
                                             .transpose_b = turned,
                                             .image = {e->channels, e->height, e->width},
                                             .products = products,
                                             .with_bias = bias,
                                             .finish = finish};
    struct kernel_case c = {.op = &op_image_matmul, .attrs = &attrs};
    for (int i = 0; i < products; i++) {
        add_matrix(&c, e->images, e->outs);
        add_matrix(&c, turned ? j : e->outs, turned ? e->outs : j);
    }
    if (bias)
        case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(j));
    if (finish == IMAGE_SELECT) {
        add_image(&c, e);
        case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, cupel_shape_scalar());
    }
    case_infer(&c);
    case_layout(&c, 0, blocked());
    case_fill(&c, 3);
    const int mask = image_matmul_mask(&attrs);
    if (mask >= 0) {
        case_f32(&c, mask + 1)[0] = 0;
        for (int64_t i = 0; i < e->images * j; i += 3)
            case_f32(&c, mask)[i] = 0;
        case_f32(&c, mask)[1] = NAN;   /* is not 0 */
        case_f32(&c, 0)[0] = INFINITY; /* behind a mask of 0 it is not seen */
    }
    run_all(&c);
    float *const sum = product(&c, 0);
    float *const second = products > 1 ? product(&c, 1) : NULL;
    for (int64_t i = 0; i < e->images * j; i++) {
        sum[i] += second != NULL ? second[i] : 0;
        sum[i] += bias ? case_f32(&c, 2 * products)[i % j] : 0;
        if (finish == IMAGE_RELU && sum[i] < 0)
            sum[i] = 0;
        if (finish == IMAGE_SELECT && case_f32(&c, mask)[i] == 0)
            sum[i] = 0;
        if (!isfinite(sum[i])) { /* one row of them */
            CHECK(!isfinite(((float *)c.results[0])[i]));
            sum[i] = ((float *)c.results[0])[i] = 0;
        }
    }
    check_close(&c, sum);
    cupel_free(sum);
    cupel_free(second);
    case_release(&c);
}

static void test_results(void **state) {
    (void)state;
    for (int s = 0; s < ALL; s++)
        for (int products = 1; products <= 2; products++)
            for (int turned = 0; turned < 2; turned++) {
                check_context("extents %d, %d products, turned %d", s, products, turned);
                check_result(&all[s], products, turned, false, IMAGE_AS_IT_IS);
                check_result(&all[s], products, turned, true, IMAGE_RELU);
                check_result(&all[s], products, turned, false, IMAGE_SELECT);
            }
}

/* ReLU lets a NaN through, in a bias too. */
static void test_nan_through_relu(void **state) {
    (void)state;
    const struct extents e = {2, 16, 2, 3, 4};
    const struct attrs_image_matmul attrs = {.role = IMAGE_RESULT,
                                             .image = {16, 2, 3},
                                             .products = 1,
                                             .with_bias = 1,
                                             .finish = IMAGE_RELU};
    struct kernel_case c = {.op = &op_image_matmul, .attrs = &attrs};
    add_matrix(&c, e.images, e.outs);
    add_matrix(&c, e.outs, columns(&e));
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(columns(&e)));
    case_infer(&c);
    case_layout(&c, 0, blocked());
    case_fill(&c, 3);
    case_f32(&c, 2)[17] = NAN;
    run_all(&c);
    for (int64_t i = 0; i < e.images * columns(&e); i++)
        CHECK(isnan(((float *)c.results[0])[i]) == (i % columns(&e) == 17));
    case_release(&c);
}

/* --- images to matrices --- */

static void check_operand(const struct extents *e, bool turned, int products) {
    const int64_t j = columns(e);
    const struct attrs_image_matmul attrs = {
        .role = IMAGE_A, .transpose_b = turned, .products = products};
    struct kernel_case c = {.op = &op_image_matmul, .attrs = &attrs};
    add_image(&c, e);
    for (int i = 0; i < products; i++)
        add_matrix(&c, turned ? e->outs : j, turned ? j : e->outs);
    case_infer(&c);
    case_fill(&c, 4);
    run_all(&c);
    float *const expected = cupel_alloc((size_t)(e->images * e->outs * products), sizeof *expected);
    assert_non_null(expected);
    for (int i = 0; i < products; i++) { /* side by side */
        float *const one = product(&c, i);
        for (int64_t n = 0; n < e->images; n++)
            memcpy(expected + (n * products + i) * e->outs, one + n * e->outs,
                   (size_t)e->outs * sizeof *one);
        cupel_free(one);
    }
    check_close(&c, expected);
    cupel_free(expected);
    case_release(&c);
}

static void test_operands(void **state) {
    (void)state;
    for (int s = 0; s < ALL; s++)
        for (int way = 0; way < 4; way++) {
            check_context("extents %d, turned %d, products %d", s, way & 1, 1 + (way >> 1));
            check_operand(&all[s], way & 1, 1 + (way >> 1));
        }
}

/* --- gradients, and updates by them --- */

static void add_gradient(struct kernel_case *c, const struct extents *e, enum image_role role) {
    if (role == IMAGE_A)
        add_image(c, e);
    add_matrix(c, e->images, e->outs);
    if (role == IMAGE_B)
        add_image(c, e);
}

static void test_gradients(void **state) {
    (void)state;
    for (int s = 0; s < ALL; s++)
        for (int role = IMAGE_A; role <= IMAGE_B; role++) {
            check_context("extents %d, role %d", s, role);
            const struct attrs_image_matmul attrs = {.role = role, .transpose_a = 1, .products = 1};
            struct kernel_case c = {.op = &op_image_matmul, .attrs = &attrs};
            add_gradient(&c, &all[s], (enum image_role)role);
            case_infer(&c);
            case_fill(&c, 5);
            run_all(&c);
            float *const expected = product(&c, 0);
            check_close(&c, expected);
            cupel_free(expected);
            case_release(&c);
        }
}

enum { FIRST_OF_UPDATE = 2 }; /* operand of the node: behind the product's */

/* The update of the same operands and this gradient, by its own kernel of the cpu. */
static void update_apart(const struct kernel_case *c, const float *gradient, float *parameter) {
    const struct attrs_product_update *both = c->attrs;
    struct kernel_case apart = {.op = both->update, .attrs = both->update_attrs};
    const cupel_shape shape = c->outputs[0].shape;
    for (int i = 0; i <= c->n_inputs - FIRST_OF_UPDATE; i++) {
        const int from = product_update_operand(both, i);
        const int to =
            case_input(&apart, i == both->gradient ? CUPEL_TYPE_F32 : c->inputs[from].type,
                       CUPEL_LAYOUT_PLAIN, i == both->gradient ? shape : c->inputs[from].shape);
        memcpy(apart.values[to], i == both->gradient ? gradient : c->values[from],
               cupel_desc_bytes(&apart.inputs[to]));
    }
    case_infer(&apart);
    CHECK(case_run(&apart, case_kernel(both->update->name, "vec:"), 1));
    memcpy(parameter, apart.results[0], (size_t)cupel_shape_count(shape) * sizeof(float));
    case_release(&apart);
}

static void check_update(const struct extents *e, enum image_role role, bool adam, bool in_place) {
    const struct attrs_image_matmul attrs = {.role = role, .transpose_a = 1, .products = 1};
    struct attrs_product_update both = {
        .image = attrs, .update = adam ? &op_adam_update : &op_sgd_update, .gradient = 1};
    const struct attrs_adam adam_attrs = {.beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-3};
    const struct attrs_sgd sgd_attrs = {.momentum = 0.9, .weight_decay = 0.1};
    if (adam)
        memcpy(both.update_attrs, &adam_attrs, sizeof adam_attrs);
    else
        memcpy(both.update_attrs, &sgd_attrs, sizeof sgd_attrs);
    const int64_t j = columns(e);
    const cupel_shape shape = role == IMAGE_A ? CUPEL_SHAPE(j, e->outs) : CUPEL_SHAPE(e->outs, j);
    struct kernel_case c = {.op = &op_image_update, .attrs = &both, .n_outputs = adam ? 3 : 2};
    add_gradient(&c, e, role);
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, shape);
    if (adam) {
        case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, shape);
        case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, shape);
    }
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, cupel_shape_scalar());
    case_input(&c, adam ? CUPEL_TYPE_F64 : CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN,
               adam ? cupel_shape_scalar() : shape);
    for (int k = 0; k < c.n_outputs && in_place; k++)
        c.share[k] = product_update_in_place(&both, c.n_inputs, k);
    cupel_desc outputs[3] = {{0}};
    const cupel_op_view view = {.op = c.op,
                                .attrs = &both,
                                .name = "update",
                                .n_inputs = c.n_inputs,
                                .inputs = c.inputs,
                                .n_outputs = c.n_outputs,
                                .outputs = outputs};
    CHECK_OK(c.op->infer(&view));
    memcpy(c.outputs, outputs, sizeof outputs);
    case_fill(&c, 6);
    for (int64_t i = 0; adam && i < cupel_shape_count(shape); i++)
        case_f32(&c, 4)[i] = fabsf(case_f32(&c, 4)[i]);
    case_f32(&c, adam ? 5 : 3)[0] = 0.01F;
    if (adam)
        *(double *)c.values[6] = 3;
    case_check_threads(&c, case_kernel("image_update", "vec:image_update"));

    struct kernel_case product_alone = {.op = &op_image_matmul, .attrs = &attrs};
    add_gradient(&product_alone, e, role);
    for (int i = 0; i < FIRST_OF_UPDATE; i++)
        memcpy(product_alone.values[i], c.values[i],
               (size_t)cupel_shape_count(c.inputs[i].shape) * sizeof(float));
    case_infer(&product_alone);
    CHECK(case_run(&product_alone, case_kernel("image_matmul", "vec:"), 1));
    float *const expected = cupel_alloc((size_t)cupel_shape_count(shape), sizeof *expected);
    assert_non_null(expected);
    update_apart(&c, product_alone.results[0], expected);
    CHECK(memcmp(expected, c.results[0], (size_t)cupel_shape_count(shape) * sizeof(float)) == 0);
    cupel_free(expected);
    case_release(&product_alone);
    case_release(&c);
}

/* The same bits as product and update apart. */
static void test_updates(void **state) {
    (void)state;
    for (int s = 0; s < ALL; s++)
        for (int role = IMAGE_A; role <= IMAGE_B; role++)
            for (int adam = 0; adam < 2; adam++)
                for (int in_place = 0; in_place < 2; in_place++) {
                    check_context("extents %d, role %d, adam %d, in place %d", s, role, adam,
                                  in_place);
                    check_update(&all[s], (enum image_role)role, adam, in_place);
                }
}

/* --- several updates of one image --- */

enum part { ROWS = IMAGE_A, COLUMNS = IMAGE_B, SUM }; /* matrices [C H W, outs] and [outs, C H W] */

static struct attrs_product_update part_attrs(enum part kind, bool adam) {
    const struct attrs_adam adam_attrs = {.beta1 = 0.9, .beta2 = 0.99, .epsilon = 1e-3};
    const struct attrs_sgd sgd_attrs = {.momentum = 0.9, .weight_decay = 0.1};
    struct attrs_product_update both = {
        .update = adam ? &op_adam_update : &op_sgd_update, .gradient = 1, .summed = kind == SUM};
    if (kind != SUM)
        both.image = (struct attrs_image_matmul){.role = kind, .transpose_a = 1, .products = 1};
    memcpy(both.update_attrs, adam ? (const void *)&adam_attrs : &sgd_attrs,
           adam ? sizeof adam_attrs : sizeof sgd_attrs);
    return both;
}

/* An image_update by itself, whose operands are filled but for the image. */
static void make_part(struct kernel_case *c, const struct extents *e, enum part kind, int64_t outs,
                      uint64_t seed) {
    const struct attrs_product_update *both = c->attrs;
    const bool adam = both->update == &op_adam_update;
    const int64_t j = columns(e);
    const cupel_shape shape = kind == SUM    ? CUPEL_SHAPE(j)
                              : kind == ROWS ? CUPEL_SHAPE(j, outs)
                                             : CUPEL_SHAPE(outs, j);
    const struct extents own = {e->images, e->channels, e->height, e->width, outs};
    if (kind == SUM)
        add_image(c, e);
    else
        add_gradient(c, &own, (enum image_role)kind);
    const int first = c->n_inputs; /* of the update's: parameter, moments, rate, step or buffer */
    for (int i = 0; i < (adam ? 3 : 1); i++)
        case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, shape);
    case_input(c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, cupel_shape_scalar());
    case_input(c, adam ? CUPEL_TYPE_F64 : CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN,
               adam ? cupel_shape_scalar() : shape);
    case_infer(c);
    c->n_outputs = adam ? 3 : 2;
    case_fill(c, seed);
    for (int64_t i = 0; adam && i < cupel_shape_count(shape); i++)
        case_f32(c, first + 2)[i] = fabsf(case_f32(c, first + 2)[i]);
    case_f32(c, adam ? first + 3 : first + 1)[0] = 0.01F;
    if (adam)
        *(double *)c->values[first + 4] = 3;
}

/* The image's plain sum over the batch by its own kernel, as the gradient of an update. */
static void check_sum_apart(const struct kernel_case *c) {
    const struct attrs_product_update *both = c->attrs;
    const struct attrs_reduce over_batch = {.axes = 1, .keep = 1};
    struct kernel_case sum = {.op = &op_reduce_sum, .attrs = &over_batch};
    case_input(&sum, CUPEL_TYPE_F32, c->inputs[0].layout, c->inputs[0].shape);
    memcpy(sum.values[0], c->values[0],
           (size_t)cupel_shape_count(c->inputs[0].shape) * sizeof(float));
    case_infer(&sum);
    CHECK(case_run(&sum, case_kernel("reduce_sum", "vec:image_sum"), 1));
    struct kernel_case apart = {.op = both->update, .attrs = both->update_attrs};
    for (int i = 0; i < c->n_inputs; i++) {
        const int from = product_update_operand(both, i);
        const cupel_desc *const desc = &c->inputs[i == both->gradient ? 1 : from];
        const int to = case_input(&apart, desc->type, CUPEL_LAYOUT_PLAIN, desc->shape);
        memcpy(apart.values[to], i == both->gradient ? sum.results[0] : c->values[from],
               cupel_desc_bytes(desc));
    }
    case_infer(&apart);
    CHECK(case_run(&apart, case_kernel(both->update->name, "vec:"), 1));
    for (int k = 0; k < apart.n_outputs; k++)
        CHECK(memcmp(apart.results[k], c->results[k], cupel_desc_bytes(&apart.outputs[k])) == 0);
    case_release(&sum);
    case_release(&apart);
}

enum { MOST_PARTS = 3 };

static void check_image_sweep(const struct extents *e, int n, const enum part *kinds, bool adam,
                              bool in_place) {
    struct attrs_product_update both[MOST_PARTS];
    struct attrs_image_sweep sweep = {0};
    struct kernel_case c = {.op = &op_image_sweep, .attrs = &sweep}, parts[MOST_PARTS];
    memset(parts, 0, sizeof parts);
    for (int p = 0; p < n; p++) {
        both[p] = part_attrs(kinds[p], adam);
        parts[p].op = &op_image_update;
        parts[p].attrs = &both[p];
        make_part(&parts[p], e, kinds[p], p == 1 ? (e->outs + 1) / 2 : e->outs, 9 + (uint64_t)p);
        const int image = image_update_image(&both[p]), first = image_update_image(&both[0]);
        memcpy(parts[p].values[image], parts[0].values[first],
               (size_t)(e->images * columns(e)) * sizeof(float));
        CHECK(case_run(&parts[p], case_kernel("image_update", "vec:image_update"), 1));
        if (kinds[p] == SUM)
            check_sum_apart(&parts[p]);
        CHECK(image_sweep_append(&sweep, "part", &both[p], parts[p].n_inputs, parts[p].n_outputs));
        if (p == 0)
            lend(&parts[0], image, &c, image_shape(e));
        c.inputs[0].layout = blocked();
        for (int i = 0; i < parts[p].n_inputs; i++) {
            if (i == image)
                continue;
            const cupel_desc *const desc = &parts[p].inputs[i];
            const int to = case_input(&c, desc->type, CUPEL_LAYOUT_PLAIN, desc->shape);
            CHECK_I64(to, image_sweep_operand(&sweep.parts[p], i));
            memcpy(c.values[to], parts[p].values[i], cupel_desc_bytes(desc));
        }
        c.n_outputs += parts[p].n_outputs;
    }
    case_infer(&c);
    for (int k = 0; k < c.n_outputs && in_place; k++)
        c.share[k] = image_sweep_in_place(&sweep, k);
    for (int threads = 1; threads <= 3; threads++) {
        CHECK(case_run(&c, case_kernel("image_sweep", "vec:image_sweep"), threads));
        for (int p = 0; p < n; p++)
            for (int k = 0; k < parts[p].n_outputs; k++)
                CHECK(memcmp(c.results[sweep.parts[p].first_output + k], parts[p].results[k],
                             cupel_desc_bytes(&parts[p].outputs[k])) == 0);
    }
    for (int p = 0; p < n; p++)
        case_release(&parts[p]);
    case_release(&c);
}

/* The same bits as the parts apart, whatever stands beside them. */
static void test_image_sweeps(void **state) {
    (void)state;
    static const struct {
        int n;
        enum part kinds[MOST_PARTS];
    } sweeps[] = {{2, {COLUMNS, COLUMNS}},
                  {2, {ROWS, SUM}},
                  {2, {SUM, COLUMNS}},
                  {3, {COLUMNS, ROWS, SUM}},
                  {1, {SUM}}};
    for (int s = 0; s < ALL; s++)
        for (size_t i = 0; i < sizeof sweeps / sizeof sweeps[0]; i++)
            for (int way = 0; way < 4; way++) {
                check_context("extents %d, sweep %d, adam %d, in place %d", s, (int)i, way & 1,
                              way >> 1);
                check_image_sweep(&all[s], sweeps[i].n, sweeps[i].kinds, way & 1, way >> 1);
            }
}

/* --- sums over the batch --- */

static void test_sums(void **state) {
    (void)state;
    const struct attrs_reduce attrs = {.axes = 1, .keep = 1};
    const struct kernel *kernel = case_kernel("reduce_sum", "vec:image_sum");
    for (int s = 0; s < ALL; s++) {
        check_context("extents %d", s);
        struct kernel_case c = {.op = &op_reduce_sum, .attrs = &attrs};
        add_image(&c, &all[s]);
        case_infer(&c);
        case_fill(&c, 7);
        CHECK(case_check(&c, kernel, 2, RELATIVE, 1));
        case_check_threads(&c, kernel);
        case_release(&c);
    }
    const struct attrs_reduce other = {.axes = 3, .keep = 1};
    struct kernel_case c = {.op = &op_reduce_sum, .attrs = &other};
    add_image(&c, &all[0]);
    case_infer(&c);
    CHECK(!case_run(&c, kernel, 1));
    CHECK_CONTAINS(c.why, "batch");
    case_release(&c);
}

static void test_declines(void **state) {
    (void)state;
    const struct attrs_image_matmul attrs = {.role = IMAGE_A, .products = 1};
    struct kernel_case c = {.op = &op_image_matmul, .attrs = &attrs};
    case_input(&c, CUPEL_TYPE_F32, CUPEL_LAYOUT_PLAIN, CUPEL_SHAPE(2, 16, 2, 2));
    add_matrix(&c, 64, 3);
    case_infer(&c);
    CHECK(!case_run(&c, case_kernel("image_matmul", "vec:image_matmul"), 1));
    CHECK_CONTAINS(c.why, "blocks");
    case_release(&c);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results),  cmocka_unit_test(test_nan_through_relu),
        cmocka_unit_test(test_operands), cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_updates),  cmocka_unit_test(test_image_sweeps),
        cmocka_unit_test(test_sums),     cmocka_unit_test(test_declines),
    };
    return CHECK_MAIN(tests);
}
