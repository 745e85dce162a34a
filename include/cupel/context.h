/*
 * Context: the device, the log, and the operations registered from outside. Everything else hangs
 * on one context, and it is destroyed last.
 *
 *   1. cupel_context_create()
 *   2. create parameters, graphs, programs, ... on it
 *   3. destroy those, then cupel_context_destroy(): BUG while one of them is alive
 *
 * A failed *_create leaves its sentence on the context. A context may be used by several threads as
 * long as two of them do not create or destroy objects on it at the same time.
 */
#ifndef CUPEL_CONTEXT_H
#define CUPEL_CONTEXT_H

#include <cupel/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct cupel_context cupel_context;
struct cupel_op;

/* level is "info", "warning" or "trace"; the line has no newline and is valid during the call. */
typedef void (*cupel_log_function)(void *user, const char *level, const char *line);

/* Right when zeroed. */
typedef struct cupel_context_options {
    const char *device;     /* "cpu" (default) or "reference" */
    cupel_log_function log; /* NULL: silent */
    void *log_user;
} cupel_context_options;

/* options may be NULL. UNSUPPORTED for an unknown device, OUT_OF_MEMORY; *out is NULL on failure
 * (there is no object to ask for the sentence: cupel_status_text() is all there is). */
CUPEL_API CUPEL_CHECKED cupel_status cupel_context_create(cupel_context **out,
                                                          const cupel_context_options *options);
/* NULL is fine. BUG, and nothing is freed, while objects created on the context are alive. */
CUPEL_API cupel_status cupel_context_destroy(cupel_context *context);
/* The sentence of the last failure on this context, "" if none; valid until the next one. */
CUPEL_API const char *cupel_context_error(const cupel_context *context);
/* Name of the device, e.g. "cpu". */
CUPEL_API const char *cupel_context_device(const cupel_context *context);

/* Makes an operation from outside known (see op.h). The descriptor must outlive the context.
 * NAME when the name is taken. */
CUPEL_API CUPEL_CHECKED cupel_status cupel_context_register_op(cupel_context *context,
                                                               const struct cupel_op *op);
CUPEL_API const struct cupel_op *cupel_context_find_op(const cupel_context *context,
                                                       const char *name);

#ifdef __cplusplus
}
#endif
#endif
