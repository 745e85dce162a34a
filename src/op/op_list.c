/*
 * The table of built-in ops, made from op_list.inc, which is the only list of them.
 * Test: tests/test_op_elementwise.c
 */
#include <string.h>

#include "op/op_internal.h"

const cupel_op *const op_list[] = {
#define CUPEL_OP(name) &op_##name,
#include "op/op_list.inc"
#undef CUPEL_OP
    NULL,
};

const cupel_op *op_find(const char *name) {
    for (size_t i = 0; op_list[i] != NULL; i++)
        if (strcmp(op_list[i]->name, name) == 0)
            return op_list[i];
    return NULL;
}
