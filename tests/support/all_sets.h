/* Checks as every instruction set that the processor has. */
#ifndef CUPEL_TEST_ALL_SETS_H
#define CUPEL_TEST_ALL_SETS_H

#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "support/check.h"

static inline void on_all_sets(void (*check)(void)) {
    static const char *const sets[] = {"avx512", "avx2", "baseline"};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        CHECK(setenv("CUPEL_ISA", sets[i], 1) == 0);
        if (strcmp(cpu_isa_name(cpu_isa()), sets[i]) == 0)
            check();
        CHECK(unsetenv("CUPEL_ISA") == 0);
    }
}

#endif
