/*
 * UTF-8, one character after the other. Test: tests/test_json.c, tests/test_tensors.c
 */
#include "base/utf8.h"

#include <stdint.h>
#include <string.h>

size_t utf8_length(const char *at, const char *end) {
    const unsigned char lead = (unsigned char)*at;
    if (lead < 0x80)
        return 1;
    const size_t more = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc2 ? 1 : 0;
    if (more == 0 || lead > 0xf4 || (size_t)(end - at) <= more)
        return 0;
    uint32_t point = lead & (0x3fU >> more);
    for (size_t i = 1; i <= more; i++) {
        if (((unsigned char)at[i] & 0xc0) != 0x80)
            return 0;
        point = point << 6 | ((unsigned char)at[i] & 0x3f);
    }
    static const uint32_t least[] = {0, 0x80, 0x800, 0x10000};
    if (point < least[more] || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
        return 0;
    return more + 1;
}

bool utf8_valid(const char *text) {
    const char *const end = text + strlen(text);
    while (text < end) {
        const size_t length = utf8_length(text, end);
        if (length == 0)
            return false;
        text += length;
    }
    return true;
}
