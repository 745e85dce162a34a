/* Shapes and tiles of Winograd's convolution; see winograd.h.
 * Test: tests/test_kernels_winograd.c */
#include "backend/cpu/winograd.h"

static bool blocks_of_f32(const cupel_desc *desc) {
    return desc->type == CUPEL_TYPE_F32 && desc->layout == CUPEL_LAYOUT_NCHW16C;
}

/* Tiles hang over the edge: below this share of useful pixels a direct convolution is faster. */
static bool worthwhile(const cupel_desc *to) {
    const double h = (double)to->shape.dims[2], w = (double)to->shape.dims[3];
    const double tiles =
        (double)((to->shape.dims[2] + 3) / 4) * (double)((to->shape.dims[3] + 3) / 4);
    return h * w / (16 * tiles) >= 0.5;
}

bool winograd_accept(const cupel_op_view *view, const cupel_desc *from, const cupel_desc *to,
                     const cupel_desc *weights, const char **why) {
    const struct attrs_conv *attrs = view->attrs;
    return KERNEL_REQUIRE(cpu_vec_winograd()->source != NULL, "the processor has no AVX-512") &&
           KERNEL_REQUIRE(weights->type == CUPEL_TYPE_F32 && weights->layout == CUPEL_LAYOUT_PLAIN,
                          "weights are not plain f32") &&
           KERNEL_REQUIRE(weights->shape.dims[2] == 3 && weights->shape.dims[3] == 3,
                          "the kernel is not 3x3") &&
           KERNEL_REQUIRE(attrs->stride[0] == 1 && attrs->stride[1] == 1, "stride is not 1") &&
           KERNEL_REQUIRE(attrs->dilation[0] == 1 && attrs->dilation[1] == 1,
                          "dilation is not 1") &&
           KERNEL_REQUIRE(attrs->groups == 1, "grouped") &&
           KERNEL_REQUIRE(attrs->padding[0] <= 2 && attrs->padding[1] <= 2,
                          "padding is wider than the kernel") &&
           KERNEL_REQUIRE(blocks_of_f32(from) && blocks_of_f32(to),
                          "images are not f32 in blocks of 16 channels") &&
           KERNEL_REQUIRE(from->shape.dims[1] >= 32 || to->shape.dims[1] >= 32,
                          "too few channels") &&
           KERNEL_REQUIRE(worthwhile(to), "the image is too small for tiles of 4x4");
}

struct winograd_shape winograd_shape_of(const cupel_desc *from, const cupel_desc *to,
                                        const int64_t padding[2]) {
    struct winograd_shape shape = {
        .table = cpu_vec_winograd(),
        .images = from->shape.dims[0],
        .from_blocks = from->shape.dims[1] / WINOGRAD_BLOCK,
        .to_blocks = to->shape.dims[1] / WINOGRAD_BLOCK,
        .from = {.h = from->shape.dims[2], .w = from->shape.dims[3]},
        .to = {.h = to->shape.dims[2], .w = to->shape.dims[3]},
        .padding = {padding[0], padding[1]},
        .rows = (to->shape.dims[2] + 3) / 4,
        .columns = (to->shape.dims[3] + 3) / 4,
    };
    shape.tiles = shape.images * shape.rows * shape.columns;
    return shape;
}

struct winograd_tile winograd_tile_at(const struct winograd_shape *shape, int64_t tile) {
    const int64_t column = tile % shape->columns, above = tile / shape->columns;
    return (struct winograd_tile){
        .image = above / shape->rows, .y = above % shape->rows * 4, .x = column * 4};
}

/* The left columns of a tile are the right ones of the tile before: only the last four are new. */
void winograd_look_ahead(const struct winograd_shape *shape, struct winograd_ahead *ahead,
                         int64_t rows) {
    for (; rows > 0 && ahead->tile < ahead->end; rows--) {
        if (!ahead->started)
            ahead->at = winograd_tile_at(shape, ahead->tile);
        ahead->started = true;
        const struct winograd_tile tile = ahead->at;
        const int64_t y = tile.y - ahead->margin[0] + ahead->row;
        const int64_t x = tile.x - ahead->margin[1] + ahead->side - 4;
        if (y >= 0 && y < ahead->image->h) {
            const float *line =
                ahead->pixels + (((tile.image * ahead->blocks + ahead->first_block + ahead->block) *
                                      ahead->image->h +
                                  y) *
                                     ahead->image->w +
                                 x) *
                                    WINOGRAD_BLOCK;
            for (int i = 0; i < 4; i++)
                __builtin_prefetch(line + i * WINOGRAD_BLOCK, 0, 2);
        }
        if (++ahead->row == ahead->side) {
            ahead->row = 0;
            if (++ahead->block == ahead->n_blocks) {
                ahead->block = 0;
                ahead->tile++;
                ahead->started = false;
            }
        }
    }
}
