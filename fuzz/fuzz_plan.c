/*
 * The reader of plan.json (src/compile/plan_json.c), on the reference device, whose fingerprint is
 * the same everywhere. A plan that it accepts is written and read back to the same text.
 */
#include "fuzz_target.h"

#include <cupel/context.h>
#include <cupel/plan.h>

static void check_round_trip(cupel_plan *plan, cupel_context *context) {
    char *text, *again;
    cupel_plan *copy;
    FUZZ_REQUIRE(cupel_plan_format(plan, &text) == CUPEL_STATUS_OK);
    FUZZ_REQUIRE(cupel_plan_create(&copy, context, 2) == CUPEL_STATUS_OK);
    const cupel_status status = cupel_plan_parse(copy, text, strlen(text), false);
    if (status != CUPEL_STATUS_OK)
        fprintf(stderr, "%s\n%s\n", text, cupel_plan_error(copy));
    FUZZ_REQUIRE(status == CUPEL_STATUS_OK);
    FUZZ_REQUIRE(cupel_plan_hash(copy) == cupel_plan_hash(plan));
    FUZZ_REQUIRE(cupel_plan_format(copy, &again) == CUPEL_STATUS_OK);
    FUZZ_REQUIRE(strcmp(text, again) == 0);
    cupel_plan_text_free(again);
    cupel_plan_text_free(text);
    cupel_plan_destroy(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static cupel_context *context; /* lives as long as the process */
    const cupel_context_options options = {.device = "reference"};
    if (context == NULL)
        FUZZ_REQUIRE(cupel_context_create(&context, &options) == CUPEL_STATUS_OK);
    cupel_plan *plan;
    FUZZ_REQUIRE(cupel_plan_create(&plan, context, 2) == CUPEL_STATUS_OK);
    const cupel_status status = cupel_plan_parse(plan, (const char *)bytes, size, false);
    if (status == CUPEL_STATUS_OK) {
        check_round_trip(plan, context);
    } else {
        FUZZ_REQUIRE(status == CUPEL_STATUS_BAD_DATA || status == CUPEL_STATUS_MISMATCH);
        FUZZ_REQUIRE(cupel_plan_error(plan)[0] != '\0');
        const cupel_status replanned = cupel_plan_parse(plan, (const char *)bytes, size, true);
        FUZZ_REQUIRE(replanned ==
                     (status == CUPEL_STATUS_MISMATCH ? CUPEL_STATUS_OK : CUPEL_STATUS_BAD_DATA));
    }
    cupel_plan_destroy(plan);
    return 0;
}
