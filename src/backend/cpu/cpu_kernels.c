/*
 * The cpu backend's lists of kernels: for each op the most special first, the reference last. Lists
 * are put together once per process from the tables below, less what CUPEL_DISABLE names.
 * Test: tests/test_dispatch.c
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu.h"
#include "backend/cpu/onednn/onednn.h"
#include "base/log.h"

/* In order of preference. */
static const struct kernel *const tables[] = {
    winograd_kernels, winograd_weights_kernels, few_kernels,          onednn_conv_kernels,
    matmul_kernels,   onednn_matmul_kernels,    bernoulli_kernels,    chain_kernels,
    reorder_kernels,  image_sum_kernels,        reduce_kernels,       update_kernels,
    random_kernels,   softmax_kernels,          move_kernels,         norm_kernels,
    pool_kernels,     image_matmul_kernels,     image_update_kernels, product_update_kernels,
};

static enum cpu_isa detect(void) {
#if defined(CUPEL_HAVE_AVX512)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("fma"))
        return CPU_ISA_AVX512;
#endif
#if defined(CUPEL_HAVE_AVX2)
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return CPU_ISA_AVX2;
#endif
    return CPU_ISA_BASELINE;
}

const char *cpu_isa_name(enum cpu_isa isa) {
    static const char *const names[] = {"baseline", "avx2", "avx512"};
    return names[isa];
}

enum cpu_isa cpu_isa(void) {
    const enum cpu_isa here = detect();
    const char *wanted = getenv("CUPEL_ISA");
    for (int isa = CPU_ISA_BASELINE; wanted != NULL && isa < (int)here; isa++)
        if (strcmp(wanted, cpu_isa_name((enum cpu_isa)isa)) == 0)
            return (enum cpu_isa)isa;
    return here;
}

int cpu_channel_block(void) {
#if defined(__x86_64__)
    return cpu_isa() == CPU_ISA_AVX512 ? 16 : 8;
#else
    return 1;
#endif
}

const char *cpu_instruction_set(void) {
    return cpu_isa_name(cpu_isa());
}

const char *cpu_kernel_library(void) {
    static char text[48];
    snprintf(text, sizeof text, "oneDNN %s", onednn_version());
    return text;
}

/* Whether the comma-separated list has a word that the name starts with. */
static bool disabled(const char *list, const char *name) {
    while (list != NULL && *list != '\0') {
        const size_t length = strcspn(list, ",");
        if (length > 0 && strncmp(name, list, length) == 0)
            return true;
        list += length + (list[length] == ',');
    }
    return false;
}

enum { MOST_OPS = 96, MOST_KERNELS = 8 };

struct op_row {
    const char *op;
    int n;
    const struct kernel *list[MOST_KERNELS + 2]; /* the reference and the NULL at the end */
};

static struct op_row rows[MOST_OPS];
static int n_rows;
static char built_for[256]; /* the CUPEL_DISABLE the lists were made with */
static pthread_mutex_t rows_lock = PTHREAD_MUTEX_INITIALIZER;

static struct op_row *find_row(const char *op) {
    for (int i = 0; i < n_rows; i++)
        if (strcmp(rows[i].op, op) == 0)
            return &rows[i];
    return NULL;
}

static void build_rows(struct backend *backend, const char *list) {
    memset(rows, 0, sizeof rows);
    n_rows = 0;
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++) {
        for (const struct kernel *k = tables[t]; k->op != NULL; k++) {
            struct op_row *row = find_row(k->op);
            if (row == NULL && n_rows < MOST_OPS) {
                row = &rows[n_rows++];
                row->op = k->op;
            }
            if (row != NULL && row->n < MOST_KERNELS && !disabled(list, k->name))
                row->list[row->n++] = k;
        }
    }
    for (int i = 0; i < n_rows; i++) {
        const struct kernel *const *reference = ref_kernels(backend, rows[i].op);
        if (reference != NULL && reference[0] != NULL)
            rows[i].list[rows[i].n] = reference[0];
    }
}

/* --- what the user asked for in vain --- */

static bool any_kernel_begins(const char *word) {
    for (size_t t = 0; t < sizeof tables / sizeof tables[0]; t++)
        for (const struct kernel *k = tables[t]; k->op != NULL; k++)
            if (disabled(word, k->name))
                return true;
    return false;
}

static void check_disabled(const struct cupel_log *log) {
    const char *list = getenv("CUPEL_DISABLE");
    while (list != NULL && *list != '\0') {
        char word[64];
        const size_t length = strcspn(list, ",");
        snprintf(word, sizeof word, "%.*s", (int)(length < 63 ? length : 63), list);
        if (length > 0 && !any_kernel_begins(word))
            log_line(log, "warning",
                     "CUPEL_DISABLE: no kernel that can be removed has a name that begins with "
                     "\"%s\"; CUPEL_TRACE=dispatch shows the names",
                     word);
        list += length + (list[length] == ',');
    }
}

static void check_isa(const struct cupel_log *log) {
    const char *wanted = getenv("CUPEL_ISA");
    const char *const taken = cpu_instruction_set();
    if (wanted == NULL || *wanted == '\0' || strcmp(wanted, taken) == 0)
        return;
    bool known = false;
    for (int isa = CPU_ISA_BASELINE; isa <= CPU_ISA_AVX512; isa++)
        known = known || strcmp(wanted, cpu_isa_name((enum cpu_isa)isa)) == 0;
    log_line(log, "warning", "CUPEL_ISA=%.40s: %s; %s is taken", wanted,
             known ? "this processor does not have it"
                   : "known are \"baseline\", \"avx2\" and \"avx512\"",
             taken);
}

void cpu_check_environment(const struct cupel_log *log) {
    check_disabled(log);
    check_isa(log);
}

const struct kernel *const *cpu_kernels(struct backend *backend, const char *op) {
    const char *list = getenv("CUPEL_DISABLE");
    list = list == NULL ? "" : list;
    pthread_mutex_lock(&rows_lock);
    /* Made again when the variable changed, which tests do between programs. */
    if (n_rows == 0 || strncmp(built_for, list, sizeof built_for - 1) != 0) {
        build_rows(backend, list);
        strncpy(built_for, list, sizeof built_for - 1);
    }
    const struct op_row *row = find_row(op);
    pthread_mutex_unlock(&rows_lock);
    return row == NULL ? ref_kernels(backend, op) : row->list;
}
