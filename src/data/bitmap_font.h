/*
 * Letters of 5 x 7 pixels for captions: printable ASCII, anything else is drawn as a question mark.
 * Test: tests/test_png.c
 */
#ifndef CUPEL_DATA_BITMAP_FONT_H
#define CUPEL_DATA_BITMAP_FONT_H

#include <stdint.h>

enum { FONT_WIDTH = 5, FONT_HEIGHT = 7, FONT_ADVANCE = 6 };

/* Seven rows from top to bottom, bit 4 is the leftmost pixel. */
const uint8_t *bitmap_font_glyph(char c);

#endif
