/*
 * Context: owner of the device, the log and the ops from outside. It counts its children so that
 * destroying things in the wrong order is told, not suffered. Test: tests/test_parameters.c
 */
#include "graph/context_internal.h"

#include <string.h>

#include "base/memory.h"
#include "op/op_internal.h"

cupel_status context_create_with_backend(cupel_context **out, struct backend *backend,
                                         const cupel_context_options *options) {
    *out = NULL;
    cupel_context *context = cupel_alloc(1, sizeof(*context));
    if (!context) {
        if (backend)
            backend->destroy(backend);
        return CUPEL_STATUS_OUT_OF_MEMORY;
    }
    context->backend = backend;
    if (options) {
        context->log.write = options->log;
        context->log.user = options->log_user;
    }
    if (backend && backend->check_environment)
        backend->check_environment(&context->log);
    *out = context;
    return CUPEL_STATUS_OK;
}

cupel_status cupel_context_create(cupel_context **out, const cupel_context_options *options) {
    if (!out)
        return cupel_fail(NULL, CUPEL_STATUS_INVALID_ARGUMENT, "out is NULL");
    *out = NULL;
    struct backend *backend = NULL;
    const char *device = options && options->device ? options->device : "cpu";
    CUPEL_TRY(backend_create(&backend, device));
    return context_create_with_backend(out, backend, options);
}

cupel_status cupel_context_destroy(cupel_context *context) {
    if (!context)
        return CUPEL_STATUS_OK;
    const int children = atomic_load(&context->children);
    if (children > 0)
        return cupel_fail(&context->error, CUPEL_STATUS_BUG,
                          "the context still has %d objects: destroy parameters, graphs, programs "
                          "and workspaces first",
                          children);
    context->backend->destroy(context->backend);
    cupel_free(context->ops);
    cupel_free(context);
    return CUPEL_STATUS_OK;
}

const char *cupel_context_error(const cupel_context *context) {
    return context ? context->error.text : "";
}

const char *cupel_context_device(const cupel_context *context) {
    return context->backend->name;
}

cupel_status cupel_context_register_op(cupel_context *context, const cupel_op *op) {
    struct cupel_error *error = &context->error;
    if (!op || op->size != sizeof(cupel_op) || op->version != CUPEL_OP_VERSION)
        return cupel_fail(error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "the op descriptor has another size or version than this library's (%zu, "
                          "%d): rebuild against its headers",
                          sizeof(cupel_op), (int)CUPEL_OP_VERSION);
    if (!op->name || !op->infer || !op->run || op->n_outputs < 1 ||
        op->n_outputs > CUPEL_OP_MAX_OUTPUTS)
        return cupel_fail(error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "op '%s' needs a name, infer, run and 1 to %d outputs",
                          op->name ? op->name : "?", (int)CUPEL_OP_MAX_OUTPUTS);
    if (op->flags & CUPEL_OP_VIEW)
        return cupel_fail(error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "op '%s' is CUPEL_OP_VIEW, which only built-in ops may be: views are not "
                          "run",
                          op->name);
    if (cupel_context_find_op(context, op->name))
        return cupel_fail(error, CUPEL_STATUS_NAME, "an op named '%s' is there already", op->name);
    if (!cupel_grow(&context->ops, &context->ops_capacity, context->n_ops + 1,
                    sizeof(*context->ops)))
        return cupel_fail_memory(error, "registered ops", sizeof(*context->ops));
    context->ops[context->n_ops++] = op;
    return CUPEL_STATUS_OK;
}

const cupel_op *cupel_context_find_op(const cupel_context *context, const char *name) {
    for (size_t i = 0; i < context->n_ops; i++)
        if (strcmp(context->ops[i]->name, name) == 0)
            return context->ops[i];
    return op_find(name);
}
