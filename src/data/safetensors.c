/*
 * The safetensors format: 8 bytes of header length (little-endian), a JSON header, the data. The
 * one idea of the reader: nothing the header says is believed before it is checked against what is
 * really there (the size of the file, then every type, shape and offset), and memory is asked for
 * only afterwards; the header is pulled, not turned into a tree, so it costs no memory either. The
 * writer makes the same bytes from the same collection: metadata first, tensors in collection
 * order, header padded with spaces to 8 bytes. Test: tests/test_safetensors.c
 */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/file_kind.h"
#include "base/json.h"
#include "base/memory.h"
#include "tensor/tensors.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "safetensors data is little-endian");

enum {
    MAX_HEADER = 100000000, /* the limit of the format's own library */
    MAX_METADATA = 4096,    /* entries of __metadata__ */
    LENGTH_BYTES = 8
};
static const uint64_t max_file = UINT64_C(1) << 36;

static const struct {
    const char *name;
    cupel_type type;
} dtypes[] = {
    {"F32", CUPEL_TYPE_F32}, {"F64", CUPEL_TYPE_F64}, {"BF16", CUPEL_TYPE_BF16},
    {"I32", CUPEL_TYPE_I32}, {"I64", CUPEL_TYPE_I64}, {"U8", CUPEL_TYPE_U8},
    {"U64", CUPEL_TYPE_U64},
};
enum { DTYPE_COUNT = sizeof dtypes / sizeof dtypes[0] };

/* ---- reading --------------------------------------------------------------------------------- */

struct span {
    uint64_t begin, end;
    size_t tensor;
};

struct reader {
    cupel_tensors *tensors;
    const char *path;
    struct json_reader json; /* at the header */
    const uint8_t *data;     /* after the header */
    uint64_t data_size;
    uint64_t claimed; /* by the tensors so far: no two may share a byte */
    struct json_text name, text;
    struct json_text place; /* "PATH: tensor NAME", for the messages of the JSON reader */
    struct span *spans;
    size_t span_count, span_capacity;
};

static cupel_status fail_file(struct reader *reader, const char *why) {
    return cupel_fail(&reader->tensors->error, CUPEL_STATUS_BAD_DATA,
                      "%s is not a usable safetensors file: %s", reader->path, why);
}

static cupel_status fail_tensor(struct reader *reader, cupel_status status, const char *name,
                                const char *why) {
    return cupel_fail(&reader->tensors->error, status, "%s: tensor %.200s: %s", reader->path, name,
                      why);
}

static cupel_status read_metadata(struct reader *reader) {
    struct json_reader *const json = &reader->json;
    cupel_tensors *const tensors = reader->tensors;
    CUPEL_TRY(json_expect(json, '{'));
    for (size_t count = 0;; count++) {
        bool more;
        CUPEL_TRY(json_more(json, '}', &more));
        if (!more)
            return CUPEL_STATUS_OK;
        if (count == MAX_METADATA)
            return fail_file(reader, "__metadata__ has too many entries");
        CUPEL_TRY(json_key(json, &reader->name));
        if (cupel_tensors_metadata(tensors, reader->name.bytes))
            return fail_file(reader, "a key of __metadata__ occurs twice");
        CUPEL_TRY(json_string(json, &reader->text));
        CUPEL_TRY(cupel_tensors_set_metadata(tensors, reader->name.bytes, reader->text.bytes));
    }
}

