/*
 * Elementwise chains in one pass over memory. The result is cut into tiles of at most two thousand
 * elements; for each tile every part of the chain runs over short runs of floats, and intermediate
 * values never leave the L1 cache. Operands of the result's shape are read where they are; others
 * (a scalar, a channel's bias, a row's weight) are spread out once per tile, or once at all where
 * all tiles see the same. A single elementwise op is a chain of one part. An output may share
 * memory with a full input of equal desc. Test: tests/test_kernels_chain.c
 */
#include <string.h>

#include "backend/cpu/vec_chain.h"
#include "backend/cpu/walk.h"
#include "base/memory.h"
#include "base/parallel.h"
#include "cupel/ops.h"
#include "op/op_attrs.h"
#include "op/op_fused.h"

enum {
    MOST_TILE = 2048,       /* floats in a tile */
    CACHE_BYTES = 32 << 10, /* what the slots of a thread and the tiles of full operands may take */
    SLOT_PAD = 32,          /* floats between slots, against equal low address bits */
    FEW_ELEMENTS = 16384,   /* below, one thread is faster */
    MOST_SLOTS = FUSED_MAX_INPUTS + FUSED_MAX_PARTS + FUSED_MAX_OUTPUTS
};

/* Where a part's operand is found. */
enum place { PLACE_INPUT, PLACE_SLOT, PLACE_OUTPUT };
struct reference {
    enum place place;
    int index;
};

struct chain_step {
    chain_function run;
    float attrs[2];
    struct reference out;
    int n_operands;
    struct reference operands[3];
};

struct chain_state {
    struct walk walk; /* over the result, one operand an input */
    const struct vec_chain_table *table;
    /* Tiles: chunks of `chunk` along axis `axis`, times all of the axes within. */
    int axis;
    int64_t chunk, within, chunks, n_tiles;
    int64_t slot_floats;
    int n_slots;
    int n_inputs, n_outputs, n_steps;
    bool dense[FUSED_MAX_INPUTS];
    int input_slot[FUSED_MAX_INPUTS]; /* of those that are spread out */
    /* A part that is an output writes to it; a second output of the same part is a copy of the
     * first. */
    int copy_of[FUSED_MAX_OUTPUTS];    /* -1, or the output it repeats */
    int made_by[FUSED_MAX_OUTPUTS];    /* part */
    int spare_slot[FUSED_MAX_OUTPUTS]; /* used where the output's memory is still read by later
                                          parts */
    int last_read[FUSED_MAX_INPUTS];   /* last part that reads the input, -1 for none */
    struct chain_step steps[FUSED_MAX_PARTS];
};

/* ---- accepting ---- */

static const char *const code_names[CHAIN_CODES] = {
#define CHAIN_NAME(symbol, name) name,
    CHAIN_CODE_MAP(CHAIN_NAME)
#undef CHAIN_NAME
};

/* The code of a part, -1 for none. */
static int find_code(const cupel_op *op, const void *attrs) {
    if (strcmp(op->name, "compare") == 0) {
        static const int codes[] = {
            [CUPEL_EQUAL] = CHAIN_EQUAL,     [CUPEL_NOT_EQUAL] = CHAIN_NOT_EQUAL,
            [CUPEL_LESS] = CHAIN_LESS,       [CUPEL_LESS_EQUAL] = CHAIN_LESS_EQUAL,
            [CUPEL_GREATER] = CHAIN_GREATER, [CUPEL_GREATER_EQUAL] = CHAIN_GREATER_EQUAL};
        const int64_t comparison = ((const struct attrs_compare *)attrs)->comparison;
        return comparison < 0 || comparison > CUPEL_GREATER_EQUAL ? -1 : codes[comparison];
    }
    for (int code = 0; code < CHAIN_CODES; code++)
        if (code_names[code] != NULL && strcmp(code_names[code], op->name) == 0)
            return code;
    return -1;
}

