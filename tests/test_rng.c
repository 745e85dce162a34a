/* Counter-based randomness (src/base/rng.c): the known answers published with Random123, the map
 * from draws to numbers, moments, Kolmogorov-Smirnov distances, independence of neighbours. */
#include "support/check.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/rng.h"

static void check_block(struct rng_block block, uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
    CHECK_U64(block.word[0], a);
    CHECK_U64(block.word[1], b);
    CHECK_U64(block.word[2], c);
    CHECK_U64(block.word[3], d);
}

static void test_known_answers(void **state) {
    (void)state;
    check_block(rng_block_at((struct rng_key){{0, 0}}, 0, 0, 0), 0x6627e8d5, 0xe169c58d, 0xbc57ac4c,
                0x9b00dbd8);
    const uint32_t ones = 0xffffffff;
    check_block(rng_block_at((struct rng_key){{ones, ones}}, UINT64_MAX, ones, ones), 0x408f276d,
                0x41c83b0e, 0xa20bc7c6, 0x6d5451fd);
    /* digits of pi; row holds the first two words, the low one first */
    check_block(rng_block_at((struct rng_key){{0xa4093822, 0x299f31d0}},
                             UINT64_C(0x85a308d3243f6a88), 0x13198a2e, 0x03707344),
                0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1);
}

static void test_key(void **state) {
    (void)state;
    const struct rng_key key = rng_key_make(1, 2);
    const uint64_t expected = hash_combine(1, 2);
    CHECK_U64(key.word[0], expected & 0xffffffff);
    CHECK_U64(key.word[1], expected >> 32);
}

static void test_uniform_values(void **state) {
    (void)state;
    double u[4];
    rng_uniform4((struct rng_block){{0, 0xffffffff, 0x80000000, 511}}, u);
    CHECK_F64(u[0], 0x1p-24);
    CHECK_F64(u[1], 1.0 - 0x1p-24);
    CHECK_F64(u[2], 0.5 + 0x1p-24);
    CHECK_F64(u[3], 0x1p-24); /* the low 9 bits do not count */
    for (int i = 0; i < 4; i++)
        CHECK_F64((float)u[i], u[i]); /* exact in float */
}

static void test_normal_values(void **state) {
    (void)state;
    double z[4];
    /* u = 1/2 + 2^-24 four times: radius and angle in closed form */
    rng_normal4((struct rng_block){{0x80000000, 0x80000000, 0x80000000, 0x80000000}}, z);
    const double u = 0.5 + 0x1p-24;
    const double radius = sqrt(-2.0 * log(u));
    const double angle = 2.0 * acos(-1.0) * u;
    for (int i = 0; i < 4; i += 2) {
        CHECK_NEAR(z[i], radius * cos(angle), 1e-15);
        CHECK_NEAR(z[i + 1], radius * sin(angle), 1e-15);
    }
    /* the largest normal there is */
    rng_normal4((struct rng_block){{0, 0, 0, 0}}, z);
    CHECK_NEAR(z[0], sqrt(48.0 * log(2.0)), 1e-6);
    CHECK(isfinite(z[1]));
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a;
    const double y = *(const double *)b;
    return (x > y) - (x < y);
}

enum { DRAWS = 1 << 18 };
static double draws[DRAWS];

static void fill(bool normal) {
    const struct rng_key key = rng_key_make(20240229, hash_string("test"));
    for (uint32_t i = 0; i < DRAWS / 4; i++) {
        const struct rng_block block = rng_block_at(key, i % 64, 3, i / 64);
        if (normal)
            rng_normal4(block, draws + 4 * (size_t)i);
        else
            rng_uniform4(block, draws + 4 * (size_t)i);
    }
}

/* Largest distance between the empirical and the true distribution, times sqrt(n). */
static double kolmogorov_smirnov(double (*cdf)(double)) {
    qsort(draws, DRAWS, sizeof draws[0], compare);
    double most = 0;
    for (int i = 0; i < DRAWS; i++) {
        const double f = cdf(draws[i]);
        most = fmax(most, fmax(fabs(f - (double)i / DRAWS), fabs(f - (double)(i + 1) / DRAWS)));
    }
    return most * sqrt((double)DRAWS);
}

static double cdf_uniform(double x) {
    return x;
}

static double cdf_normal(double x) {
    return 0.5 * erfc(-x / sqrt(2.0));
}

static void moments(double out[4]) {
    for (int k = 0; k < 4; k++) {
        double sum = 0;
        for (int i = 0; i < DRAWS; i++)
            sum += pow(draws[i], k + 1);
        out[k] = sum / DRAWS;
    }
}

static double neighbour_correlation(double mean, double variance, int distance) {
    double sum = 0;
    for (int i = 0; i + distance < DRAWS; i++)
        sum += (draws[i] - mean) * (draws[i + distance] - mean);
    return sum / variance / (DRAWS - distance);
}

static void test_uniform_statistics(void **state) {
    (void)state;
    const double root = sqrt((double)DRAWS);
    fill(false);
    double m[4];
    moments(m);
    CHECK_NEAR(m[0], 1.0 / 2, 4 * sqrt(1.0 / 12) / root);
    CHECK_NEAR(m[1], 1.0 / 3, 4 * sqrt(4.0 / 45) / root);
    CHECK_NEAR(m[2], 1.0 / 4, 4 * sqrt(9.0 / 112) / root);
    for (int distance = 1; distance <= 8; distance++) {
        check_context("distance %d", distance);
        CHECK_NEAR(neighbour_correlation(0.5, 1.0 / 12, distance), 0.0, 4.5 / root);
    }
    CHECK_NEAR(kolmogorov_smirnov(cdf_uniform), 0.0, 1.95); /* 1 in 1,000 */
}

