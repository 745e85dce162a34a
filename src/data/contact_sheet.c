/*
 * Contact sheets: sections of cells, each an image over its reconstruction, enlarged without
 * smoothing and captioned. Sizes are computed first; then everything is painted with clipping, so
 * no text or image can leave the sheet. Test: tests/test_png.c
 */
#include <string.h>

#include "base/memory.h"
#include "data/bitmap_font.h"
#include "data/image_internal.h"

struct colour {
    uint8_t red, green, blue;
};
static const struct colour paper = {250, 250, 248}, ink = {40, 40, 44}, line = {190, 190, 186},
                           mark = {214, 94, 20};

enum {
    MARGIN = 12,
    GAP = 8,         /* between rows of cells */
    COLUMN_GAP = 16, /* between columns: room for captions */
    INNER_GAP = 2,   /* between an image and its reconstruction */
    FRAME = 2,       /* around each cell */
    TITLE_SCALE = 2, /* of the letters */
    MOST_TITLE = 64, /* letters that a sheet is widened for */
    CAPTION_LINE = FONT_HEIGHT + 4,
    TITLE_LINE = FONT_HEIGHT * TITLE_SCALE + 8
};

struct layout {
    cupel_sheet_options options;
    int64_t picture_width, picture_height; /* enlarged */
    int64_t cell_width, cell_height;
    bool reconstructions, captions;
};

static void fill_box(cupel_image *sheet, int64_t x, int64_t y, int64_t width, int64_t height,
                     struct colour colour) {
    for (int64_t row = y < 0 ? 0 : y; row < y + height && row < sheet->height; row++)
        for (int64_t column = x < 0 ? 0 : x; column < x + width && column < sheet->width; column++)
            memcpy(sheet->pixels + (row * sheet->width + column) * 3, &colour, 3);
}

/* As many whole letters as fit into max_width. */
static void draw_text(cupel_image *sheet, int64_t x, int64_t y, int64_t max_width, int scale,
                      const char *text) {
    const int64_t letters = (max_width + scale) / (FONT_ADVANCE * scale);
    for (int64_t i = 0; i < letters && text[i] != '\0'; i++) {
        const uint8_t *const glyph = bitmap_font_glyph(text[i]);
        for (int row = 0; row < FONT_HEIGHT; row++)
            for (int column = 0; column < FONT_WIDTH; column++)
                if (glyph[row] >> (FONT_WIDTH - 1 - column) & 1)
                    fill_box(sheet, x + (i * FONT_ADVANCE + column) * scale, y + row * scale, scale,
                             scale, ink);
    }
}

static uint8_t to_byte(float value) {
    if (!(value > 0)) /* and not a number */
        return 0;
    return value >= 1 ? 255 : (uint8_t)(value * 255 + 0.5f);
}

static void draw_picture(cupel_image *sheet, const struct layout *layout, int64_t x, int64_t y,
                         const float *picture) {
    const cupel_sheet_options *const o = &layout->options;
    const int64_t plane = o->height * o->width;
    for (int64_t row = 0; row < o->height; row++)
        for (int64_t column = 0; column < o->width; column++) {
            const float *const value = picture + row * o->width + column;
            struct colour colour = {to_byte(value[0]), to_byte(value[0]), to_byte(value[0])};
            if (o->channels == 3) {
                colour.green = to_byte(value[plane]);
                colour.blue = to_byte(value[2 * plane]);
            }
            fill_box(sheet, x + column * o->scale, y + row * o->scale, o->scale, o->scale, colour);
        }
}

static void draw_cell(cupel_image *sheet, const struct layout *layout, int64_t x, int64_t y,
                      const cupel_sheet_cell *cell) {
    const int64_t pictures = layout->picture_height * (cell->reconstruction != NULL ? 2 : 1) +
                             (cell->reconstruction != NULL ? INNER_GAP : 0);
    fill_box(sheet, x, y, layout->cell_width, pictures + 2 * FRAME, cell->marked ? mark : line);
    draw_picture(sheet, layout, x + FRAME, y + FRAME, cell->image);
    if (cell->reconstruction != NULL)
        draw_picture(sheet, layout, x + FRAME, y + FRAME + layout->picture_height + INNER_GAP,
                     cell->reconstruction);
    if (cell->caption != NULL)
        draw_text(sheet, x, y + pictures + 2 * FRAME + 3, layout->cell_width + COLUMN_GAP - 3, 1,
                  cell->caption);
}

static int64_t rows_of(const struct layout *layout, const cupel_sheet_section *section) {
    const int64_t columns = layout->options.columns;
    return ((int64_t)section->count + columns - 1) / columns;
}

