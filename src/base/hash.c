/*
 * 64-bit hashes: FNV-1a over the bytes, then the finaliser of splitmix64 so that every bit of the
 * result depends on every byte. The definitions never change: files and random streams hold them.
 * Test: tests/test_hash.c
 */
#include "base/hash.h"

#include <string.h>

uint64_t hash_mix64(uint64_t x) {
    x ^= x >> 30;
    x *= UINT64_C(0xBF58476D1CE4E5B9);
    x ^= x >> 27;
    x *= UINT64_C(0x94D049BB133111EB);
    x ^= x >> 31;
    return x;
}

uint64_t hash_bytes(const void *bytes, size_t size) {
    const unsigned char *byte = bytes;
    uint64_t state = UINT64_C(0xCBF29CE484222325);
    for (size_t i = 0; i < size; i++) {
        state ^= byte[i];
        state *= UINT64_C(0x00000100000001B3);
    }
    return hash_mix64(state);
}

uint64_t hash_string(const char *text) {
    return hash_bytes(text, strlen(text));
}

uint64_t hash_combine(uint64_t a, uint64_t b) {
    /* The first word is mixed before the second joins it: no symmetry, no cancelling. */
    return hash_mix64(hash_mix64(a + UINT64_C(0x9E3779B97F4A7C15)) + b);
}
