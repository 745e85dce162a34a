/*
 * The safetensors parser (src/data/safetensors.c). Every tensor it accepts can be found by its name
 * and read to its last byte, and together they are no larger than the file.
 */
#include "fuzz_target.h"

#include <cupel/tensor.h>

static void check_tensors(const cupel_tensors *tensors, size_t size) {
    uint64_t total = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < cupel_tensors_count(tensors); i++) {
        const cupel_tensor *const tensor = cupel_tensors_at(tensors, i);
        const uint64_t bytes = (uint64_t)cupel_desc_bytes(&tensor->desc);
        FUZZ_REQUIRE(cupel_tensors_find(tensors, tensor->name) == tensor);
        for (uint64_t at = 0; at < bytes; at++)
            bits |= ((const uint8_t *)tensor->data)[at];
        total += bytes;
    }
    FUZZ_REQUIRE(total <= size && bits <= 255);
    const char *key;
    for (size_t i = 0; (key = cupel_tensors_metadata_key(tensors, i)) != NULL; i++)
        FUZZ_REQUIRE(cupel_tensors_metadata(tensors, key) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    cupel_tensors *tensors;
    const cupel_status status = cupel_tensors_parse(&tensors, bytes, size, "input");
    FUZZ_REQUIRE(tensors != NULL);
    if (status == CUPEL_STATUS_OK) {
        check_tensors(tensors, size);
    } else {
        FUZZ_REQUIRE(cupel_tensors_error(tensors)[0] != '\0');
        FUZZ_REQUIRE(cupel_tensors_count(tensors) == 0);
    }
    cupel_tensors_destroy(tensors);
    return 0;
}
