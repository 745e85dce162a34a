/* Hashes (src/base/hash.c). Expected values from a separate Python program checked against the
 * published vectors of FNV-1a ("foobar": 85944171f73967e8) and splitmix64 (seed 0). */
#include "support/check.h"

#include "base/hash.h"

static void test_mix_is_splitmix64(void **state) {
    (void)state;
    const uint64_t golden = UINT64_C(0x9E3779B97F4A7C15);
    CHECK_U64(hash_mix64(golden), UINT64_C(0xE220A8397B1DCDAF));
    CHECK_U64(hash_mix64(2 * golden), UINT64_C(0x6E789E6AA1B965F4));
    CHECK_U64(hash_mix64(3 * golden), UINT64_C(0x06C45D188009454F));
}

static void test_known_values(void **state) {
    (void)state;
    CHECK_U64(hash_string(""), UINT64_C(0xF52A15E9A9B5E89B));
    CHECK_U64(hash_bytes(NULL, 0), UINT64_C(0xF52A15E9A9B5E89B));
    CHECK_U64(hash_string("a"), UINT64_C(0x02C0BDBF481420F8));
    CHECK_U64(hash_string("foobar"), UINT64_C(0x404DA9E3B74078C2));
    CHECK_U64(hash_string("encoder.conv1.weight"), UINT64_C(0xAC60FCB90F37C5E2));
    CHECK_U64(hash_bytes("\x00\xff\x80", 3), UINT64_C(0xE3B023DCAA3EB7DB));
    CHECK_U64(hash_combine(0, 0), UINT64_C(0x48218226FF3CD4BF));
    CHECK_U64(hash_combine(1, 2), UINT64_C(0x081A5C1377856B73));
    CHECK_U64(hash_combine(2, 1), UINT64_C(0xF2826F98653E9E57));
    CHECK_U64(hash_combine(UINT64_MAX, UINT64_MAX), UINT64_C(0xE8BA9F99CA933538));
}

/* Each flipped input bit flips about half of the output bits. */
static void test_avalanche(void **state) {
    (void)state;
    unsigned char text[16] = "layer4.1.conv2.";
    const uint64_t base = hash_bytes(text, sizeof text);
    int flipped = 0;
    for (int bit = 0; bit < 128; bit++) {
        text[bit / 8] ^= (unsigned char)(1U << bit % 8);
        const int here = __builtin_popcountll(base ^ hash_bytes(text, sizeof text));
        text[bit / 8] ^= (unsigned char)(1U << bit % 8);
        check_context("bit %d flips %d", bit, here);
        CHECK(here >= 10 && here <= 54); /* 5.5 sigma of 32 +- 4 */
        flipped += here;
    }
    CHECK_NEAR(flipped / 128.0, 32.0, 1.8); /* 5 sigma */
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_mix_is_splitmix64),
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_avalanche),
    };
    return CHECK_MAIN(tests);
}
