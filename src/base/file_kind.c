/*
 * Kinds of files by their first bytes. Test: tests/test_file.c
 */
#include "base/file_kind.h"

#include <stdint.h>
#include <string.h>

static const struct {
    const char *magic;
    size_t length;
    const char *kind;
} kinds[] = {
    {"\x89PNG", 4, "a PNG image"},
    {"\xff\xd8\xff", 3, "a JPEG image"},
    {"GIF8", 4, "a GIF image"},
    {"RIFF", 4, "a WebP image or a sound"},
    {"II*\0", 4, "a TIFF image"},
    {"MM\0*", 4, "a TIFF image"},
    {"PK\3\4", 4, "a zip archive"},
    {"\x1f\x8b", 2, "a gzip file"},
    {"\0\0\x08\1", 4, "an IDX file"},
    {"\0\0\x08\3", 4, "an IDX file"},
    {"%PDF", 4, "a PDF document"},
    {"\x7f"
     "ELF",
     4, "a program"},
};

static char lower(char c) {
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

/* Whether the word (in small letters) occurs. */
static bool holds(const char *text, size_t size, const char *word) {
    const size_t length = strlen(word);
    for (size_t at = 0; at + length <= size; at++) {
        size_t same = 0;
        while (same < length && lower(text[at + same]) == word[same])
            same++;
        if (same == length)
            return true;
    }
    return false;
}

bool looks_like_web_page(const void *bytes, size_t size) {
    const char *text = bytes;
    size_t start = size >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (start < size && strchr(" \t\r\n", text[start]) != NULL && text[start] != '\0')
        start++;
    if (start == size || text[start] != '<')
        return false;
    const size_t head = size - start < 1024 ? size - start : 1024;
    return holds(text + start, head, "<html") || holds(text + start, head, "<!doctype") ||
           holds(text + start, head, "<?xml");
}

/* The length of a JSON object in 64 bits, and the object. */
static bool looks_like_safetensors(const uint8_t *bytes, size_t size) {
    return size > 9 && bytes[5] == 0 && bytes[6] == 0 && bytes[7] == 0 && bytes[8] == '{';
}

const char *file_kind(const void *bytes, size_t size) {
    if (looks_like_safetensors(bytes, size)) /* whose length may begin like another kind */
        return "a safetensors file";
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (size >= kinds[i].length && memcmp(bytes, kinds[i].magic, kinds[i].length) == 0)
            return kinds[i].kind;
    return looks_like_web_page(bytes, size) ? "a web page" : NULL;
}
