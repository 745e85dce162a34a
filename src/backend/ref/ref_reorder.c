/*
 * The change of layout as its definition: where element (n, c, h, w) lies in either layout. The one
 * reference kernel that takes blocked layouts, so that they are never a dead end. Elements of any
 * type are moved untouched. Test: tests/test_kernels_reorder.c
 */
#include <string.h>

#include "backend/ref/ref.h"

static int64_t block_of(cupel_layout layout) {
    return layout == CUPEL_LAYOUT_NCHW16C ? 16 : layout == CUPEL_LAYOUT_NCHW8C ? 8 : 1;
}

static bool accept(const struct kernel_request *request, const char **why) {
    const cupel_desc *from = &request->view.inputs[0], *to = &request->view.outputs[0];
    return KERNEL_REQUIRE(from->layout != CUPEL_LAYOUT_PACKED && to->layout != CUPEL_LAYOUT_PACKED,
                          "packed") &&
           KERNEL_REQUIRE(from->shape.rank == 4 && cupel_shape_equal(from->shape, to->shape) &&
                              from->type == to->type,
                          "not the same image") &&
           KERNEL_REQUIRE(from->shape.dims[1] % block_of(from->layout) == 0 &&
                              from->shape.dims[1] % block_of(to->layout) == 0,
                          "channels are no multiple of the block");
}

/* pixels: of one channel; pixel: among them. */
static int64_t place(cupel_layout layout, int64_t channels, int64_t pixels, int64_t channel,
                     int64_t pixel) {
    const int64_t block = layout == CUPEL_LAYOUT_NHWC ? channels : block_of(layout);
    return (channel / block * pixels + pixel) * block + channel % block;
}

static cupel_status run(const struct kernel_plan *plan, const struct kernel_call *call) {
    (void)plan;
    const cupel_desc *from = &call->view->inputs[0], *to = &call->view->outputs[0];
    const size_t size = cupel_type_size(from->type);
    const int64_t *dims = from->shape.dims;
    const int64_t channels = dims[1], pixels = dims[2] * dims[3];
    for (int64_t n = 0; n < dims[0]; n++)
        for (int64_t c = 0; c < channels; c++)
            for (int64_t p = 0; p < pixels; p++) {
                const int64_t image = n * channels * pixels;
                const int64_t source = image + place(from->layout, channels, pixels, c, p);
                const int64_t target = image + place(to->layout, channels, pixels, c, p);
                memcpy((char *)call->outputs[0] + (size_t)target * size,
                       (const char *)call->inputs[0] + (size_t)source * size, size);
            }
    return CUPEL_STATUS_OK;
}

const struct kernel ref_reorder_kernel = {.op = "reorder",
                                          .name = "ref",
                                          .revision = 1,
                                          .flags = KERNEL_REFERENCE,
                                          .accept = accept,
                                          .run = run};
