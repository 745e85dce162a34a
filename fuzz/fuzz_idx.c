/*
 * The IDX parser (src/data/idx.c), raw and gzip. Whatever it accepts has as many values as its
 * extents say, and all of them can be read; whatever it refuses leaves a sentence and no memory.
 */
#include "fuzz_target.h"

#include "data/idx.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    struct cupel_error error = {0};
    struct idx_array array;
    const cupel_status status = idx_parse(&array, bytes, size, "input", &error);
    if (status != CUPEL_STATUS_OK) {
        FUZZ_REQUIRE(status == CUPEL_STATUS_BAD_DATA || status == CUPEL_STATUS_UNSUPPORTED);
        FUZZ_REQUIRE(error.text[0] != '\0');
        FUZZ_REQUIRE(array.values == NULL);
        return 0;
    }
    size_t product = 1, sum = 0;
    FUZZ_REQUIRE(array.rank >= 1 && array.rank <= IDX_MAX_RANK);
    for (int axis = 0; axis < array.rank; axis++)
        product *= (size_t)array.dims[axis];
    FUZZ_REQUIRE(product == array.size);
    for (size_t i = 0; i < array.size; i++)
        sum += array.values[i];
    FUZZ_REQUIRE(sum <= 255 * array.size);
    idx_release(&array);
    return 0;
}