/* A view as a chain; a lone op becomes a chain of one part. */
static void as_chain(const cupel_op_view *view, struct attrs_fused *out) {
    if (view->op == &op_fused) {
        *out = *(const struct attrs_fused *)view->attrs;
        return;
    }
    *out = (struct attrs_fused){.n_parts = 1, .n_outputs = 1};
    struct fused_part *part = &out->parts[0];
    part->op = view->op;
    if (view->op->attr_size <= FUSED_ATTR_SIZE && view->op->attr_size > 0)
        memcpy(part->attrs, view->attrs, view->op->attr_size);
    part->n_inputs =
        view->n_inputs < FUSED_MAX_PART_INPUTS ? view->n_inputs : FUSED_MAX_PART_INPUTS;
    for (int i = 0; i < part->n_inputs; i++)
        part->inputs[i] = i;
}

static bool all_f32(const cupel_op_view *view) {
    for (int i = 0; i < view->n_inputs; i++)
        if (view->inputs[i].type != CUPEL_TYPE_F32)
            return false;
    for (int k = 0; k < view->n_outputs; k++)
        if (view->outputs[k].type != CUPEL_TYPE_F32)
            return false;
    return true;
}

static bool codes_known(const cupel_op_view *view) {
    struct attrs_fused chain;
    as_chain(view, &chain);
    for (int p = 0; p < (int)chain.n_parts; p++)
        if (chain.parts[p].n_inputs > 3 || find_code(chain.parts[p].op, chain.parts[p].attrs) < 0)
            return false;
    return true;
}

static bool outputs_alike(const cupel_op_view *view) {
    for (int k = 1; k < view->n_outputs; k++)
        if (!cupel_shape_equal(view->outputs[k].shape, view->outputs[0].shape) ||
            walk_layout(&view->outputs[k]) != walk_layout(&view->outputs[0]))
            return false;
    return true;
}

static bool walkable(const cupel_op_view *view) {
    struct walk walk;
    if (!walk_make(&walk, &view->outputs[0], view->n_inputs, view->inputs))
        return false;
    for (int i = 0; i < view->n_inputs; i++)
        if (cupel_shape_count(view->inputs[i].shape) == walk.count && !walk_dense(&walk, i))
            return false;
    return true;
}

static bool accept_chain(const struct kernel_request *request, const char **why) {
    const cupel_op_view *view = &request->view;
    return KERNEL_REQUIRE(view->n_inputs >= 1 && view->n_inputs <= FUSED_MAX_INPUTS &&
                              view->n_outputs <= FUSED_MAX_OUTPUTS,
                          "no input, or too many operands") &&
           KERNEL_REQUIRE(all_f32(view), "operands are not all f32") &&
           KERNEL_REQUIRE(codes_known(view), "a part is no operation of this kernel") &&
           KERNEL_REQUIRE(outputs_alike(view), "outputs differ in shape or layout") &&
           KERNEL_REQUIRE(walkable(view), "full operands lie in different layouts");
}

/* ---- planning ---- */

static void attrs_of(const struct fused_part *part, float out[2]) {
    out[0] = out[1] = 0.0F;
    if (strcmp(part->op->name, "leaky_relu") == 0) {
        struct attrs_leaky_relu attrs;
        memcpy(&attrs, part->attrs, sizeof attrs);
        out[0] = (float)attrs.slope;
    } else if (strcmp(part->op->name, "clamp") == 0) {
        struct attrs_clamp attrs;
        memcpy(&attrs, part->attrs, sizeof attrs);
        out[0] = (float)attrs.low;
        out[1] = (float)attrs.high;
    }
}

static int take_slot(bool *taken, int *n_slots) {
    for (int s = 0; s < *n_slots; s++) {
        if (!taken[s]) {
            taken[s] = true;
            return s;
        }
    }
    taken[*n_slots] = true;
    return (*n_slots)++;
}