static cupel_status find_dtype(struct reader *reader, cupel_type *out) {
    static const char *const foreign[] = {"F16", "BOOL",    "I8",      "I16",     "U16",
                                          "U32", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4",
                                          "C64", "F6_E2M3", "F6_E3M2"};
    const char *const text = reader->text.bytes;
    for (size_t i = 0; i < DTYPE_COUNT; i++) {
        if (strcmp(text, dtypes[i].name) == 0) {
            *out = dtypes[i].type;
            return CUPEL_STATUS_OK;
        }
    }
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        if (strcmp(text, foreign[i]) == 0)
            return cupel_fail(
                &reader->tensors->error, CUPEL_STATUS_UNSUPPORTED,
                "%s: tensor %.200s has dtype %s, which cupel does not hold; convert it "
                "to F32, F64, BF16, I32, I64, U8 or U64",
                reader->path, reader->name.bytes, text);
    return cupel_fail(&reader->tensors->error, CUPEL_STATUS_BAD_DATA,
                      "%s: tensor %.200s has the unknown dtype \"%.40s\"", reader->path,
                      reader->name.bytes, text);
}

static cupel_status read_shape(struct reader *reader, cupel_shape *out) {
    const char *const name = reader->name.bytes;
    *out = cupel_shape_scalar();
    CUPEL_TRY(json_expect(&reader->json, '['));
    for (;;) {
        bool more;
        int64_t extent;
        CUPEL_TRY(json_more(&reader->json, ']', &more));
        if (!more)
            break;
        CUPEL_TRY(json_i64(&reader->json, &extent));
        if (out->rank == CUPEL_MAX_RANK)
            return fail_tensor(reader, CUPEL_STATUS_UNSUPPORTED, name, "it has more than 6 axes");
        if (extent < 0)
            return fail_tensor(reader, CUPEL_STATUS_BAD_DATA, name,
                               "an extent of its shape is negative");
        if (extent == 0)
            return fail_tensor(reader, CUPEL_STATUS_UNSUPPORTED, name, "it has no elements");
        out->dims[out->rank++] = extent;
    }
    if (!cupel_shape_valid(*out))
        return fail_tensor(reader, CUPEL_STATUS_BAD_DATA, name, "its shape overflows");
    return CUPEL_STATUS_OK;
}

static cupel_status read_offsets(struct reader *reader, struct span *out) {
    int64_t first, last;
    CUPEL_TRY(json_expect(&reader->json, '['));
    CUPEL_TRY(json_i64(&reader->json, &first));
    CUPEL_TRY(json_expect(&reader->json, ','));
    CUPEL_TRY(json_i64(&reader->json, &last));
    CUPEL_TRY(json_expect(&reader->json, ']'));
    if (first < 0 || last < first || (uint64_t)last > reader->data_size)
        return cupel_fail(
            &reader->tensors->error, CUPEL_STATUS_BAD_DATA,
            "%s: tensor %.200s: its data_offsets [%lld, %lld] leave the %llu bytes of "
            "data; the file is truncated or damaged",
            reader->path, reader->name.bytes, (long long)first, (long long)last,
            (unsigned long long)reader->data_size);
    *out = (struct span){(uint64_t)first, (uint64_t)last, reader->tensors->count};
    return CUPEL_STATUS_OK;
}

/* { "dtype": ..., "shape": ..., "data_offsets": ... } in any order, each exactly once. */
static cupel_status read_entry(struct reader *reader, cupel_desc *desc, struct span *span) {
    enum { DTYPE = 1, SHAPE = 2, OFFSETS = 4 };
    struct json_reader *const json = &reader->json;
    unsigned seen = 0;
    CUPEL_TRY(json_expect(json, '{'));
    for (;;) {
        bool more;
        CUPEL_TRY(json_more(json, '}', &more));
        if (!more)
            break;
        CUPEL_TRY(json_key(json, &reader->text));
        const char *const key = reader->text.bytes;
        const unsigned field = strcmp(key, "dtype") == 0          ? DTYPE
                               : strcmp(key, "shape") == 0        ? SHAPE
                               : strcmp(key, "data_offsets") == 0 ? OFFSETS
                                                                  : 0;
        if (field == 0 || (seen & field))
            return fail_tensor(reader, CUPEL_STATUS_BAD_DATA, reader->name.bytes,
                               "its entry has a key that is unknown or occurs twice");
        seen |= field;
        if (field == DTYPE) {
            CUPEL_TRY(json_string(json, &reader->text));
            CUPEL_TRY(find_dtype(reader, &desc->type));
        } else if (field == SHAPE) {
            CUPEL_TRY(read_shape(reader, &desc->shape));
        } else {
            CUPEL_TRY(read_offsets(reader, span));
        }
    }
    if (seen != (DTYPE | SHAPE | OFFSETS))
        return fail_tensor(reader, CUPEL_STATUS_BAD_DATA, reader->name.bytes,
                           "its entry lacks dtype, shape or data_offsets");
    return CUPEL_STATUS_OK;
}

