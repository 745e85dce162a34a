/* The collection of named host tensors (src/tensor/tensors.c). */
#include "support/drill.h"

#include "base/utf8.h"
#include "cupel/tensor.h"
#include "tensor/tensors.h"

static void test_add_and_find(void **state) {
    (void)state;
    cupel_tensors *tensors;
    CHECK_OK(cupel_tensors_create(&tensors));
    const float values[] = {1.5f, -2, 3, 4, 5, 6};
    const cupel_tensor *weight = NULL, *zeros = NULL;
    CHECK_OK(cupel_tensors_add(tensors, "encoder.weight", CUPEL_TYPE_F32, CUPEL_SHAPE(2, 3), values,
                               &weight));
    CHECK_OK(
        cupel_tensors_add(tensors, "step", CUPEL_TYPE_U64, cupel_shape_scalar(), NULL, &zeros));
    assert_memory_equal(weight->data, values, sizeof values);
    CHECK_I64((uintptr_t)weight->data % 64, 0);
    CHECK_I64(*(uint64_t *)zeros->data, 0);
    CHECK_I64(weight->desc.layout, CUPEL_LAYOUT_PLAIN);

    /* Borrowed pointers survive many later additions, and every name is found again. */
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "layer%d.bias", i);
        CHECK_OK(cupel_tensors_add(tensors, name, CUPEL_TYPE_I32, CUPEL_SHAPE(1), &i, NULL));
    }
    CHECK_I64(cupel_tensors_count(tensors), 1002);
    assert_ptr_equal(cupel_tensors_find(tensors, "encoder.weight"), weight);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "layer%d.bias", i);
        const cupel_tensor *const found = cupel_tensors_find(tensors, name);
        CHECK(NULL != found);
        CHECK_I64(*(int *)found->data, i);
        assert_ptr_equal(found, cupel_tensors_at(tensors, (size_t)i + 2));
    }
    CHECK(NULL == cupel_tensors_find(tensors, "layer1000.bias"));
    CHECK(NULL == cupel_tensors_at(tensors, 1002));
    cupel_tensors_destroy(tensors);
    cupel_tensors_destroy(NULL);
}

static void test_rejections(void **state) {
    (void)state;
    cupel_tensors *tensors;
    CHECK_OK(cupel_tensors_create(&tensors));
    CHECK(NULL == cupel_tensors_find(tensors, "anything"));
    const cupel_shape one = CUPEL_SHAPE(1);
    CHECK_OK(cupel_tensors_add(tensors, "a", CUPEL_TYPE_U8, one, NULL, NULL));
    CHECK_I64(cupel_tensors_add(tensors, "a", CUPEL_TYPE_U8, one, NULL, NULL), CUPEL_STATUS_NAME);
    CHECK_CONTAINS(cupel_tensors_error(tensors), "tensor a is already");
    CHECK_I64(cupel_tensors_add(tensors, "", CUPEL_TYPE_U8, one, NULL, NULL), CUPEL_STATUS_NAME);
    CHECK_I64(cupel_tensors_add(tensors, "__metadata__", CUPEL_TYPE_U8, one, NULL, NULL),
              CUPEL_STATUS_NAME);
    CHECK_I64(cupel_tensors_add(tensors, "\xff", CUPEL_TYPE_U8, one, NULL, NULL),
              CUPEL_STATUS_NAME);
    CHECK_I64(cupel_tensors_add(tensors, "r", CUPEL_TYPE_REAL, one, NULL, NULL), CUPEL_STATUS_TYPE);
    CHECK_I64(cupel_tensors_add(tensors, "s", CUPEL_TYPE_U8, CUPEL_SHAPE(2, 0), NULL, NULL),
              CUPEL_STATUS_SHAPE);
    CHECK_CONTAINS(cupel_tensors_error(tensors), "[2, 0]");
    CHECK_I64(cupel_tensors_count(tensors), 1);
    cupel_tensors_destroy(tensors);
}

static void test_metadata(void **state) {
    (void)state;
    cupel_tensors *tensors;
    CHECK_OK(cupel_tensors_create(&tensors));
    CHECK_OK(cupel_tensors_set_metadata(tensors, "rule", "old"));
    CHECK_OK(cupel_tensors_set_metadata(tensors, "classes", "Schuh,Stiefel"));
    CHECK_OK(cupel_tensors_set_metadata(tensors, "rule", "quantile .99"));
    CHECK_STRING(cupel_tensors_metadata(tensors, "rule"), "quantile .99");
    CHECK_STRING(cupel_tensors_metadata_key(tensors, 0), "rule");
    CHECK_STRING(cupel_tensors_metadata_key(tensors, 1), "classes");
    CHECK(NULL == cupel_tensors_metadata_key(tensors, 2));
    CHECK(NULL == cupel_tensors_metadata(tensors, "none"));
    CHECK_I64(cupel_tensors_set_metadata(tensors, "k", "\xc3("), CUPEL_STATUS_INVALID_ARGUMENT);
    cupel_tensors_destroy(tensors);
}

/* Forms from the Unicode standard's table of well-formed byte sequences. */
static void test_utf8(void **state) {
    (void)state;
    static const char *const good[] = {"",
                                       "plain",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "na\xc3\xafve"};
    static const char *const bad[] = {"\x80",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc3",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xef\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "a\xfe"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        CHECK(utf8_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK(!utf8_valid(bad[i]));
}

static cupel_status fill(void *user) {
    (void)user;
    cupel_tensors *tensors;
    cupel_status status = cupel_tensors_create(&tensors);
    if (status != CUPEL_STATUS_OK)
        return status;
    char name[16];
    for (int i = 0; i < 20 && status == CUPEL_STATUS_OK; i++) {
        snprintf(name, sizeof name, "t%d", i);
        status = cupel_tensors_add(tensors, name, CUPEL_TYPE_F64, CUPEL_SHAPE(3), NULL, NULL);
        if (status == CUPEL_STATUS_OK)
            status = cupel_tensors_set_metadata(tensors, name, "value");
    }
    for (size_t i = 0; i < cupel_tensors_count(tensors); i++) /* what is there is whole */
        assert_ptr_equal(cupel_tensors_find(tensors, cupel_tensors_at(tensors, i)->name),
                         cupel_tensors_at(tensors, i));
    cupel_tensors_destroy(tensors);
    return status;
}

static void test_refused_memory(void **state) {
    (void)state;
    CHECK(drill_memory(fill, NULL) > 100);
}

int main(int argc, char **argv) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add_and_find),   cmocka_unit_test(test_rejections),
        cmocka_unit_test(test_metadata),       cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_refused_memory),
    };
    return CHECK_MAIN(tests);
}
