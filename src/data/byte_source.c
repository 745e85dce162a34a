/*
 * Plain or gzip bytes as a stream. gzip files may consist of several members; what follows the last
 * one is an error, not silently dropped. Test: tests/test_idx.c
 */
#include "data/byte_source.h"

#include <string.h>
#include <zlib.h>

#include "base/memory.h"

struct byte_source {
    const uint8_t *next;
    size_t left;
    size_t size;
    const char *name;
    bool gzip, ended;
    z_stream stream;
};

static void *zlib_alloc(void *opaque, unsigned count, unsigned size) {
    (void)opaque;
    return cupel_alloc(count, size);
}

static void zlib_free(void *opaque, void *block) {
    (void)opaque;
    cupel_free(block);
}

static bool begins_gzip(const uint8_t *bytes, size_t size) {
    return size >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b;
}

cupel_status byte_source_open(struct byte_source **out, const void *bytes, size_t size,
                              const char *name, struct cupel_error *error) {
    *out = NULL;
    struct byte_source *const source = cupel_alloc(1, sizeof *source);
    if (source == NULL)
        return cupel_fail_memory(error, name, sizeof *source);
    source->next = bytes;
    source->left = source->size = size;
    source->name = name;
    source->gzip = begins_gzip(bytes, size);
    if (source->gzip) {
        enum { GZIP_ONLY = 16 };
        source->stream.zalloc = zlib_alloc;
        source->stream.zfree = zlib_free;
        if (inflateInit2(&source->stream, MAX_WBITS + GZIP_ONLY) != Z_OK) {
            cupel_free(source);
            return cupel_fail_memory(error, "decompression", 0);
        }
    }
    *out = source;
    return CUPEL_STATUS_OK;
}

void byte_source_close(struct byte_source *source) {
    if (source == NULL)
        return;
    if (source->gzip)
        inflateEnd(&source->stream);
    cupel_free(source);
}

uint64_t byte_source_bound(const struct byte_source *source) {
    return source->gzip ? (uint64_t)source->size * 1032 + 1024 : source->size;
}

static cupel_status fail_gzip(const struct byte_source *source, struct cupel_error *error,
                              const char *why) {
    return cupel_fail(error, CUPEL_STATUS_BAD_DATA,
                      "%s is a damaged gzip file: %s (at byte %zu of %zu); fetch it again",
                      source->name, why, source->size - source->left, source->size);
}

/* At the end of a member: either another one follows or nothing does. */
static cupel_status end_member(struct byte_source *source, struct cupel_error *error) {
    if (source->left == 0) {
        source->ended = true;
        return CUPEL_STATUS_OK;
    }
    if (!begins_gzip(source->next, source->left))
        return fail_gzip(source, error, "bytes follow its end");
    return inflateReset(&source->stream) == Z_OK
               ? CUPEL_STATUS_OK
               : fail_gzip(source, error, "it cannot be continued");
}

static cupel_status inflate_some(struct byte_source *source, uint8_t *out, size_t count,
                                 size_t *got, struct cupel_error *error) {
    const size_t most = 1U << 30; /* zlib counts in unsigned int */
    z_stream *const stream = &source->stream;
    const size_t feed = source->left < most ? source->left : most;
    const size_t room = count < most ? count : most;
    stream->next_in = (unsigned char *)(uintptr_t)source->next;
    stream->avail_in = (unsigned)feed;
    stream->next_out = out;
    stream->avail_out = (unsigned)room;
    const int result = inflate(stream, Z_NO_FLUSH);
    source->next += feed - stream->avail_in;
    source->left -= feed - stream->avail_in;
    *got = room - stream->avail_out;
    switch (result) {
    case Z_OK: return CUPEL_STATUS_OK;
    case Z_STREAM_END: return end_member(source, error);
    case Z_MEM_ERROR: return cupel_fail_memory(error, "decompression", 1U << MAX_WBITS);
    case Z_BUF_ERROR: return fail_gzip(source, error, "it is truncated");
    case Z_NEED_DICT: return fail_gzip(source, error, "it needs a dictionary");
    default: return fail_gzip(source, error, stream->msg != NULL ? stream->msg : "zlib gave up");
    }
}

cupel_status byte_source_read(struct byte_source *source, void *out, size_t count, size_t *got,
                              struct cupel_error *error) {
    *got = 0;
    if (!source->gzip) {
        *got = count < source->left ? count : source->left;
        if (*got > 0)
            memcpy(out, source->next, *got);
        source->next += *got;
        source->left -= *got;
        return CUPEL_STATUS_OK;
    }
    while (*got < count && !source->ended) {
        size_t some;
        CUPEL_TRY(inflate_some(source, (uint8_t *)out + *got, count - *got, &some, error));
        *got += some;
    }
    return CUPEL_STATUS_OK;
}
