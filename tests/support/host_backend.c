/*
 * A device of a test's own. See host_backend.h.
 */
#include "support/host_backend.h"

#include "base/memory.h"

static void destroy(struct backend *backend) {
    cupel_free(backend);
}

struct backend *host_backend_create(const char *name, host_backend_kernels kernels,
                                    int channel_block) {
    struct backend *const backend = cupel_alloc(1, sizeof *backend);
    if (backend != NULL)
        *backend = (struct backend){.name = name,
                                    .allocate = backend_host_allocate,
                                    .release = backend_host_release,
                                    .write = backend_host_write,
                                    .read = backend_host_read,
                                    .kernels = kernels,
                                    .channel_block = channel_block,
                                    .execute = backend_execute_in_order,
                                    .destroy = destroy};
    return backend;
}
