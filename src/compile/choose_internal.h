/*
 * The choice at hand: what choose.c (kernels and layouts of nodes) and split.c (nodes of several
 * parts) share. Test: tests/test_pass_choose.c
 */
#ifndef CUPEL_CHOOSE_INTERNAL_H
#define CUPEL_CHOOSE_INTERNAL_H

#include "compile/layouts.h"

struct choose {
    struct compile *c;
    struct rewrite rewrite;
    size_t plans_capacity;
    /* Reorders made: from edge and layout to edge. */
    struct made {
        struct edge from, to;
        cupel_layout layout;
    } * made;
    size_t n_made;
    size_t made_capacity;

    /* Regions of the old list; one by one they are given a layout. */
    const int32_t *region; /* per old node, or -1 */
    cupel_layout *layouts; /* per region */
    int32_t current;       /* region of the node that is visited, or -1 */
    /* The region that pays for a new node, or -1. */
    int32_t *owner;
    size_t owner_capacity;
};

/* Where the new list ends, to come back to. */
struct mark {
    size_t nodes, made;
};
struct mark choose_mark(const struct choose *s);
/* Seconds that the nodes since the mark take, as far as they were measured. */
double choose_cost(const struct choose *s, struct mark mark);
void choose_rewind(struct choose *s, struct mark mark);

/* Appends the node in the layout that suits it, after what changes its operands' layouts; *done
 * stays false where no kernel takes it. */
cupel_status choose_node(struct choose *s, const struct graph_node *node, bool *done, uint32_t *id);
/* Appends a reshape, after what makes its operand plain. */
cupel_status choose_reshape(struct choose *s, struct edge from, cupel_shape shape, const char *name,
                            struct edge *out);
/* Whether the plan has a kernel for the node, in its layout or plain. */
bool choose_is_recorded(const struct choose *s, const struct graph_node *node);

/* Whether a node has parts that it can be split into. */
bool split_exists(const struct graph_node *node);
/* Appends the parts, each on its own, and maps the outputs of the old node. */
cupel_status split_node(struct choose *s, const struct graph_node *node, uint32_t old_id);
/* Whether the plan has the node's parts, and not the node. */
bool split_is_recorded(const struct choose *s, const struct graph_node *node);

#endif
