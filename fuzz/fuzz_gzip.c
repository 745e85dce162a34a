/*
 * The gzip wrapper (src/data/byte_source.c). However large the pieces that are asked for, the same
 * bytes and the same verdict come out, never more than the bound that readers size memory by; what
 * is no gzip file passes through unchanged.
 */
#include "fuzz_target.h"

#include "data/byte_source.h"

enum { MOST = 1 << 12 }; /* bytes looked at: the fuzzer is to be quick */

struct outcome {
    cupel_status status;
    size_t size;
    uint8_t bytes[MOST];
};

static void read_in_pieces(struct outcome *out, const uint8_t *bytes, size_t size, size_t piece) {
    struct cupel_error error = {0};
    struct byte_source *source;
    size_t got = 1;
    out->size = 0;
    out->status = byte_source_open(&source, bytes, size, "input", &error);
    FUZZ_REQUIRE(out->status == CUPEL_STATUS_OK);
    while (out->status == CUPEL_STATUS_OK && got > 0 && out->size < MOST) {
        const size_t room = MOST - out->size, count = piece < room ? piece : room;
        out->status = byte_source_read(source, out->bytes + out->size, count, &got, &error);
        FUZZ_REQUIRE(got <= count);
        out->size += got;
    }
    FUZZ_REQUIRE(out->size <= byte_source_bound(source));
    if (out->status != CUPEL_STATUS_OK) {
        FUZZ_REQUIRE(out->status == CUPEL_STATUS_BAD_DATA);
        FUZZ_REQUIRE(strstr(error.text, "input") != NULL);
    }
    byte_source_close(source);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static struct outcome whole, pieces;
    static const size_t lengths[] = {1, 3, 1000};
    read_in_pieces(&whole, bytes, size, MOST);
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        read_in_pieces(&pieces, bytes, size, lengths[i]);
        FUZZ_REQUIRE(pieces.status == whole.status);
        if (whole.status != CUPEL_STATUS_OK)
            continue; /* how far a read came before the damage depends on its length */
        FUZZ_REQUIRE(pieces.size == whole.size);
        FUZZ_REQUIRE(memcmp(pieces.bytes, whole.bytes, whole.size) == 0);
    }
    if (size < 2 || bytes[0] != 0x1f || bytes[1] != 0x8b) {
        FUZZ_REQUIRE(whole.status == CUPEL_STATUS_OK);
        FUZZ_REQUIRE(whole.size == (size < MOST ? size : MOST));
        FUZZ_REQUIRE(memcmp(whole.bytes, bytes, whole.size) == 0);
    }
    return 0;
}
