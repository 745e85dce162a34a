/*
 * What the files of the cpu backend share: the instruction set in use, the tables of kernels, and
 * the choice among the copies of a vector kernel. Test: tests/test_dispatch.c
 */
#ifndef CUPEL_CPU_H
#define CUPEL_CPU_H

#include "backend/backend.h"

enum cpu_isa { CPU_ISA_BASELINE = 0, CPU_ISA_AVX2 = 1, CPU_ISA_AVX512 = 2 };

/* The widest this processor has, or less by CUPEL_ISA=baseline|avx2|avx512. */
enum cpu_isa cpu_isa(void);
const char *cpu_isa_name(enum cpu_isa isa);

/* Every vector source vec_<name>.c defines one constant table of functions per instruction set;
 * CPU_VEC_DECLARE(type, name) declares the copies there are and cpu_<name>(), which chooses. */
#if defined(CUPEL_HAVE_AVX512)
#define CPU_VEC_AVX512(name) (cpu_isa() == CPU_ISA_AVX512) ? &name##_avx512:
#define CPU_VEC_DECLARE_AVX512(type, name) extern const type name##_avx512;
#else
#define CPU_VEC_AVX512(name)
#define CPU_VEC_DECLARE_AVX512(type, name)
#endif
#if defined(CUPEL_HAVE_AVX2)
#define CPU_VEC_AVX2(name) (cpu_isa() >= CPU_ISA_AVX2) ? &name##_avx2:
#define CPU_VEC_DECLARE_AVX2(type, name) extern const type name##_avx2;
#else
#define CPU_VEC_AVX2(name)
#define CPU_VEC_DECLARE_AVX2(type, name)
#endif
#define CPU_VEC_DECLARE(type, name) \
    extern const type name##_baseline; \
    CPU_VEC_DECLARE_AVX2(type, name) \
    CPU_VEC_DECLARE_AVX512(type, name) \
    static inline const type *cpu_##name(void) { \
        return CPU_VEC_AVX512(name) CPU_VEC_AVX2(name) & name##_baseline; \
    }

/* The name of this copy: CUPEL_VEC(vec_chain) is vec_chain_avx512, say. */
#if defined(CUPEL_VEC_SUFFIX)
#define CUPEL_VEC_JOIN(name, suffix) name##suffix
#define CUPEL_VEC_EXPAND(name, suffix) CUPEL_VEC_JOIN(name, suffix)
#define CUPEL_VEC(name) CUPEL_VEC_EXPAND(name, CUPEL_VEC_SUFFIX)
#endif

/* Tables of our own kernels, ended by a NULL op. */
extern const struct kernel bernoulli_kernels[];
extern const struct kernel chain_kernels[];
extern const struct kernel reorder_kernels[];
extern const struct kernel reduce_kernels[];
extern const struct kernel update_kernels[];
extern const struct kernel product_update_kernels[];
extern const struct kernel random_kernels[];
extern const struct kernel softmax_kernels[];
extern const struct kernel move_kernels[];
extern const struct kernel norm_kernels[];
extern const struct kernel pool_kernels[];
extern const struct kernel matmul_kernels[];
extern const struct kernel few_kernels[];
extern const struct kernel image_matmul_kernels[];
extern const struct kernel image_update_kernels[];
extern const struct kernel image_sum_kernels[];
extern const struct kernel winograd_kernels[];
extern const struct kernel winograd_weights_kernels[];

#endif