static cupel_status read_tensor(struct reader *reader) {
    cupel_desc desc = cupel_desc_plain(CUPEL_TYPE_U8, cupel_shape_scalar());
    struct span span = {0};
    reader->place.length = 0;
    if (!json_append(&reader->place, reader->path) || !json_append(&reader->place, ": tensor ") ||
        !json_append(&reader->place, reader->name.bytes))
        return cupel_fail_memory(&reader->tensors->error, reader->path, reader->name.length);
    reader->json.name = reader->place.bytes;
    CUPEL_TRY(read_entry(reader, &desc, &span));
    reader->json.name = reader->path;
    const char *const name = reader->name.bytes;
    const uint64_t bytes = cupel_desc_bytes(&desc);
    if (span.end - span.begin != bytes) {
        char text[CUPEL_SHAPE_TEXT_SIZE];
        return cupel_fail(
            &reader->tensors->error, CUPEL_STATUS_BAD_DATA,
            "%s: tensor %.200s: %s %s needs %llu bytes but its data_offsets span %llu",
            reader->path, name, cupel_type_name(desc.type), cupel_shape_format(text, desc.shape),
            (unsigned long long)bytes, (unsigned long long)(span.end - span.begin));
    }
    if (bytes > reader->data_size - reader->claimed)
        return fail_tensor(reader, CUPEL_STATUS_BAD_DATA, name,
                           "its data overlaps another tensor's");
    if (name[0] == '\0' || cupel_tensors_find(reader->tensors, name))
        return fail_tensor(reader, CUPEL_STATUS_BAD_DATA, name,
                           "its name is empty or occurs twice");
    cupel_tensor *tensor;
    if (!cupel_grow(&reader->spans, &reader->span_capacity, reader->span_count + 1,
                    sizeof *reader->spans))
        return cupel_fail_memory(&reader->tensors->error, reader->path,
                                 (reader->span_count + 1) * sizeof *reader->spans);
    CUPEL_TRY(tensors_add_blank(reader->tensors, name, desc.type, desc.shape, &tensor));
    memcpy(tensor->data, reader->data + span.begin, bytes);
    reader->claimed += bytes;
    reader->spans[reader->span_count++] = span;
    return CUPEL_STATUS_OK;
}

static int compare_spans(const void *a, const void *b) {
    const struct span *const x = a, *const y = b;
    return (x->begin > y->begin) - (x->begin < y->begin);
}

/* Every byte of the data belongs to exactly one tensor. */
static cupel_status check_cover(struct reader *reader) {
    if (reader->span_count > 0)
        qsort(reader->spans, reader->span_count, sizeof *reader->spans, compare_spans);
    uint64_t covered = 0;
    for (size_t i = 0; i < reader->span_count; i++) {
        const struct span *const span = &reader->spans[i];
        const char *const name = reader->tensors->entries[span->tensor]->name;
        if (span->begin < covered)
            return fail_tensor(reader, CUPEL_STATUS_BAD_DATA, name,
                               "its data overlaps another tensor's");
        if (span->begin > covered)
            return fail_tensor(reader, CUPEL_STATUS_BAD_DATA, name,
                               "there is a hole before its data");
        covered = span->end;
    }
    if (covered != reader->data_size)
        return fail_file(reader, "bytes follow the last tensor's data");
    return CUPEL_STATUS_OK;
}

