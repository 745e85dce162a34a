/*
 * The loop behind vec_bernoulli.h. With e = exp(-|x|), which is computed once,
 * softplus(x) = max(x, 0) + log(1 + e) and sigmoid(x) = (x < 0 ? e : 1) / (1 + e): neither
 * overflows, and a NaN reaches both results. Test: tests/test_kernels_bernoulli.c
 */
#include "backend/cpu/vec_bernoulli.h"

#include "backend/cpu/vec_math.h"

/* n vectors of x and t. */
VEC_INLINE void compute(const int n, const struct bernoulli_row *row, const vector *x,
                        const vector *t, vector *error, vector *gradient) {
    vector e[VEC_TOGETHER], y[VEC_TOGETHER];
    VEC_EACH e[u] = vec_minus_abs(x[u]);
    vec_exp_falling(n, e, e);
    vec_log1p_unit(n, e, y);
    VEC_EACH error[u] = vec_fnma(x[u], t[u], vec_add(vec_at_least(x[u], vec_set(0.0F)), y[u]));
    VEC_EACH y[u] = vec_inverse(vec_add(vec_set(1.0F), e[u]));
    VEC_EACH y[u] = vec_mul(y[u], vec_negative(x[u], e[u], vec_set(1.0F)));
    VEC_EACH gradient[u] =
        vec_fma(vec_set(row->scale), y[u], vec_mul(vec_set(row->target_scale), t[u]));
}

VEC_INLINE void compute_whole(const int n, const struct bernoulli_row *row, int64_t at) {
    vector x[VEC_TOGETHER], t[VEC_TOGETHER], error[VEC_TOGETHER], gradient[VEC_TOGETHER];
    VEC_EACH x[u] = vec_load(row->product + at + u * VEC_LANES);
    VEC_EACH t[u] = vec_load(row->target + at + u * VEC_LANES);
    if (row->bias != NULL)
        VEC_EACH x[u] = vec_add(x[u], vec_load(row->bias + at + u * VEC_LANES));
    compute(n, row, x, t, error, gradient);
    VEC_EACH vec_store(row->error + at + u * VEC_LANES, error[u]);
    VEC_EACH vec_store(row->gradient + at + u * VEC_LANES, gradient[u]);
}

/* The last, fewer lanes. */
VEC_INLINE void compute_rest(const struct bernoulli_row *row, int64_t at) {
    const vector_mask rest = vec_first((int)(row->n - at));
    const vector t = vec_load_if(rest, row->target + at);
    vector x = vec_load_if(rest, row->product + at), error, gradient;
    if (row->bias != NULL)
        x = vec_add(x, vec_load_if(rest, row->bias + at));
    compute(1, row, &x, &t, &error, &gradient);
    vec_store_if(rest, row->error + at, error);
    vec_store_if(rest, row->gradient + at, gradient);
}

static void run_row(const struct bernoulli_row *of) {
    const struct bernoulli_row row = *of; /* nothing that is stored can lie in it */
    int64_t at = 0;
    for (; at + VEC_TOGETHER * VEC_LANES <= row.n; at += VEC_TOGETHER * VEC_LANES)
        compute_whole(VEC_TOGETHER, &row, at);
    for (; at + 2 * VEC_LANES <= row.n; at += 2 * VEC_LANES)
        compute_whole(2, &row, at);
    for (; at + VEC_LANES <= row.n; at += VEC_LANES)
        compute_whole(1, &row, at);
    if (at < row.n)
        compute_rest(&row, at);
}

const struct vec_bernoulli_table CUPEL_VEC(vec_bernoulli) = {.row = run_row};
