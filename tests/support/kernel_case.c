/* Running one kernel on one node; see kernel_case.h. */
#include "support/kernel_case.h"

#include <stdlib.h>

#include "base/memory.h"
#include "base/parallel.h"
#include "base/rng.h"

enum { GUARD_BYTES = 128, GUARD_BYTE = 0xA5 };

/* Memory with guard zones on both sides; the address given is 64-byte aligned. */
struct guarded {
    uint8_t *base;
    size_t bytes;
};

static void *guarded_data(const struct guarded *g) {
    return g->base + GUARD_BYTES;
}

static struct guarded guarded_make(size_t bytes) {
    struct guarded g = {.base = cupel_alloc_aligned(bytes + 2 * GUARD_BYTES), .bytes = bytes};
    assert_non_null(g.base);
    memset(g.base, GUARD_BYTE, bytes + 2 * GUARD_BYTES);
    return g;
}

static void guarded_drop(struct guarded *g, const char *what) {
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        if (g->base[i] != GUARD_BYTE)
            check_failed(__FILE__, __LINE__, "%s: byte %zu before it was written", what,
                         GUARD_BYTES - i);
        if (g->base[GUARD_BYTES + g->bytes + i] != GUARD_BYTE)
            check_failed(__FILE__, __LINE__, "%s: byte %zu after it was written", what, i);
    }
    cupel_free(g->base);
    g->base = NULL;
}

static int64_t block_of(cupel_layout layout) {
    return layout == CUPEL_LAYOUT_NCHW16C ? 16 : layout == CUPEL_LAYOUT_NCHW8C ? 8 : 1;
}

/* The place of element (n, c, p) of a tensor with `pixels` pixels. */
static int64_t place_of(const cupel_desc *desc, int64_t n, int64_t c, int64_t p) {
    const int64_t channels = desc->shape.dims[1];
    const int64_t pixels = desc->shape.dims[2] * desc->shape.dims[3];
    const int64_t block = block_of(desc->layout);
    if (desc->layout == CUPEL_LAYOUT_NHWC)
        return (n * pixels + p) * channels + c;
    return ((n * (channels / block) + c / block) * pixels + p) * block + c % block;
}

static void copy_laid_out(const cupel_desc *desc, const void *from, void *to, bool to_plain) {
    const size_t size = cupel_type_size(desc->type);
    if (desc->layout == CUPEL_LAYOUT_PLAIN) {
        memcpy(to, from, cupel_desc_bytes(desc));
        return;
    }
    const int64_t channels = desc->shape.dims[1];
    const int64_t pixels = desc->shape.dims[2] * desc->shape.dims[3];
    int64_t plain = 0;
    for (int64_t n = 0; n < desc->shape.dims[0]; n++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t p = 0; p < pixels; p++, plain++) {
                const int64_t place = place_of(desc, n, c, p);
                memcpy((char *)to + (size_t)(to_plain ? plain : place) * size,
                       (const char *)from + (size_t)(to_plain ? place : plain) * size, size);
            }
}

void case_lay_out(const cupel_desc *desc, const void *plain, void *out) {
    copy_laid_out(desc, plain, out, false);
}

void case_plain(const cupel_desc *desc, const void *laid_out, void *plain) {
    copy_laid_out(desc, laid_out, plain, true);
}

int case_input(struct kernel_case *c, cupel_type type, cupel_layout layout, cupel_shape shape) {
    const int i = c->n_inputs++;
    assert_true(i < CASE_MAX_OPERANDS);
    c->inputs[i] = (cupel_desc){.type = type, .layout = layout, .shape = shape};
    c->values[i] = cupel_alloc((size_t)cupel_shape_count(shape), cupel_type_size(type));
    assert_non_null(c->values[i]);
    return i;
}

float *case_f32(struct kernel_case *c, int input) {
    return c->values[input];
}

static cupel_op_view view_of(const struct kernel_case *c, cupel_desc *outputs) {
    return (cupel_op_view){
        .op = c->op,
        .attrs = c->attrs,
        .name = "case",
        .n_inputs = c->n_inputs,
        .inputs = c->inputs,
        .n_outputs = c->n_outputs,
        .outputs = outputs,
    };
}

