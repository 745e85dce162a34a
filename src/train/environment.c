/*
 * Writes env.json and reads the data folder out of it. Test: tests/train.bats
 */
#define _DEFAULT_SOURCE /* realpath */
#define _POSIX_C_SOURCE 200809L
#include "train/environment.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "base/file.h"
#include "base/memory.h"
#include "graph/context_internal.h"

/* "model name : ..." of /proc/cpuinfo; "" where there is none. */
static void processor_name(char *out, size_t size) {
    uint8_t *text;
    size_t length;
    struct cupel_error ignored = {0};
    out[0] = '\0';
    if (file_read("/proc/cpuinfo", 1 << 24, &text, &length, &ignored) != CUPEL_STATUS_OK)
        return;
    const char *const line = strstr((const char *)text, "model name");
    const char *const colon = line == NULL ? NULL : strchr(line, ':');
    if (colon != NULL) {
        const char *const start = colon + 1 + strspn(colon + 1, " \t");
        const size_t span = strcspn(start, "\n");
        const size_t kept = span < size - 1 ? span : size - 1;
        memcpy(out, start, kept);
        out[kept] = '\0';
    }
    cupel_free(text);
}

static bool append_field(struct json_text *text, const char *key, const char *value) {
    return json_append(text, ",\n  \"") && json_append(text, key) && json_append(text, "\": ") &&
           json_append_quoted(text, value == NULL ? "" : value);
}

cupel_status environment_text(struct json_text *out, cupel_context *context, int threads,
                              const char *data, struct cupel_error *error) {
    char processor[128], real[PATH_MAX];
    struct utsname system;
    const bool known = uname(&system) == 0;
    processor_name(processor, sizeof processor);
    const bool fine =
        json_append(out, "{\n  \"threads\": ") && json_append_i64(out, threads) &&
        append_field(out, "data", realpath(data, real) == NULL ? data : real) &&
        append_field(out, "device", context->backend->name) &&
        append_field(out, "instruction_set", context->backend->instruction_set) &&
        append_field(out, "kernel_library", context->backend->kernel_library) &&
        append_field(out, "processor", processor) && append_field(out, "compiler", __VERSION__) &&
        append_field(out, "system", known ? system.release : "") && json_append(out, "\n}\n");
    return fine ? CUPEL_STATUS_OK : cupel_fail_memory(error, "env.json", 0);
}

static cupel_status find_data(struct json_reader *json, char **out, struct cupel_error *error) {
    struct json_text key = {0}, value = {0};
    cupel_status status = json_expect(json, '{');
    bool more = true;
    while (status == CUPEL_STATUS_OK) {
        status = json_more(json, '}', &more);
        if (status != CUPEL_STATUS_OK || !more)
            break;
        CUPEL_TRY_DONE(json_key(json, &key));
        if (strcmp(key.bytes, "data") == 0 && *out == NULL) {
            CUPEL_TRY_DONE(json_string(json, &value));
            *out = cupel_strdup(value.bytes);
            if (*out == NULL)
                status = cupel_fail_memory(error, "the data folder", 0);
        } else {
            CUPEL_TRY_DONE(json_skip(json));
        }
    }
done:
    json_text_release(&key);
    json_text_release(&value);
    return status;
}

cupel_status environment_read_data(char **out, const char *folder, struct cupel_error *error) {
    *out = NULL;
    char *const path = file_join(folder, RUN_ENVIRONMENT);
    if (path == NULL)
        return cupel_fail_memory(error, "a file name", 0);
    cupel_status status = CUPEL_STATUS_OK;
    uint8_t *text = NULL;
    size_t size = 0;
    if (file_exists(path))
        status = file_read(path, 1 << 20, &text, &size, error);
    if (status == CUPEL_STATUS_OK && text != NULL) {
        struct json_reader json;
        json_begin(&json, (const char *)text, size, path, error);
        status = find_data(&json, out, error);
    }
    cupel_free(text);
    cupel_free(path);
    return status;
}