/* Parts get slots as registers are given out: free again after the last part that reads them. */
static void assign_places(struct chain_state *state, const struct attrs_fused *chain) {
    bool taken[MOST_SLOTS] = {false};
    int last_use[FUSED_MAX_PARTS], output_of[FUSED_MAX_PARTS];
    struct reference result[FUSED_MAX_PARTS];
    const int n_parts = (int)chain->n_parts;
    for (int i = 0; i < state->n_inputs; i++) {
        state->last_read[i] = -1;
        state->input_slot[i] = state->dense[i] ? -1 : take_slot(taken, &state->n_slots);
    }
    for (int p = 0; p < n_parts; p++) {
        last_use[p] = p;
        output_of[p] = -1;
        for (int i = 0; i < chain->parts[p].n_inputs; i++) {
            const int from = chain->parts[p].inputs[i];
            if (from >= 0)
                state->last_read[from] = p;
            else
                last_use[~from] = p;
        }
    }
    for (int k = 0; k < state->n_outputs; k++) {
        const int part = (int)chain->outputs[k];
        state->made_by[k] = part;
        state->copy_of[k] = output_of[part];
        if (output_of[part] < 0) {
            output_of[part] = k;
            state->spare_slot[k] = take_slot(taken, &state->n_slots);
        }
    }
    for (int p = 0; p < n_parts; p++) {
        const struct fused_part *part = &chain->parts[p];
        struct chain_step *step = &state->steps[p];
        step->run = state->table->functions[find_code(part->op, part->attrs)];
        attrs_of(part, step->attrs);
        step->n_operands = part->n_inputs;
        for (int i = 0; i < part->n_inputs; i++) {
            const int from = part->inputs[i];
            if (from < 0)
                step->operands[i] = result[~from];
            else if (state->dense[from])
                step->operands[i] = (struct reference){PLACE_INPUT, from};
            else
                step->operands[i] = (struct reference){PLACE_SLOT, state->input_slot[from]};
        }
        for (int i = 0; i < part->n_inputs; i++) {
            const int from = part->inputs[i];
            if (from < 0 && last_use[~from] == p && result[~from].place == PLACE_SLOT)
                taken[result[~from].index] = false;
        }
        if (output_of[p] >= 0)
            result[p] = (struct reference){PLACE_OUTPUT, output_of[p]};
        else
            result[p] = (struct reference){PLACE_SLOT, take_slot(taken, &state->n_slots)};
        if (result[p].place == PLACE_SLOT && last_use[p] == p)
            taken[result[p].index] = false; /* a part nobody reads */
        step->out = result[p];
    }
}

/* The largest box of inner axes that fits, and a piece of the axis around it. */
static void cut_tiles(struct chain_state *state) {
    int streams = state->n_slots + state->n_outputs;
    for (int i = 0; i < state->n_inputs; i++)
        streams += state->dense[i];
    int64_t most = CACHE_BYTES / (int64_t)sizeof(float) / (streams < 1 ? 1 : streams) / 64 * 64;
    most = most > MOST_TILE ? MOST_TILE : most < 256 ? 256 : most;
    const struct walk *walk = &state->walk;
    state->axis = walk->rank - 1;
    state->within = 1;
    while (state->axis > 0 && state->within * walk->dims[state->axis] <= most)
        state->within *= walk->dims[state->axis--];
    const int64_t extent = walk->dims[state->axis];
    int64_t chunk = most / state->within;
    chunk = chunk < 1 ? 1 : chunk;
    state->chunks = (extent + chunk - 1) / chunk;
    chunk = (extent + state->chunks - 1) / state->chunks; /* of equal size */
    if (state->within == 1 && chunk < extent)
        chunk = (chunk + 63) / 64 * 64;
    state->chunk = chunk;
    state->chunks = (extent + chunk - 1) / chunk;
    int64_t outer = 1;
    for (int axis = 0; axis < state->axis; axis++)
        outer *= walk->dims[axis];
    state->n_tiles = outer * state->chunks;
    state->slot_floats = (chunk * state->within + 15) / 16 * 16 + SLOT_PAD;
}