static cupel_status read_header(struct reader *reader) {
    struct json_reader *const json = &reader->json;
    bool metadata_seen = false;
    CUPEL_TRY(json_expect(json, '{'));
    for (;;) {
        bool more;
        CUPEL_TRY(json_more(json, '}', &more));
        if (!more)
            break;
        CUPEL_TRY(json_key(json, &reader->name));
        if (strcmp(reader->name.bytes, "__metadata__") != 0) {
            CUPEL_TRY(read_tensor(reader));
            continue;
        }
        if (metadata_seen)
            return fail_file(reader, "__metadata__ occurs twice");
        metadata_seen = true;
        CUPEL_TRY(read_metadata(reader));
    }
    CUPEL_TRY(json_finish(json));
    return check_cover(reader);
}

static cupel_status parse_file(cupel_tensors *tensors, const uint8_t *bytes, size_t size,
                               const char *path) {
    struct reader reader = {.tensors = tensors, .path = path};
    if (size < LENGTH_BYTES + 2)
        return fail_file(&reader, "it is shorter than 10 bytes");
    uint64_t length;
    memcpy(&length, bytes, sizeof length);
    if (length > MAX_HEADER || length > size - LENGTH_BYTES)
        return cupel_fail(
            &tensors->error, CUPEL_STATUS_BAD_DATA,
            "%s is not a usable safetensors file: its first 8 bytes announce a header "
            "of %llu bytes, but the file has %zu (limit %d)",
            path, (unsigned long long)length, size, MAX_HEADER);
    const char *const header = (const char *)bytes + LENGTH_BYTES;
    if (length < 2 || header[0] != '{')
        return fail_file(&reader, "its header does not begin with {");
    json_begin(&reader.json, header, (size_t)length, path, &tensors->error);
    reader.data = bytes + LENGTH_BYTES + length;
    reader.data_size = size - LENGTH_BYTES - length;
    const cupel_status status = read_header(&reader);
    json_text_release(&reader.name);
    json_text_release(&reader.text);
    json_text_release(&reader.place);
    cupel_free(reader.spans);
    return status;
}

/* Says of other files what they are, and of damaged ones what to do. */
static cupel_status parse_into(cupel_tensors *tensors, const uint8_t *bytes, size_t size,
                               const char *path) {
    const char *const kind = file_kind(bytes, size);
    if (kind != NULL && (size <= LENGTH_BYTES || bytes[LENGTH_BYTES] != '{'))
        return cupel_fail(&tensors->error, CUPEL_STATUS_BAD_DATA,
                          "%s is not a safetensors file: it is %s; give weights, such as "
                          "RUN/best.safetensors",
                          path, kind);
    const cupel_status status = parse_file(tensors, bytes, size, path);
    if (status != CUPEL_STATUS_BAD_DATA)
        return status;
    const struct cupel_error why = tensors->error;
    return cupel_fail(&tensors->error, status, "%s; copy or write it again", why.text);
}

/* After a failure only the sentence stays: a half-read collection helps nobody. */
static cupel_status deliver(cupel_tensors **out, cupel_tensors *tensors, cupel_status status) {
    if (status == CUPEL_STATUS_OK) {
        *out = tensors;
        return status;
    }
    const cupel_status created = cupel_tensors_create(out);
    if (created == CUPEL_STATUS_OK)
        (void)cupel_error_copy(&(*out)->error, &tensors->error);
    cupel_tensors_destroy(tensors);
    return status;
}

cupel_status cupel_tensors_parse(cupel_tensors **out, const void *bytes, size_t size,
                                 const char *name) {
    cupel_tensors *tensors;
    *out = NULL;
    CUPEL_TRY(cupel_tensors_create(&tensors));
    return deliver(out, tensors, parse_into(tensors, bytes, size, name));
}

