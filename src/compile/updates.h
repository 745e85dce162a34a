/*
 * Which nodes are updates, for the passes that merge them with each other (sweep.c,
 * join_updates.c) and with the products that make their gradients (fuse_update.c).
 *
 * An update is known by its row: every result may be written over an operand, and is assigned to
 * the variable that operand reads and used nowhere else. So nothing depends on an update but its
 * own assigns, on which nothing depends either.
 */
#ifndef CUPEL_UPDATES_H
#define CUPEL_UPDATES_H

#include "compile/compile_internal.h"

#define NO_NODE UINT32_MAX

/* The list seen from the operands' side. */
struct readers {
    const struct compile *c;
    uint32_t *first, *uses; /* edges, roots counted as uses */
    uint32_t *reader;       /* per edge: a node that reads it, or NO_NODE */
};

/* Fills the tables, which lie in the compile arena and serve until the list is rewritten. */
cupel_status readers_find(struct readers *readers, struct compile *c);
static inline uint32_t readers_edge(const struct readers *readers, uint32_t node, uint32_t output) {
    return readers->first[node] + output;
}
bool node_is_update(const struct readers *readers, uint32_t id);
/* Whether the device has a kernel of its own for an op of the compiler's. */
bool device_has_kernel(const struct compile *c, const cupel_op *op);

#endif
