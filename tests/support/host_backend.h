/*
 * A device of a test's own: the host's memory, one node after the other, and kernels that the test
 * lists.
 */
#ifndef CUPEL_TESTS_HOST_BACKEND_H
#define CUPEL_TESTS_HOST_BACKEND_H

#include "backend/backend.h"

typedef const struct kernel *const *(*host_backend_kernels)(struct backend *backend,
                                                            const char *op);

/* NULL without memory. The context that takes it destroys it. */
struct backend *host_backend_create(const char *name, host_backend_kernels kernels,
                                    int channel_block);

#endif
