/*
 * Plan: which kernel each node of each program runs, as a list that compiling reads and extends.
 * Its text form is in plan_json.c. Test: tests/test_plan.c
 */
#include "compile/plan_internal.h"

#include <string.h>

#include "base/hash.h"
#include "base/memory.h"
#include "op/op_fused_conv.h"
#include "op/op_image_sweep.h"
#include "op/op_sweep.h"

cupel_status cupel_plan_create(cupel_plan **out, cupel_context *context, int threads) {
    *out = NULL;
    cupel_plan *plan = cupel_alloc(1, sizeof(*plan));
    if (!plan)
        return cupel_fail_memory(&context->error, "a plan", sizeof(*plan));
    plan->context = context;
    plan->threads = threads > 0 ? threads : 1;
    atomic_fetch_add(&context->children, 1);
    *out = plan;
    return CUPEL_STATUS_OK;
}

static void choice_release(struct plan_choice *choice) {
    cupel_free(choice->program);
    cupel_free(choice->node);
    cupel_free(choice->op);
    cupel_free(choice->kernel);
}

void plan_clear(cupel_plan *plan) {
    for (size_t i = 0; i < plan->count; i++)
        choice_release(&plan->choices[i]);
    plan->count = 0;
}

void cupel_plan_destroy(cupel_plan *plan) {
    if (!plan)
        return;
    plan_clear(plan);
    cupel_free(plan->choices);
    measured_release(&plan->measured);
    atomic_fetch_sub(&plan->context->children, 1);
    cupel_free(plan);
}

const char *cupel_plan_error(const cupel_plan *plan) {
    return plan->error.text;
}

static uint64_t desc_hash(uint64_t hash, const cupel_desc *desc) {
    hash = hash_combine(hash, ((uint64_t)desc->type << 8) | (uint64_t)desc->layout);
    hash = hash_combine(hash, (uint64_t)desc->shape.rank);
    for (int i = 0; i < desc->shape.rank; i++)
        hash = hash_combine(hash, (uint64_t)desc->shape.dims[i]);
    return hash;
}

/* Attributes hold addresses where they name other ops, and may in ops from outside. */
static bool has_lasting_attrs(const cupel_op *op) {
    return op->run == NULL && op != &op_fused && op != &op_fused_conv && op != &op_sweep &&
           op != &op_image_sweep && !is_product_update(op);
}

uint64_t plan_key(const char *program, const struct graph_node *node, const cupel_op_view *view) {
    uint64_t hash = hash_combine(hash_string(program), hash_string(node->name));
    hash = hash_combine(hash, hash_string(node->op->name));
    if (has_lasting_attrs(node->op))
        hash = hash_combine(hash, hash_bytes(node->attrs, node->op->attr_size));
    for (int i = 0; i < view->n_inputs; i++)
        hash = desc_hash(hash, &view->inputs[i]);
    for (int i = 0; i < view->n_outputs; i++)
        hash = desc_hash(hash, &view->outputs[i]);
    return hash;
}

struct plan_choice *plan_lookup(const cupel_plan *plan, uint64_t key) {
    for (size_t i = 0; i < plan->count; i++)
        if (plan->choices[i].key == key)
            return &plan->choices[i];
    return NULL;
}

const struct plan_choice *plan_like(const cupel_plan *plan, const struct graph_node *node) {
    for (size_t i = 0; i < plan->count; i++)
        if (strcmp(plan->choices[i].node, node->name) == 0 &&
            strcmp(plan->choices[i].op, node->op->name) == 0)
            return &plan->choices[i];
    return NULL;
}

static cupel_layout layout_of(const cupel_op_view *view) {
    for (int i = 0; i < view->n_inputs + view->n_outputs; i++) {
        const cupel_layout layout =
            i < view->n_inputs ? view->inputs[i].layout : view->outputs[i - view->n_inputs].layout;
        if (layout != CUPEL_LAYOUT_PLAIN && layout != CUPEL_LAYOUT_PACKED)
            return layout;
    }
    return CUPEL_LAYOUT_PLAIN;
}

cupel_status plan_record(cupel_plan *plan, uint64_t key, const char *program,
                         const cupel_op_view *view, const struct kernel *kernel,
                         struct cupel_error *error) {
    struct plan_choice choice = {.key = key,
                                 .program = cupel_strdup(program),
                                 .node = cupel_strdup(view->name),
                                 .op = cupel_strdup(view->op->name),
                                 .kernel = cupel_strdup(kernel->name),
                                 .layout = layout_of(view),
                                 .revision = kernel->revision,
                                 .variable_bits = kernel->flags & KERNEL_VARIABLE_BITS,
                                 .used = true};
    if (!choice.program || !choice.node || !choice.op || !choice.kernel ||
        !cupel_grow(&plan->choices, &plan->capacity, plan->count + 1, sizeof(*plan->choices))) {
        choice_release(&choice);
        return cupel_fail_memory(error, "the plan", plan->count);
    }
    for (size_t i = 0; i < plan->count; i++)
        if (plan->choices[i].key == key) {
            choice_release(&plan->choices[i]);
            plan->choices[i] = choice;
            return CUPEL_STATUS_OK;
        }
    plan->choices[plan->count++] = choice;
    return CUPEL_STATUS_OK;
}

void cupel_plan_drop_unused(cupel_plan *plan) {
    size_t kept = 0;
    for (size_t i = 0; i < plan->count; i++) {
        if (plan->choices[i].used)
            plan->choices[kept++] = plan->choices[i];
        else
            choice_release(&plan->choices[i]);
    }
    plan->count = kept;
}

bool cupel_plan_depends_on_threads(const cupel_plan *plan) {
    for (size_t i = 0; i < plan->count; i++)
        if (plan->choices[i].variable_bits)
            return true;
    return false;
}

/* The choices alone, in any order: kernels whose bits depend on the number of threads bring it
 * in. */
uint64_t cupel_plan_hash(const cupel_plan *plan) {
    uint64_t sum = hash_mix64(plan->count);
    for (size_t i = 0; i < plan->count; i++) {
        const struct plan_choice *choice = &plan->choices[i];
        uint64_t hash = hash_combine(choice->key, hash_string(choice->kernel));
        hash = hash_combine(hash, choice->revision);
        if (choice->variable_bits)
            hash = hash_combine(hash, (uint64_t)plan->threads);
        sum += hash_mix64(hash);
    }
    return sum;
}
