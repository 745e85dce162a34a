/*
 * The one place where a call of the library fails. The sentence is formatted beside its target, so
 * that an error may quote its own old text; a sentence that is too long ends in "..." and is never
 * cut inside a UTF-8 character. Test: tests/test_error.c
 */
#include "base/error.h"

#include <stdio.h>
#include <string.h>

static void mark_cut(char text[CUPEL_ERROR_TEXT_SIZE]) {
    static const char dots[] = "...";
    size_t end = CUPEL_ERROR_TEXT_SIZE - sizeof dots;
    while (end > 0 && ((unsigned char)text[end] & 0xC0U) == 0x80U)
        end--;
    memcpy(text + end, dots, sizeof dots);
}

cupel_status cupel_vfail(struct cupel_error *error, cupel_status status, const char *format,
                         va_list args) {
    if (status == CUPEL_STATUS_OK) /* a failure cannot be a success: the caller is wrong */
        status = CUPEL_STATUS_BUG;
    if (error == NULL)
        return status;
    char text[CUPEL_ERROR_TEXT_SIZE];
    const int length = vsnprintf(text, sizeof text, format, args);
    if (length < 0)
        snprintf(text, sizeof text, "%s", cupel_status_text(status));
    else if ((size_t)length >= sizeof text)
        mark_cut(text);
    error->status = status;
    memcpy(error->text, text, strlen(text) + 1);
    return status;
}

cupel_status cupel_fail(struct cupel_error *error, cupel_status status, const char *format, ...) {
    va_list args;
    va_start(args, format);
    status = cupel_vfail(error, status, format, args);
    va_end(args);
    return status;
}

cupel_status cupel_fail_memory(struct cupel_error *error, const char *what, size_t size) {
    return cupel_fail(error, CUPEL_STATUS_OUT_OF_MEMORY, "no memory for %s (%zu bytes)", what,
                      size);
}

void cupel_error_clear(struct cupel_error *error) {
    if (error == NULL)
        return;
    error->status = CUPEL_STATUS_OK;
    error->text[0] = '\0';
}

cupel_status cupel_error_copy(struct cupel_error *to, const struct cupel_error *from) {
    if (to != NULL && to != from) {
        to->status = from->status;
        memcpy(to->text, from->text, strlen(from->text) + 1);
    }
    return from->status;
}
