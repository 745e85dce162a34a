/* Element types, shapes and descriptors (src/tensor/types.c). */

#include "support/check.h"

#include "cupel/types.h"

static void test_type_table(void **state) {
    (void)state;
    static const struct {
        cupel_type type;
        const char *name;
        size_t size;
        bool real;
    } rows[] = {
        {CUPEL_TYPE_REAL, "real", 0, true}, {CUPEL_TYPE_F32, "f32", 4, true},
        {CUPEL_TYPE_F64, "f64", 8, true},   {CUPEL_TYPE_BF16, "bf16", 2, true},
        {CUPEL_TYPE_I32, "i32", 4, false},  {CUPEL_TYPE_I64, "i64", 8, false},
        {CUPEL_TYPE_U8, "u8", 1, false},    {CUPEL_TYPE_U64, "u64", 8, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        CHECK_STRING(cupel_type_name(rows[i].type), rows[i].name);
        CHECK_I64(cupel_type_size(rows[i].type), rows[i].size);
        CHECK_I64(cupel_type_is_real(rows[i].type), rows[i].real);
    }
    CHECK_STRING(cupel_type_name((cupel_type)99), "unknown");
    CHECK_I64(cupel_type_size((cupel_type)99), 0);
    CHECK_STRING(cupel_layout_name(CUPEL_LAYOUT_NCHW16C), "nChw16c");
    CHECK_STRING(cupel_layout_name(CUPEL_LAYOUT_PLAIN), "plain");
    CHECK_STRING(cupel_layout_name((cupel_layout)77), "unknown");
}

static void test_shapes(void **state) {
    (void)state;
    const cupel_shape image = CUPEL_SHAPE(100, 1, 32, 32);
    CHECK_I64(image.rank, 4);
    CHECK_I64(cupel_shape_count(image), 102400);
    CHECK_I64(cupel_shape_count(cupel_shape_scalar()), 1);
    CHECK(cupel_shape_valid(image));
    CHECK(cupel_shape_valid(cupel_shape_scalar()));
    CHECK(cupel_shape_equal(image, CUPEL_SHAPE(100, 1, 32, 32)));
    CHECK(!cupel_shape_equal(image, CUPEL_SHAPE(100, 1, 32)));
    CHECK(!cupel_shape_equal(image, CUPEL_SHAPE(100, 1, 32, 33)));
}

static void test_invalid_shapes(void **state) {
    (void)state;
    CHECK(!cupel_shape_valid(CUPEL_SHAPE(3, 0)));
    CHECK(!cupel_shape_valid(CUPEL_SHAPE(-1)));
    CHECK(!cupel_shape_valid((cupel_shape){.rank = -1}));
    CHECK(!cupel_shape_valid(CUPEL_SHAPE(1, 1, 1, 1, 1, 1, 1)));
    /* 2^59 elements of 8 bytes are 2^62: the last size that is allowed */
    CHECK(cupel_shape_valid(CUPEL_SHAPE(INT64_C(1) << 59)));
    CHECK(!cupel_shape_valid(CUPEL_SHAPE((INT64_C(1) << 59) + 1)));
    CHECK(!cupel_shape_valid(CUPEL_SHAPE(INT64_MAX, INT64_MAX, 2)));
    CHECK_I64(cupel_shape_count(CUPEL_SHAPE(INT64_MAX, INT64_MAX)), 0);
}

static void test_broadcast(void **state) {
    (void)state;
    cupel_shape out;
    CHECK(cupel_shape_broadcast(CUPEL_SHAPE(5, 1, 4), CUPEL_SHAPE(3, 1), &out));
    CHECK(cupel_shape_equal(out, CUPEL_SHAPE(5, 3, 4)));
    CHECK(cupel_shape_broadcast(cupel_shape_scalar(), CUPEL_SHAPE(2, 7), &out));
    CHECK(cupel_shape_equal(out, CUPEL_SHAPE(2, 7)));
    CHECK(!cupel_shape_broadcast(CUPEL_SHAPE(5, 4), CUPEL_SHAPE(5), &out));
    CHECK(!cupel_shape_broadcast(CUPEL_SHAPE(0), CUPEL_SHAPE(1), &out));
    CHECK(cupel_shape_equal(out, CUPEL_SHAPE(2, 7))); /* untouched by a failure */
    const int64_t big = INT64_C(1) << 40;
    CHECK(!cupel_shape_broadcast(CUPEL_SHAPE(big, 1), CUPEL_SHAPE(1, big), &out));
}

static void test_format(void **state) {
    (void)state;
    char text[CUPEL_SHAPE_TEXT_SIZE];
    CHECK_STRING(cupel_shape_format(text, CUPEL_SHAPE(100, 1, 32, 32)), "[100, 1, 32, 32]");
    CHECK_STRING(cupel_shape_format(text, cupel_shape_scalar()), "[]");
    CHECK_STRING(cupel_shape_format(text, (cupel_shape){.rank = 9}), "[rank 9]");
    const int64_t most = INT64_MIN; /* 20 characters each: more than the buffer holds */
    cupel_shape_format(text, CUPEL_SHAPE(most, most, most, most, most, most));
    assert_in_range(strlen(text), 100, CUPEL_SHAPE_TEXT_SIZE - 1);
    CHECK_I64(text[strlen(text) - 1], ']');
}

static void test_desc(void **state) {
    (void)state;
    cupel_desc a = cupel_desc_plain(CUPEL_TYPE_F32, CUPEL_SHAPE(2, 3));
    cupel_desc b = a;
    CHECK_I64(cupel_desc_bytes(&a), 24);
    CHECK(cupel_desc_equal(&a, &b));
    b.packed_bytes = 7; /* says nothing about a plain tensor */
    CHECK(cupel_desc_equal(&a, &b));
    b.layout = CUPEL_LAYOUT_PACKED;
    CHECK_I64(cupel_desc_bytes(&b), 7);
    CHECK(!cupel_desc_equal(&a, &b));
    a = b;
    a.packed_bytes = 8;
    CHECK(!cupel_desc_equal(&a, &b));
    const cupel_desc real = cupel_desc_plain(CUPEL_TYPE_REAL, CUPEL_SHAPE(2, 3));
    CHECK_I64(cupel_desc_bytes(&real), 0);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_type_table),     cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_invalid_shapes), cmocka_unit_test(test_broadcast),
        cmocka_unit_test(test_format),         cmocka_unit_test(test_desc),
    };
    return CHECK_MAIN(tests);
}