cupel_status cupel_tensors_read(cupel_tensors **out, const char *path) {
    cupel_tensors *tensors;
    uint8_t *bytes = NULL;
    size_t size = 0;
    *out = NULL;
    CUPEL_TRY(cupel_tensors_create(&tensors));
    cupel_status status = file_read(path, max_file, &bytes, &size, &tensors->error);
    if (status == CUPEL_STATUS_OK)
        status = parse_into(tensors, bytes, size, path);
    cupel_free(bytes);
    return deliver(out, tensors, status);
}

/* ---- writing --------------------------------------------------------------------------------- */

static const char *dtype_name(cupel_type type) {
    for (size_t i = 0; i < DTYPE_COUNT; i++)
        if (dtypes[i].type == type)
            return dtypes[i].name;
    return "";
}

static bool append_metadata(struct json_text *header, const cupel_tensors *tensors) {
    bool fine = json_append(header, "\"__metadata__\":{");
    for (size_t i = 0; fine && i < tensors->metadata_count; i++)
        fine = (i == 0 || json_append(header, ",")) &&
               json_append_quoted(header, tensors->metadata[i].key) && json_append(header, ":") &&
               json_append_quoted(header, tensors->metadata[i].value);
    return fine && json_append(header, "}");
}

static bool append_tensor(struct json_text *header, const cupel_tensor *tensor, uint64_t begin) {
    const cupel_shape shape = tensor->desc.shape;
    bool fine = json_append_quoted(header, tensor->name) && json_append(header, ":{\"dtype\":") &&
                json_append_quoted(header, dtype_name(tensor->desc.type)) &&
                json_append(header, ",\"shape\":[");
    for (int axis = 0; fine && axis < shape.rank; axis++)
        fine = (axis == 0 || json_append(header, ",")) && json_append_i64(header, shape.dims[axis]);
    return fine && json_append(header, "],\"data_offsets\":[") &&
           json_append_i64(header, (int64_t)begin) && json_append(header, ",") &&
           json_append_i64(header, (int64_t)(begin + cupel_desc_bytes(&tensor->desc))) &&
           json_append(header, "]}");
}

static bool make_header(struct json_text *header, const cupel_tensors *tensors) {
    bool fine = json_append(header, "{");
    bool first = true;
    if (fine && tensors->metadata_count > 0) {
        fine = append_metadata(header, tensors);
        first = false;
    }
    uint64_t begin = 0;
    for (size_t i = 0; fine && i < tensors->count; i++) {
        fine = (first || json_append(header, ",")) &&
               append_tensor(header, tensors->entries[i], begin);
        begin += cupel_desc_bytes(&tensors->entries[i]->desc);
        first = false;
    }
    fine = fine && json_append(header, "}");
    while (fine && header->length % 8 != 0)
        fine = json_append(header, " ");
    return fine;
}

cupel_status cupel_tensors_write(cupel_tensors *tensors, const char *path) {
    struct cupel_error *const error = &tensors->error;
    struct file_writer writer = {.descriptor = -1};
    struct json_text header = {0};
    cupel_status status = CUPEL_STATUS_OK;
    if (!make_header(&header, tensors)) {
        status = cupel_fail_memory(error, path, header.length);
        goto done;
    }
    if (header.length > MAX_HEADER) {
        status = cupel_fail(error, CUPEL_STATUS_UNSUPPORTED,
                            "cannot write %s: names and metadata need a header of %zu bytes, more "
                            "than the %d that readers accept",
                            path, header.length, MAX_HEADER);
        goto done;
    }
    const uint64_t length = header.length;
    CUPEL_TRY_DONE(file_writer_open(&writer, path, error));
    CUPEL_TRY_DONE(file_writer_write(&writer, &length, sizeof length, error));
    CUPEL_TRY_DONE(file_writer_write(&writer, header.bytes, header.length, error));
    for (size_t i = 0; i < tensors->count; i++)
        CUPEL_TRY_DONE(file_writer_write(&writer, tensors->entries[i]->data,
                                         cupel_desc_bytes(&tensors->entries[i]->desc), error));
    status = file_writer_commit(&writer, error);
done:
    file_writer_cancel(&writer);
    json_text_release(&header);
    return status;
}