void case_infer(struct kernel_case *c) {
    if (c->op->n_outputs <= CUPEL_OP_MAX_OUTPUTS && c->op != &op_fused)
        c->n_outputs = c->op->n_outputs;
    else if (c->op != &op_fused)
        assert_true(c->n_outputs > 0); /* it differs from node to node: given */
    else
        c->n_outputs = (int)((const struct attrs_fused *)c->attrs)->n_outputs;
    cupel_desc outputs[CASE_MAX_OUTPUTS];
    memset(outputs, 0, sizeof outputs);
    const cupel_op_view view = view_of(c, outputs);
    CHECK_OK(c->op->infer(&view));
    for (int k = 0; k < c->n_outputs; k++) {
        outputs[k].layout = c->outputs[k].layout;
        c->outputs[k] = outputs[k];
    }
}

void case_layout(struct kernel_case *c, int output, cupel_layout layout) {
    c->outputs[output].layout = layout;
}

void case_fill(struct kernel_case *c, uint64_t seed) {
    for (int i = 0; i < c->n_inputs; i++) {
        const struct rng_key key = rng_key_make(seed, (uint64_t)i);
        const int64_t count = cupel_shape_count(c->inputs[i].shape);
        for (int64_t e = 0; e < count; e++) {
            double u[4];
            rng_uniform4(rng_block_at(key, 0, 0, (uint32_t)(e / 4)), u);
            const double x = u[e % 4] * 4 - 2;
            if (c->inputs[i].type == CUPEL_TYPE_F32)
                ((float *)c->values[i])[e] = (float)x;
            else if (c->inputs[i].type == CUPEL_TYPE_F64)
                ((double *)c->values[i])[e] = x;
        }
    }
}

void case_release(struct kernel_case *c) {
    for (int i = 0; i < c->n_inputs; i++)
        cupel_free(c->values[i]);
    for (int k = 0; k < c->n_outputs; k++)
        cupel_free(c->results[k]);
    memset(c, 0, sizeof *c);
}

const struct kernel *case_kernel(const char *op, const char *name) {
    const struct kernel *const *list = cpu_kernels(NULL, op);
    for (; list != NULL && *list != NULL; list++)
        if (strncmp((*list)->name, name, strlen(name)) == 0)
            return *list;
    check_failed(__FILE__, __LINE__, "op %s has no kernel %s", op, name);
    return NULL;
}

/* The index of the operand's pack, -1 for none. */
static int find_pack(const struct kernel_plan *plan, int operand, bool output) {
    for (int p = 0; p < plan->n_packs; p++)
        if (plan->packs[p].operand == operand && plan->packs[p].output == output)
            return p;
    return -1;
}

