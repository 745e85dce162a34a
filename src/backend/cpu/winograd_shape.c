/*
 * Shapes and tiles of Winograd's convolution; see winograd.h.
 * Test: tests/test_kernels_winograd.c
 */
#include "backend/cpu/winograd.h"

#include "backend/cpu/conv_finish.h"

/* How many tiles cover a length: of 4 pixels, and of 2 for what is left. */
struct cover {
    int64_t fours, twos;
};

static struct cover cover_of(int64_t length, bool small) {
    const int64_t rest = length % 4;
    return small ? (struct cover){0, (length + 1) / 2}
                 : (struct cover){length / 4 + (rest == 3), rest == 1 || rest == 2};
}

static bool blocks_of_f32(const cupel_desc *desc) {
    const cupel_layout layout =
        cpu_vec_winograd()->block == 16 ? CUPEL_LAYOUT_NCHW16C : CUPEL_LAYOUT_NCHW8C;
    return desc->type == CUPEL_TYPE_F32 && desc->layout == layout;
}

/* Multiplications must be well below the nine a pixel that a direct convolution takes: tiles may
 * hang over the edge. */
static bool worthwhile(const cupel_desc *to, bool small) {
    const struct cover y = cover_of(to->shape.dims[2], small);
    const struct cover x = cover_of(to->shape.dims[3], small);
    const double points = (double)((y.fours * 6 + y.twos * 4) * (x.fours * 6 + x.twos * 4));
    return points <= (small ? 6.0 : 5.0) * (double)(to->shape.dims[2] * to->shape.dims[3]);
}

bool winograd_accept(const cupel_op_view *view, bool small, const cupel_desc *from,
                     const cupel_desc *to, const cupel_desc *weights, const char **why) {
    bool backward;
    const struct attrs_conv *attrs = conv_finish_attrs(view, &backward);
    return KERNEL_REQUIRE(cpu_vec_winograd()->source != NULL, "the processor has no AVX2") &&
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
                          "images are not f32 in blocks of as many channels as a vector has") &&
           KERNEL_REQUIRE(from->shape.dims[1] >= 32 || to->shape.dims[1] >= 32,
                          "too few channels") &&
           KERNEL_REQUIRE(worthwhile(to, small), "the image is too small for tiles");
}

/* ---- tiles ---- */

static void add_part(struct winograd_shape *shape, enum winograd_form form, struct cover y,
                     struct cover x) {
    const bool low = form == WINOGRAD_2X4 || form == WINOGRAD_2X2;
    const bool narrow = form == WINOGRAD_4X2 || form == WINOGRAD_2X2;
    struct winograd_part part = {
        .form = form,
        .high = low ? 2 : 4,
        .wide = narrow ? 2 : 4,
        .y = low ? y.fours * 4 : 0,
        .x = narrow ? x.fours * 4 : 0,
        .rows = low ? y.twos : y.fours,
        .columns = narrow ? x.twos : x.fours,
    };
    part.tiles = shape->images * part.rows * part.columns;
    if (part.tiles == 0)
        return;
    for (int i = 0; i < WINOGRAD_PLANES; i++) {
        const bool middle_row = i / 6 == 3 || i / 6 == 4, middle_column = i % 6 == 3 || i % 6 == 4;
        if (!(low && middle_row) && !(narrow && middle_column))
            part.planes[part.n_planes++] = (uint8_t)i;
    }
    shape->parts[shape->n_parts++] = part;
}

static struct winograd_images images_of(const cupel_desc *desc) {
    const int64_t *dims = desc->shape.dims;
    return (struct winograd_images){.h = dims[2],
                                    .w = dims[3],
                                    .stride = dims[1] * dims[2] * dims[3],
                                    .block = cpu_vec_winograd()->block};
}

struct winograd_shape winograd_shape_of(bool small, const cupel_desc *from, const cupel_desc *to,
                                        const int64_t padding[2]) {
    const int block = cpu_vec_winograd()->block;
    struct winograd_shape shape = {
        .table = cpu_vec_winograd(),
        .products = cpu_vec_winograd_product(),
        .small = small,
        .block = block,
        .images = from->shape.dims[0],
        .from_blocks = from->shape.dims[1] / block,
        .to_blocks = to->shape.dims[1] / block,
        .from = images_of(from),
        .to = images_of(to),
        .padding = {padding[0], padding[1]},
        .n_planes = small ? 16 : WINOGRAD_PLANES,
    };
    const struct cover y = cover_of(shape.to.h, small), x = cover_of(shape.to.w, small);
    for (int form = 0; form < WINOGRAD_FORMS; form++)
        add_part(&shape, (enum winograd_form)form, y, x);
    return shape;
}

void winograd_tiles(const struct winograd_part *part, const int64_t margin[2], int64_t first,
                    int64_t n, struct winograd_tile *out) {
    int64_t column = first % part->columns, above = first / part->columns;
    int64_t row = above % part->rows, image = above / part->rows;
    for (int64_t t = 0; t < n; t++) {
        out[t] = (struct winograd_tile){.image = image,
                                        .y = part->y + row * part->high - margin[0],
                                        .x = part->x + column * part->wide - margin[1]};
        if (++column == part->columns) {
            column = 0;
            if (++row == part->rows) {
                row = 0;
                image++;
            }
        }
    }
}

int winograd_slot(const struct winograd_shape *shape, const struct winograd_part *part, int index) {
    return shape->small ? index : part->planes[index];
}
