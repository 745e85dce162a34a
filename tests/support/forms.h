/*
 * A device whose kernels want weights in forms of their own: reference kernels for convolution (in
 * all three directions) and matmul that take, or give, the weights scrambled, each batch size and
 * op in another way. Whoever hands such a kernel a stale or a plain copy gets wrong numbers.
 */
#ifndef CUPEL_TESTS_FORMS_H
#define CUPEL_TESTS_FORMS_H

#include "backend/backend.h"

/* Destroyed by its context. try: NULL when memory is refused. */
struct backend *forms_create(void);
struct backend *forms_try_create(void);
/* How often weights were brought into a form, and back, in this process. */
uint64_t forms_packs(void);
uint64_t forms_unpacks(void);

#endif