bool case_run(struct kernel_case *c, const struct kernel *kernel, int threads) {
    const struct kernel_request request = {.view = view_of(c, c->outputs), .threads = threads};
    c->why = NULL;
    cupel_error_clear(&c->error);
    if (kernel->accept != NULL && !kernel->accept(&request, &c->why)) {
        assert_non_null(c->why);
        return false;
    }
    struct kernel_plan plan = {.kernel = kernel, .threads = threads};
    if (kernel->plan != NULL) {
        const cupel_status status = kernel->plan(&plan, &request, &c->error);
        if (status == CUPEL_STATUS_UNSUPPORTED) {
            assert_true(c->error.text[0] != '\0');
            return false;
        }
        CHECK_OK_TEXT(status, c->error.text);
    }
    snprintf(c->detail, sizeof c->detail, "%s", plan.detail == NULL ? "" : plan.detail);

    struct guarded in[CASE_MAX_OPERANDS], out[CASE_MAX_OUTPUTS];
    struct guarded packed_in[CASE_MAX_OPERANDS] = {{NULL, 0}};
    struct guarded packed_out[CASE_MAX_OUTPUTS] = {{NULL, 0}};
    const void *inputs[CASE_MAX_OPERANDS];
    void *outputs[CASE_MAX_OUTPUTS];
    bool shared[CASE_MAX_OPERANDS] = {false};
    const unsigned saved = parallel_fp_begin();
    for (int i = 0; i < c->n_inputs; i++) {
        in[i] = guarded_make(cupel_desc_bytes(&c->inputs[i]));
        case_lay_out(&c->inputs[i], c->values[i], guarded_data(&in[i]));
        inputs[i] = guarded_data(&in[i]);
        const int pack = find_pack(&plan, i, false);
        if (pack < 0)
            continue;
        packed_in[i] = guarded_make(plan.packs[pack].bytes);
        CHECK_OK(kernel->pack(&plan, pack, inputs[i], guarded_data(&packed_in[i])));
        inputs[i] = guarded_data(&packed_in[i]);
    }
    for (int k = 0; k < c->n_outputs; k++) {
        if (c->share[k] > 0) {
            shared[c->share[k] - 1] = true;
            out[k] = in[c->share[k] - 1];
        } else {
            out[k] = guarded_make(cupel_desc_bytes(&c->outputs[k]));
        }
        outputs[k] = guarded_data(&out[k]);
        const int pack = find_pack(&plan, k, true);
        if (pack < 0)
            continue;
        packed_out[k] = guarded_make(plan.packs[pack].bytes);
        outputs[k] = guarded_data(&packed_out[k]);
    }
    struct guarded scratch = guarded_make(plan.scratch_bytes);
    const cupel_op_view view = view_of(c, c->outputs);
    const struct kernel_call call = {
        .view = &view,
        .inputs = inputs,
        .outputs = outputs,
        .scratch = guarded_data(&scratch),
        .threads = threads,
    };
    CHECK_OK(kernel->run(&plan, &call));
    for (int k = 0; k < c->n_outputs; k++)
        if (packed_out[k].base != NULL)
            CHECK_OK(
                kernel->pack(&plan, find_pack(&plan, k, true), outputs[k], guarded_data(&out[k])));
    parallel_fp_end(saved);

    for (int k = 0; k < c->n_outputs; k++) {
        const int64_t count = cupel_shape_count(c->outputs[k].shape);
        cupel_free(c->results[k]);
        c->results[k] = cupel_alloc((size_t)count, cupel_type_size(c->outputs[k].type));
        assert_non_null(c->results[k]);
        case_plain(&c->outputs[k], guarded_data(&out[k]), c->results[k]);
        if (packed_out[k].base != NULL)
            guarded_drop(&packed_out[k], "a packed output");
        if (c->share[k] == 0)
            guarded_drop(&out[k], "an output");
    }
    for (int i = 0; i < c->n_inputs; i++) {
        if (!shared[i]) {
            struct guarded again = guarded_make(cupel_desc_bytes(&c->inputs[i]));
            case_lay_out(&c->inputs[i], c->values[i], guarded_data(&again));
            if (memcmp(guarded_data(&again), guarded_data(&in[i]), again.bytes) != 0)
                check_failed(__FILE__, __LINE__, "input %d was changed", i);
            guarded_drop(&again, "a copy");
        }
        if (packed_in[i].base != NULL)
            guarded_drop(&packed_in[i], "a packed input");
        guarded_drop(&in[i], "an input");
    }
    guarded_drop(&scratch, "the scratch memory");
    if (kernel->drop != NULL)
        kernel->drop(&plan);
    return true;
}

static void reference_node(const cupel_op *op, const void *attrs, int n_inputs,
                           const cupel_desc *inputs, const void *const *values, int n_outputs,
                           cupel_desc *outputs, void **out) {
    cupel_desc plain[CASE_MAX_OPERANDS];
    for (int i = 0; i < n_inputs; i++) {
        plain[i] = inputs[i];
        plain[i].layout = CUPEL_LAYOUT_PLAIN;
    }
    for (int k = 0; k < n_outputs; k++)
        outputs[k].layout = CUPEL_LAYOUT_PLAIN;
    const cupel_op_view view = {
        .op = op,
        .attrs = attrs,
        .name = "reference",
        .n_inputs = n_inputs,
        .inputs = plain,
        .n_outputs = n_outputs,
        .outputs = outputs,
    };
    const struct kernel *kernel = ref_kernels(NULL, op->name)[0];
    assert_non_null(kernel);
    const struct kernel_request request = {.view = view, .threads = 1};
    struct kernel_plan plan = {.kernel = kernel, .threads = 1};
    struct cupel_error error = {0};
    if (kernel->plan != NULL)
        CHECK_OK_TEXT(kernel->plan(&plan, &request, &error), error.text);
    void *scratch = cupel_alloc_aligned(plan.scratch_bytes);
    assert_non_null(scratch);
    for (int k = 0; k < n_outputs; k++) {
        out[k] = cupel_alloc((size_t)cupel_shape_count(outputs[k].shape),
                             cupel_type_size(outputs[k].type));
        assert_non_null(out[k]);
    }
    const struct kernel_call call = {
        .view = &view, .inputs = values, .outputs = out, .scratch = scratch, .threads = 1};
    CHECK_OK(kernel->run(&plan, &call));
    if (kernel->drop != NULL)
        kernel->drop(&plan);
    cupel_free(scratch);
}