static void measure(struct layout *layout, const cupel_sheet_section *sections, size_t count,
                    int64_t *width, int64_t *height) {
    const cupel_sheet_options *const o = &layout->options;
    int64_t widest = 1;
    for (size_t s = 0; s < count; s++) {
        const int64_t cells = (int64_t)sections[s].count;
        const int64_t row = cells < o->columns ? cells : o->columns;
        widest = row > widest ? row : widest;
        for (size_t c = 0; c < sections[s].count; c++) {
            layout->reconstructions |= sections[s].cells[c].reconstruction != NULL;
            layout->captions |= sections[s].cells[c].caption != NULL;
        }
    }
    layout->picture_width = o->width * o->scale;
    layout->picture_height = o->height * o->scale;
    layout->cell_width = layout->picture_width + 2 * FRAME;
    layout->cell_height = layout->picture_height + 2 * FRAME +
                          (layout->reconstructions ? layout->picture_height + INNER_GAP : 0) +
                          (layout->captions ? CAPTION_LINE : 0);
    *width = 2 * MARGIN + widest * (layout->cell_width + COLUMN_GAP) - COLUMN_GAP;
    for (size_t s = 0; s < count; s++) { /* narrow sheets are as wide as their titles */
        const size_t letters = sections[s].title == NULL ? 0 : strlen(sections[s].title);
        const int64_t shown = letters < MOST_TITLE ? (int64_t)letters : MOST_TITLE;
        const int64_t needed = 2 * MARGIN + shown * FONT_ADVANCE * TITLE_SCALE;
        *width = *width < needed ? needed : *width;
    }
    *height = 2 * MARGIN;
    for (size_t s = 0; s < count; s++)
        *height += (sections[s].title != NULL ? TITLE_LINE : 0) +
                   rows_of(layout, &sections[s]) * (layout->cell_height + GAP);
}

static void draw_all(cupel_image *sheet, const struct layout *layout,
                     const cupel_sheet_section *sections, size_t count) {
    fill_box(sheet, 0, 0, sheet->width, sheet->height, paper);
    int64_t y = MARGIN;
    for (size_t s = 0; s < count; s++) {
        if (sections[s].title != NULL) {
            draw_text(sheet, MARGIN, y, sheet->width - 2 * MARGIN, TITLE_SCALE, sections[s].title);
            y += TITLE_LINE;
        }
        for (size_t c = 0; c < sections[s].count; c++) {
            const int64_t row = (int64_t)c / layout->options.columns;
            const int64_t column = (int64_t)c % layout->options.columns;
            draw_cell(sheet, layout, MARGIN + column * (layout->cell_width + COLUMN_GAP),
                      y + row * (layout->cell_height + GAP), &sections[s].cells[c]);
        }
        y += rows_of(layout, &sections[s]) * (layout->cell_height + GAP);
    }
}

static cupel_status compose(cupel_image *sheet, const cupel_sheet_section *sections, size_t count,
                            const cupel_sheet_options *options) {
    struct layout layout = {.options = *options};
    cupel_sheet_options *const o = &layout.options;
    o->scale = o->scale == 0 ? 3 : o->scale;
    o->columns = o->columns == 0 ? 10 : o->columns;
    if (count == 0 || count > 1000 || (o->channels != 1 && o->channels != 3) || o->height < 1 ||
        o->height > 4096 || o->width < 1 || o->width > 4096 || o->scale < 1 || o->scale > 64 ||
        o->columns < 1 || o->columns > 1000)
        return cupel_fail(&sheet->error, CUPEL_STATUS_INVALID_ARGUMENT,
                          "a sheet of %zu sections with %d columns of %d x %lld x %lld images "
                          "enlarged %d times cannot be made",
                          count, o->columns, o->channels, (long long)o->height, (long long)o->width,
                          o->scale);
    int64_t width, height;
    for (size_t s = 0; s < count; s++)
        if (sections[s].count > 100000)
            return cupel_fail(&sheet->error, CUPEL_STATUS_INVALID_ARGUMENT,
                              "a section of %zu images; a sheet shows at most 100000",
                              sections[s].count);
    measure(&layout, sections, count, &width, &height);
    CUPEL_TRY(image_allocate(sheet, width, height, 3));
    draw_all(sheet, &layout, sections, count);
    return CUPEL_STATUS_OK;
}

cupel_status cupel_image_sheet(cupel_image **out, const cupel_sheet_section *sections,
                               size_t section_count, const cupel_sheet_options *options) {
    *out = NULL;
    cupel_image *const sheet = cupel_alloc(1, sizeof *sheet);
    if (sheet == NULL)
        return CUPEL_STATUS_OUT_OF_MEMORY;
    return image_deliver(out, sheet, compose(sheet, sections, section_count, options));
}
