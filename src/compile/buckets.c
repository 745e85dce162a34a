/*
 * Buckets: the gradients that a sweep reads lie side by side in parameter order, each on an aligned
 * address, so that one message or one pass can take them all. The planner places a bucket as one
 * buffer that lives from its first gradient to the sweep. A gradient that lies elsewhere (in a
 * variable, in an output's memory) or is read after the sweep stays where it is, and the others
 * close ranks. Test: tests/test_pass_sweep.c
 */
#include "base/memory.h"
#include "compile/compile_internal.h"
#include "op/op_sweep.h"

static size_t aligned(size_t bytes) {
    return (bytes + CUPEL_ALIGNMENT - 1) / CUPEL_ALIGNMENT * CUPEL_ALIGNMENT;
}

static void join(const struct compile *c, const struct program_draft *draft, uint32_t sweep,
                 uint32_t *leader, size_t *within, struct interval *intervals) {
    const struct graph_node *node = compile_node(c, sweep);
    const struct attrs_sweep *attrs = node->attrs;
    uint32_t head = UINT32_MAX;
    for (int p = 0; p < (int)attrs->n_parts; p++) {
        const int gradient =
            attrs->parts[p].first_input + update_gradient(attrs->op, attrs->parts[p].n_inputs);
        const struct edge edge = node->inputs[gradient];
        const uint32_t buffer = draft->node_buffers[edge.node][edge.output];
        /* One gradient may serve two parameters; it lies where it was first met. */
        if (draft->buffers[buffer].space != SPACE_ARENA || intervals[buffer].last != sweep ||
            buffer == head || leader[buffer] != buffer)
            continue;
        if (head == UINT32_MAX) {
            head = buffer;
            continue;
        }
        leader[buffer] = head;
        within[buffer] = aligned(intervals[head].bytes);
        intervals[head].bytes = within[buffer] + intervals[buffer].bytes;
        if (intervals[buffer].first < intervals[head].first)
            intervals[head].first = intervals[buffer].first;
    }
}

void join_buckets(const struct compile *c, const struct program_draft *draft, uint32_t *leader,
                  size_t *within, struct interval *intervals) {
    for (uint32_t i = 0; i < c->list.count; i++)
        if (compile_node(c, i)->op == &op_sweep)
            join(c, draft, i, leader, within, intervals);
}
