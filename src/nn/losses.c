/*
 * Losses and densities as compositions of ops, elementwise or per row; the caller reduces them.
 * (Categorical cross-entropy is an op: src/op/op_cross_entropy.c.) Test: tests/test_op_loss.c
 */
#include "cupel/layers.h"
#include "graph/graph_internal.h"

cupel_node cupel_squared_error(cupel_node a, cupel_node b) {
    return cupel_square(cupel_sub(a, b));
}

/* -log of sigmoid(x)^t (1 - sigmoid(x))^(1-t) = softplus(x) - x t: no overflow on either side. */
cupel_node cupel_bernoulli_cross_entropy(cupel_node logits, cupel_node targets) {
    return cupel_sub(cupel_softplus(logits), cupel_mul(logits, targets));
}

/* p^q = exp(-q l) with the cross-entropy l, so that p itself, which may underflow, is not formed.
 */
cupel_node cupel_generalized_cross_entropy(cupel_node logits, cupel_node labels, double q) {
    if (!cupel_is_none(logits) && !(q > 0.0 && q <= 1.0))
        return graph_fail(logits.graph, CUPEL_STATUS_INVALID_ARGUMENT,
                          "generalized_cross_entropy: q must be within 0 < q <= 1; for 0 use "
                          "cupel_cross_entropy()");
    const cupel_node power = cupel_exp(cupel_scale(cupel_cross_entropy(logits, labels), -q));
    return cupel_scale(cupel_offset(cupel_neg(power), 1.0), 1.0 / q);
}

cupel_node cupel_gaussian_kl(cupel_node mean, cupel_node log_variance) {
    const cupel_node spread = cupel_sub(cupel_exp(log_variance), log_variance);
    return cupel_scale(cupel_offset(cupel_add(cupel_square(mean), spread), -1.0), 0.5);
}

/* -(log 2 pi + log_variance + (x - mean)^2 / variance) / 2. */
cupel_node cupel_gaussian_log_density(cupel_node x, cupel_node mean, cupel_node log_variance) {
    const double log_two_pi = 1.8378770664093454836;
    const cupel_node distance =
        cupel_mul(cupel_squared_error(x, mean), cupel_exp(cupel_neg(log_variance)));
    return cupel_scale(cupel_offset(cupel_add(distance, log_variance), log_two_pi), -0.5);
}