static cupel_status plan_chain(struct kernel_plan *plan, const struct kernel_request *request,
                               struct cupel_error *error) {
    const cupel_op_view *view = &request->view;
    struct attrs_fused chain;
    as_chain(view, &chain);
    struct chain_state *state = cupel_alloc(1, sizeof *state);
    if (state == NULL)
        return cupel_fail_memory(error, "a chain's plan", sizeof *state);
    state->table = cpu_vec_chain();
    state->n_inputs = view->n_inputs;
    state->n_outputs = view->n_outputs;
    state->n_steps = (int)chain.n_parts;
    if (!walk_make(&state->walk, &view->outputs[0], view->n_inputs, view->inputs)) {
        cupel_free(state);
        return cupel_fail(error, CUPEL_STATUS_UNSUPPORTED, "operands lie in different layouts");
    }
    for (int i = 0; i < view->n_inputs; i++)
        state->dense[i] = walk_dense(&state->walk, i);
    assign_places(state, &chain);
    cut_tiles(state);
    plan->state = state;
    plan->threads = request->threads < 1 ? 1 : request->threads;
    plan->scratch_bytes =
        (size_t)plan->threads * (size_t)state->n_slots * (size_t)state->slot_floats * sizeof(float);
    return CUPEL_STATUS_OK;
}

static void drop_chain(struct kernel_plan *plan) {
    cupel_free(plan->state);
    plan->state = NULL;
}

/* ---- running ---- */

struct chain_run {
    const struct chain_state *state;
    const float *const *inputs;
    float *const *outputs;
    float *scratch;
    bool direct[FUSED_MAX_OUTPUTS]; /* parts write to the output itself */
};

/* Fills out with the operand's values over a box: `extent` steps of `axis`, all of the axes within.
 */
static int64_t spread(const struct chain_state *state, float *out, const float *from, int operand,
                      int axis, int64_t extent) {
    const int64_t *strides = state->walk.strides[operand];
    const int64_t stride = strides[axis];
    if (axis == state->walk.rank - 1) {
        if (stride == 0)
            state->table->fill(out, from[0], extent);
        else if (stride == 1)
            memcpy(out, from, (size_t)extent * sizeof(float));
        else
            state->table->gather(out, from, stride, extent);
        return extent;
    }
    const int64_t next = state->walk.dims[axis + 1];
    if (stride == 0) {
        const int64_t n = spread(state, out, from, operand, axis + 1, next);
        if (extent > 1)
            state->table->repeat(out + n, out, n, extent - 1);
        return n * extent;
    }
    int64_t n = 0;
    for (int64_t i = 0; i < extent; i++)
        n += spread(state, out + n, from + i * stride, operand, axis + 1, next);
    return n;
}

static void run_tiles(void *context, int64_t begin, int64_t end, int thread) {
    const struct chain_run *run = context;
    const struct chain_state *state = run->state;
    float *slots = run->scratch + (int64_t)thread * state->n_slots * state->slot_floats;
    const float *seen_from[FUSED_MAX_INPUTS] = {NULL};
    int64_t seen_extent[FUSED_MAX_INPUTS] = {0};
    const int64_t whole = state->walk.dims[state->axis];

    for (int64_t tile = begin; tile < end; tile++) {
        const int64_t outer = tile / state->chunks, first = tile % state->chunks * state->chunk;
        const int64_t extent = whole - first < state->chunk ? whole - first : state->chunk;
        const int64_t at = (outer * whole + first) * state->within, n = extent * state->within;
        for (int i = 0; i < state->n_inputs; i++) {
            if (state->dense[i] || state->last_read[i] < 0)
                continue;
            const float *from = run->inputs[i] + walk_offset(&state->walk, i, at);
            if (from == seen_from[i] && extent == seen_extent[i])
                continue;
            spread(state, slots + state->input_slot[i] * state->slot_floats, from, i, state->axis,
                   extent);
            seen_from[i] = from;
            seen_extent[i] = extent;
        }
        float *results[FUSED_MAX_OUTPUTS];
        for (int k = 0; k < state->n_outputs; k++)
            results[k] = run->direct[k] ? run->outputs[k] + at
                                        : slots + state->spare_slot[k] * state->slot_floats;
        for (int s = 0; s < state->n_steps; s++) {
            const struct chain_step *step = &state->steps[s];
            const float *operands[3] = {NULL, NULL, NULL};
            for (int i = 0; i < step->n_operands; i++) {
                const struct reference r = step->operands[i];
                operands[i] = r.place == PLACE_INPUT  ? run->inputs[r.index] + at
                              : r.place == PLACE_SLOT ? slots + r.index * state->slot_floats
                                                      : results[r.index];
            }
            float *out = step->out.place == PLACE_SLOT
                             ? slots + step->out.index * state->slot_floats
                             : results[step->out.index];
            step->run(out, operands[0], operands[1], operands[2], n, step->attrs);
        }
        for (int k = 0; k < state->n_outputs; k++) {
            const float *from = state->copy_of[k] >= 0 ? results[state->copy_of[k]] : results[k];
            if (from != run->outputs[k] + at)
                memcpy(run->outputs[k] + at, from, (size_t)n * sizeof(float));
        }
    }
}