static void test_normal_statistics(void **state) {
    (void)state;
    const double root = sqrt((double)DRAWS);
    fill(true);
    double m[4];
    moments(m);
    CHECK_NEAR(m[0], 0.0, 4 / root);
    CHECK_NEAR(m[1], 1.0, 4 * sqrt(2.0) / root);
    CHECK_NEAR(m[2], 0.0, 4 * sqrt(15.0) / root);
    CHECK_NEAR(m[3], 3.0, 4 * sqrt(96.0) / root);
    for (int distance = 1; distance <= 8; distance++) {
        check_context("distance %d", distance);
        CHECK_NEAR(neighbour_correlation(0.0, 1.0, distance), 0.0, 4.5 / root);
    }
    CHECK_NEAR(kolmogorov_smirnov(cdf_normal), 0.0, 1.95);
}

static void test_every_coordinate_matters(void **state) {
    (void)state;
    const struct rng_key key = rng_key_make(1, 1);
    const uint64_t base = rng_u64(key, 5, 6, 7);
    CHECK_U64(rng_u64(key, 5, 6, 7), base);
    CHECK(rng_u64(rng_key_make(2, 1), 5, 6, 7) != base);
    CHECK(rng_u64(rng_key_make(1, 2), 5, 6, 7) != base);
    CHECK(rng_u64(key, 5 + (UINT64_C(1) << 32), 6, 7) != base);
    CHECK(rng_u64(key, 6, 6, 7) != base);
    CHECK(rng_u64(key, 5, 7, 7) != base);
    CHECK(rng_u64(key, 5, 6, 6) != base);
    const struct rng_block block = rng_block_at(key, 5, 6, 3);
    CHECK_U64(base, (uint64_t)block.word[3] << 32 | block.word[2]); /* index 7: second half of 3 */
}

static void test_below_is_even(void **state) {
    (void)state;
    const struct rng_key key = rng_key_make(7, 7);
    const uint64_t bounds[] = {1, 2, 3, 7, 10, 100};
    for (size_t b = 0; b < sizeof bounds / sizeof bounds[0]; b++) {
        const uint64_t bound = bounds[b];
        int counts[100] = {0};
        const int total = 20000;
        for (int i = 0; i < total; i++) {
            const uint64_t value = rng_below(key, (uint64_t)i, 1, bound);
            CHECK(value < bound);
            counts[value]++;
        }
        const double expected = (double)total / (double)bound;
        double chi2 = 0;
        for (uint64_t v = 0; v < bound; v++)
            chi2 += (counts[v] - expected) * (counts[v] - expected) / expected;
        check_context("bound %" PRIu64, bound);
        const double freedom = (double)bound - 1;
        CHECK_NEAR(chi2, freedom, 5 * sqrt(2 * freedom) + 1e-9);
    }
    /* just above half of the range: every second draw is redrawn, and modulo would be badly off */
    const uint64_t bound = (UINT64_C(1) << 63) + 1;
    int lower = 0;
    for (uint64_t i = 0; i < 4000; i++) {
        const uint64_t value = rng_below(key, i, 2, bound);
        CHECK(value < bound);
        lower += value < bound / 2;
    }
    CHECK_NEAR(lower, 2000, 5 * sqrt(1000.0));
    CHECK(rng_below(key, 0, 0, UINT64_MAX) < UINT64_MAX);
    CHECK_U64(rng_below(key, 0, 0, 0), 0);
}

static void test_permutation(void **state) {
    (void)state;
    const struct rng_key key = rng_key_make(3, hash_string("order"));
    uint64_t order[1000];
    uint64_t again[1000];
    bool seen[1000] = {false};
    rng_permutation(key, 4, 1000, order);
    rng_permutation(key, 4, 1000, again);
    for (int i = 0; i < 1000; i++) {
        CHECK(order[i] < 1000 && !seen[order[i]]);
        seen[order[i]] = true;
        CHECK_U64(again[i], order[i]);
    }
    rng_permutation(key, 5, 1000, again);
    int same = 0;
    for (int i = 0; i < 1000; i++)
        same += order[i] == again[i];
    CHECK(same < 12); /* Poisson of mean 1 */
    rng_permutation(key, 0, 1, order);
    CHECK_U64(order[0], 0);
    rng_permutation(key, 0, 0, NULL);
}

/* All 24 orders of four things come equally often. */
static void test_permutation_is_even(void **state) {
    (void)state;
    const struct rng_key key = rng_key_make(11, 0);
    int counts[256] = {0};
    const int total = 24000;
    for (int i = 0; i < total; i++) {
        uint64_t p[4];
        rng_permutation(key, (uint32_t)i, 4, p);
        counts[p[0] | p[1] << 2 | p[2] << 4 | p[3] << 6]++;
    }
    int kinds = 0;
    double chi2 = 0;
    for (int i = 0; i < 256; i++) {
        kinds += counts[i] > 0;
        chi2 += counts[i] > 0 ? (counts[i] - 1000.0) * (counts[i] - 1000.0) / 1000.0 : 0.0;
    }
    CHECK_I64(kinds, 24);
    CHECK_NEAR(chi2, 23.0, 5 * sqrt(46.0));
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers),
        cmocka_unit_test(test_key),
        cmocka_unit_test(test_uniform_values),
        cmocka_unit_test(test_normal_values),
        cmocka_unit_test(test_uniform_statistics),
        cmocka_unit_test(test_normal_statistics),
        cmocka_unit_test(test_every_coordinate_matters),
        cmocka_unit_test(test_below_is_even),
        cmocka_unit_test(test_permutation),
        cmocka_unit_test(test_permutation_is_even),
    };
    return CHECK_MAIN(tests);
}
