/*
 * Convolution and transposed convolution as layers with PyTorch's weights, biases and default
 * initialisation. Test: tests/test_layers.c
 */
#include "nn/layer_internal.h"

static int64_t groups_of(const cupel_conv_options *conv) {
    return conv == NULL || conv->groups == 0 ? 1 : conv->groups;
}

/* Common checks: images, a kernel, groups that divide the channels on both sides. */
static bool conv_layer_takes(cupel_node x, const char *kind, const char *name, int64_t out,
                             int64_t kernel, int64_t groups) {
    if (!layer_takes(x, kind, name, 4, 4, out))
        return false;
    const int64_t in = cupel_node_shape(x).dims[1];
    if (kernel < 1) {
        (void)graph_fail(x.graph, CUPEL_STATUS_INVALID_ARGUMENT,
                         "%s layer '%s': a kernel of %lld x %lld", kind, name, (long long)kernel,
                         (long long)kernel);
        return false;
    }
    if (groups < 1 || in % groups != 0 || out % groups != 0) {
        (void)graph_fail(x.graph, CUPEL_STATUS_SHAPE,
                         "%s layer '%s': %lld input and %lld output channels do not both divide "
                         "into %lld groups",
                         kind, name, (long long)in, (long long)out, (long long)groups);
        return false;
    }
    return true;
}

cupel_node cupel_layer_conv2d(cupel_node x, const char *name, int64_t out, int64_t kernel,
                              const cupel_conv_options *conv, const cupel_layer_options *options) {
    const int64_t groups = groups_of(conv);
    if (!conv_layer_takes(x, "conv2d", name, out, kernel, groups))
        return cupel_is_none(x) ? x : graph_poisoned(x.graph);
    const int64_t in = cupel_node_shape(x).dims[1] / groups;
    const cupel_node weight =
        layer_weight(x.graph, name, CUPEL_SHAPE(out, in, kernel, kernel), options);
    const cupel_node bias = layer_bias(x.graph, name, out, in * kernel * kernel, options);
    return cupel_conv2d(x, weight, bias, conv);
}

cupel_node cupel_layer_conv_transpose2d(cupel_node x, const char *name, int64_t out, int64_t kernel,
                                        const cupel_conv_options *conv,
                                        const cupel_layer_options *options) {
    const int64_t groups = groups_of(conv);
    if (!conv_layer_takes(x, "conv_transpose2d", name, out, kernel, groups))
        return cupel_is_none(x) ? x : graph_poisoned(x.graph);
    const cupel_shape shape =
        CUPEL_SHAPE(cupel_node_shape(x).dims[1], out / groups, kernel, kernel);
    const cupel_node weight = layer_weight(x.graph, name, shape, options);
    const cupel_node bias = layer_bias(x.graph, name, out, out / groups * kernel * kernel, options);
    return cupel_conv_transpose2d(x, weight, bias, conv);
}