/* An output in the memory of a full input that a later part (or a later copy) still reads must
 * wait. */
static bool writes_early(const struct chain_state *state, const struct chain_run *run, int output) {
    for (int i = 0; i < state->n_inputs; i++)
        if (run->inputs[i] == run->outputs[output] && state->last_read[i] > state->made_by[output])
            return true;
    return false;
}

static cupel_status run_chain(const struct kernel_plan *plan, const struct kernel_call *call) {
    const struct chain_state *state = plan->state;
    const float *inputs[FUSED_MAX_INPUTS];
    float *outputs[FUSED_MAX_OUTPUTS];
    for (int i = 0; i < state->n_inputs; i++)
        inputs[i] = call->inputs[i];
    for (int k = 0; k < state->n_outputs; k++)
        outputs[k] = call->outputs[k];
    struct chain_run run = {
        .state = state, .inputs = inputs, .outputs = outputs, .scratch = call->scratch};
    for (int k = 0; k < state->n_outputs; k++)
        run.direct[k] = state->copy_of[k] < 0 && !writes_early(state, &run, k);
    const int most = call->threads < plan->threads ? call->threads : plan->threads;
    parallel_for(state->walk.count < FEW_ELEMENTS ? 1 : most, state->n_tiles, 1, run_tiles, &run);
    return CUPEL_STATUS_OK;
}

#define CHAIN_KERNEL_NAMED(op_name, kernel_name) \
    { \
        .op = op_name, .name = kernel_name, .revision = 2, .accept = accept_chain, \
        .plan = plan_chain, .run = run_chain, .drop = drop_chain \
    }
#define CHAIN_KERNEL(op_name) CHAIN_KERNEL_NAMED(op_name, "vec:chain")

const struct kernel chain_kernels[] = {
    CHAIN_KERNEL_NAMED("fused", "vec:chain-fused"), /* so that fusing alone can be switched off */
    CHAIN_KERNEL("neg"),
    CHAIN_KERNEL("abs"),
    CHAIN_KERNEL("exp"),
    CHAIN_KERNEL("log"),
    CHAIN_KERNEL("sqrt"),
    CHAIN_KERNEL("square"),
    CHAIN_KERNEL("sign"),
    CHAIN_KERNEL("relu"),
    CHAIN_KERNEL("leaky_relu"),
    CHAIN_KERNEL("sigmoid"),
    CHAIN_KERNEL("tanh"),
    CHAIN_KERNEL("softplus"),
    CHAIN_KERNEL("clamp"),
    CHAIN_KERNEL("add"),
    CHAIN_KERNEL("sub"),
    CHAIN_KERNEL("mul"),
    CHAIN_KERNEL("div"),
    CHAIN_KERNEL("maximum"),
    CHAIN_KERNEL("minimum"),
    CHAIN_KERNEL("compare"),
    CHAIN_KERNEL("select"),
    CHAIN_KERNEL("reciprocal"),
    CHAIN_KERNEL("pow"),
    {.op = NULL},
};