void case_reference(const struct kernel_case *c, void **out) {
    const void *values[CASE_MAX_OPERANDS];
    for (int i = 0; i < c->n_inputs; i++)
        values[i] = c->values[i];
    cupel_desc outputs[CASE_MAX_OUTPUTS];
    memcpy(outputs, c->outputs, sizeof outputs);
    if (c->op != &op_fused) {
        reference_node(c->op, c->attrs, c->n_inputs, c->inputs, values, c->n_outputs, outputs, out);
        return;
    }
    const struct attrs_fused *chain = c->attrs;
    cupel_desc descs[FUSED_MAX_PARTS];
    cupel_desc dummy[CASE_MAX_OUTPUTS];
    memcpy(dummy, c->outputs, sizeof dummy);
    const cupel_op_view view = view_of(c, dummy);
    CHECK_OK(fused_part_descs(&view, descs));
    void *made[FUSED_MAX_PARTS] = {NULL};
    for (int p = 0; p < (int)chain->n_parts; p++) {
        const struct fused_part *part = &chain->parts[p];
        cupel_desc operands[FUSED_MAX_PART_INPUTS];
        const void *operand_values[FUSED_MAX_PART_INPUTS];
        for (int i = 0; i < part->n_inputs; i++) {
            const int from = part->inputs[i];
            operands[i] = from >= 0 ? c->inputs[from] : descs[~from];
            operand_values[i] = from >= 0 ? values[from] : made[~from];
        }
        reference_node(part->op, part->attrs, part->n_inputs, operands, operand_values, 1,
                       &descs[p], &made[p]);
    }
    for (int k = 0; k < c->n_outputs; k++) {
        const int64_t part = chain->outputs[k];
        const size_t bytes = cupel_desc_bytes(&descs[part]);
        out[k] = cupel_alloc(1, bytes);
        assert_non_null(out[k]);
        memcpy(out[k], made[part], bytes);
    }
    for (int p = 0; p < (int)chain->n_parts; p++)
        cupel_free(made[p]);
}

static double element(const cupel_desc *desc, const void *values, int64_t i) {
    switch (desc->type) {
    case CUPEL_TYPE_F32: return (double)((const float *)values)[i];
    case CUPEL_TYPE_F64: return ((const double *)values)[i];
    case CUPEL_TYPE_I64: return (double)((const int64_t *)values)[i];
    default: return (double)((const uint8_t *)values)[i];
    }
}

bool case_check(struct kernel_case *c, const struct kernel *kernel, int threads, double relative,
                double mixed) {
    if (!case_run(c, kernel, threads))
        return false;
    void *expected[CASE_MAX_OUTPUTS] = {NULL};
    case_reference(c, expected);
    for (int k = 0; k < c->n_outputs; k++) {
        const int64_t count = cupel_shape_count(c->outputs[k].shape);
        double largest = 0;
        for (int64_t i = 0; i < count; i++) {
            const double y = fabs(element(&c->outputs[k], expected[k], i));
            largest = y > largest && isfinite(y) ? y : largest;
        }
        for (int64_t i = 0; i < count; i++) {
            const double x = element(&c->outputs[k], c->results[k], i);
            const double y = element(&c->outputs[k], expected[k], i);
            if (x == y || (isnan(x) && isnan(y)))
                continue;
            if (!(fabs(x - y) <= relative * (fabs(y) + mixed * largest)))
                check_failed(__FILE__, __LINE__,
                             "%s, output %d, element %lld: %.9g, the reference gives %.9g",
                             kernel->name, k, (long long)i, x, y);
        }
        cupel_free(expected[k]);
    }
    return true;
}

void case_check_threads(struct kernel_case *c, const struct kernel *kernel) {
    assert_true(case_run(c, kernel, 1));
    void *first[CASE_MAX_OUTPUTS];
    for (int k = 0; k < c->n_outputs; k++) {
        first[k] = c->results[k];
        c->results[k] = NULL;
    }
    for (int threads = 2; threads <= 3; threads++) {
        assert_true(case_run(c, kernel, threads));
        for (int k = 0; k < c->n_outputs; k++) {
            cupel_desc plain = c->outputs[k];
            plain.layout = CUPEL_LAYOUT_PLAIN;
            if (memcmp(first[k], c->results[k], cupel_desc_bytes(&plain)) != 0)
                check_failed(__FILE__, __LINE__, "%s: output %d has other bits with %d threads",
                             kernel->name, k, threads);
        }
    }
    for (int k = 0; k < c->n_outputs; k++)
        cupel_free(first[k]);
}
