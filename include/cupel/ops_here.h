/*
 * The macros that add the caller's file and line to each builder of ops.h; included by it alone.
 */
#ifndef CUPEL_OPS_HERE_H
#define CUPEL_OPS_HERE_H

#include <cupel/ops.h>

#define cupel_neg(...) (cupel_here(__FILE__, __LINE__), (cupel_neg)(__VA_ARGS__))
#define cupel_abs(...) (cupel_here(__FILE__, __LINE__), (cupel_abs)(__VA_ARGS__))
#define cupel_exp(...) (cupel_here(__FILE__, __LINE__), (cupel_exp)(__VA_ARGS__))
#define cupel_log(...) (cupel_here(__FILE__, __LINE__), (cupel_log)(__VA_ARGS__))
#define cupel_sqrt(...) (cupel_here(__FILE__, __LINE__), (cupel_sqrt)(__VA_ARGS__))
#define cupel_square(...) (cupel_here(__FILE__, __LINE__), (cupel_square)(__VA_ARGS__))
#define cupel_reciprocal(...) (cupel_here(__FILE__, __LINE__), (cupel_reciprocal)(__VA_ARGS__))
#define cupel_sign(...) (cupel_here(__FILE__, __LINE__), (cupel_sign)(__VA_ARGS__))
#define cupel_relu(...) (cupel_here(__FILE__, __LINE__), (cupel_relu)(__VA_ARGS__))
#define cupel_leaky_relu(...) (cupel_here(__FILE__, __LINE__), (cupel_leaky_relu)(__VA_ARGS__))
#define cupel_sigmoid(...) (cupel_here(__FILE__, __LINE__), (cupel_sigmoid)(__VA_ARGS__))
#define cupel_tanh(...) (cupel_here(__FILE__, __LINE__), (cupel_tanh)(__VA_ARGS__))
#define cupel_softplus(...) (cupel_here(__FILE__, __LINE__), (cupel_softplus)(__VA_ARGS__))
#define cupel_clamp(...) (cupel_here(__FILE__, __LINE__), (cupel_clamp)(__VA_ARGS__))
#define cupel_cast(...) (cupel_here(__FILE__, __LINE__), (cupel_cast)(__VA_ARGS__))
#define cupel_stop_gradient(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_stop_gradient)(__VA_ARGS__))
#define cupel_add(...) (cupel_here(__FILE__, __LINE__), (cupel_add)(__VA_ARGS__))
#define cupel_sub(...) (cupel_here(__FILE__, __LINE__), (cupel_sub)(__VA_ARGS__))
#define cupel_mul(...) (cupel_here(__FILE__, __LINE__), (cupel_mul)(__VA_ARGS__))
#define cupel_div(...) (cupel_here(__FILE__, __LINE__), (cupel_div)(__VA_ARGS__))
#define cupel_maximum(...) (cupel_here(__FILE__, __LINE__), (cupel_maximum)(__VA_ARGS__))
#define cupel_minimum(...) (cupel_here(__FILE__, __LINE__), (cupel_minimum)(__VA_ARGS__))
#define cupel_pow(...) (cupel_here(__FILE__, __LINE__), (cupel_pow)(__VA_ARGS__))
#define cupel_scale(...) (cupel_here(__FILE__, __LINE__), (cupel_scale)(__VA_ARGS__))
#define cupel_offset(...) (cupel_here(__FILE__, __LINE__), (cupel_offset)(__VA_ARGS__))
#define cupel_compare(...) (cupel_here(__FILE__, __LINE__), (cupel_compare)(__VA_ARGS__))
#define cupel_select(...) (cupel_here(__FILE__, __LINE__), (cupel_select)(__VA_ARGS__))
#define cupel_reduce_sum(...) (cupel_here(__FILE__, __LINE__), (cupel_reduce_sum)(__VA_ARGS__))
#define cupel_reduce_mean(...) (cupel_here(__FILE__, __LINE__), (cupel_reduce_mean)(__VA_ARGS__))
#define cupel_reduce_max(...) (cupel_here(__FILE__, __LINE__), (cupel_reduce_max)(__VA_ARGS__))
#define cupel_reduce_min(...) (cupel_here(__FILE__, __LINE__), (cupel_reduce_min)(__VA_ARGS__))
#define cupel_logsumexp(...) (cupel_here(__FILE__, __LINE__), (cupel_logsumexp)(__VA_ARGS__))
#define cupel_argmax(...) (cupel_here(__FILE__, __LINE__), (cupel_argmax)(__VA_ARGS__))
#define cupel_softmax(...) (cupel_here(__FILE__, __LINE__), (cupel_softmax)(__VA_ARGS__))
#define cupel_log_softmax(...) (cupel_here(__FILE__, __LINE__), (cupel_log_softmax)(__VA_ARGS__))
#define cupel_reshape(...) (cupel_here(__FILE__, __LINE__), (cupel_reshape)(__VA_ARGS__))
#define cupel_transpose(...) (cupel_here(__FILE__, __LINE__), (cupel_transpose)(__VA_ARGS__))
#define cupel_slice(...) (cupel_here(__FILE__, __LINE__), (cupel_slice)(__VA_ARGS__))
#define cupel_concat(...) (cupel_here(__FILE__, __LINE__), (cupel_concat)(__VA_ARGS__))
#define cupel_broadcast_to(...) (cupel_here(__FILE__, __LINE__), (cupel_broadcast_to)(__VA_ARGS__))
#define cupel_pad(...) (cupel_here(__FILE__, __LINE__), (cupel_pad)(__VA_ARGS__))
#define cupel_gather(...) (cupel_here(__FILE__, __LINE__), (cupel_gather)(__VA_ARGS__))
#define cupel_scatter_update(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_scatter_update)(__VA_ARGS__))
#define cupel_scatter_add(...) (cupel_here(__FILE__, __LINE__), (cupel_scatter_add)(__VA_ARGS__))
#define cupel_segment_max(...) (cupel_here(__FILE__, __LINE__), (cupel_segment_max)(__VA_ARGS__))
#define cupel_one_hot(...) (cupel_here(__FILE__, __LINE__), (cupel_one_hot)(__VA_ARGS__))
#define cupel_matmul(...) (cupel_here(__FILE__, __LINE__), (cupel_matmul)(__VA_ARGS__))
#define cupel_conv2d(...) (cupel_here(__FILE__, __LINE__), (cupel_conv2d)(__VA_ARGS__))
#define cupel_conv_transpose2d(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_conv_transpose2d)(__VA_ARGS__))
#define cupel_max_pool2d(...) (cupel_here(__FILE__, __LINE__), (cupel_max_pool2d)(__VA_ARGS__))
#define cupel_avg_pool2d(...) (cupel_here(__FILE__, __LINE__), (cupel_avg_pool2d)(__VA_ARGS__))
#define cupel_batch_norm_train(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_batch_norm_train)(__VA_ARGS__))
#define cupel_batch_norm_inference(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_batch_norm_inference)(__VA_ARGS__))
#define cupel_cross_entropy(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_cross_entropy)(__VA_ARGS__))
#define cupel_rng_inputs(...) (cupel_here(__FILE__, __LINE__), (cupel_rng_inputs)(__VA_ARGS__))
#define cupel_sample_normal(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_sample_normal)(__VA_ARGS__))
#define cupel_sample_uniform(...) \
    (cupel_here(__FILE__, __LINE__), (cupel_sample_uniform)(__VA_ARGS__))
#define cupel_dropout(...) (cupel_here(__FILE__, __LINE__), (cupel_dropout)(__VA_ARGS__))

#endif
