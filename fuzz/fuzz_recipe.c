/*
 * The recipe parser (src/data/recipe*.c, over libyaml). Whatever it accepts prints as canonical
 * YAML that is read back to the same text: a run's config.yaml repeats the run.
 */
#include "fuzz_target.h"

#include <cupel/recipe.h>

static void check_round_trip(cupel_recipe *recipe) {
    const char *text, *again;
    cupel_recipe *copy;
    FUZZ_REQUIRE(cupel_recipe_text(recipe, &text) == CUPEL_STATUS_OK);
    const cupel_status status = cupel_recipe_parse(&copy, text, strlen(text), "text");
    if (status != CUPEL_STATUS_OK)
        fprintf(stderr, "%s\n%s\n", text, cupel_recipe_error(copy));
    FUZZ_REQUIRE(status == CUPEL_STATUS_OK);
    FUZZ_REQUIRE(cupel_recipe_text(copy, &again) == CUPEL_STATUS_OK);
    FUZZ_REQUIRE(strcmp(text, again) == 0);
    cupel_recipe_destroy(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    cupel_recipe *recipe;
    const cupel_status status = cupel_recipe_parse(&recipe, bytes, size, "input");
    FUZZ_REQUIRE(recipe != NULL);
    if (status != CUPEL_STATUS_OK)
        FUZZ_REQUIRE(cupel_recipe_error(recipe)[0] != '\0');
    else if (cupel_recipe_check(recipe) != CUPEL_STATUS_OK)
        FUZZ_REQUIRE(cupel_recipe_error(recipe)[0] != '\0');
    check_round_trip(recipe); /* after a failure: the defaults */
    cupel_recipe_destroy(recipe);
    return 0;
}
