"""TensorFlow's side of the benchmark: the training step, as a graph (tf.function) or through XLA.

No Keras: plain ops, and the fused Adam op that TensorFlow has. Images are [N, H, W, C], the layout
it is fastest in. The models are those of peer_torch.py.
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

import peer  # noqa: E402


class Parameters:
    """Variables and Adam's moments, made by name on first use."""

    def __init__(self):
        self.values = {}
        self.random = np.random.default_rng(0)

    def get(self, name, shape, fan_in):
        if name not in self.values:
            bound = fan_in ** -0.5
            first = self.random.uniform(-bound, bound, shape).astype(np.float32)
            self.values[name] = tuple(tf.Variable(v) for v in
                                      (first, np.zeros_like(first), np.zeros_like(first)))
        return self.values[name][0]

    def dense(self, x, name, outputs):
        inputs = x.shape[-1]
        return tf.matmul(x, self.get(name + ".w", (inputs, outputs), inputs)) + \
            self.get(name + ".b", (outputs,), inputs)

    def conv(self, x, name, outputs):
        inputs = x.shape[-1]
        w = self.get(name + ".w", (3, 3, inputs, outputs), 9 * inputs)
        return tf.nn.bias_add(tf.nn.conv2d(x, w, 1, "VALID"),
                              self.get(name + ".b", (outputs,), 9 * inputs))

    def conv_transpose(self, x, name, outputs):
        batch, height, width, inputs = x.shape
        w = self.get(name + ".w", (3, 3, outputs, inputs), 9 * outputs)
        y = tf.nn.conv2d_transpose(x, w, (batch, height + 2, width + 2, outputs), 1, "VALID")
        return tf.nn.bias_add(y, self.get(name + ".b", (outputs,), 9 * outputs))


def kl(mean, log_variance):
    return 0.5 * tf.reduce_sum(mean ** 2 + tf.exp(log_variance) - 1 - log_variance, 1)


def conv_vae(p, x):
    h = x
    for i, channels in enumerate((32, 64, 128)):
        h = tf.nn.relu(p.conv(h, f"conv{i}", channels))
    shape = h.shape
    h = tf.reshape(h, (shape[0], -1))
    mean, log_variance = p.dense(h, "mean", 16), p.dense(h, "log_variance", 16)
    z = mean + tf.exp(log_variance / 2) * tf.random.normal(mean.shape)
    h = tf.reshape(tf.nn.relu(p.dense(z, "dense", h.shape[-1])), shape)
    for i, channels in enumerate((64, 32)):
        h = tf.nn.relu(p.conv_transpose(h, f"transposed{i}", channels))
    y = tf.sigmoid(p.conv_transpose(h, "transposed2", 1))
    return tf.reduce_sum((x - y) ** 2, (1, 2, 3)), kl(mean, log_variance)


def mlp_vae(p, x):
    x = tf.reshape(x, (x.shape[0], -1))
    h = tf.nn.relu(p.dense(x, "hidden", 100))
    mean, log_variance = p.dense(h, "mean", 5), p.dense(h, "log_variance", 5)
    z = mean + tf.exp(log_variance / 2) * tf.random.normal(mean.shape)
    logits = p.dense(tf.nn.relu(p.dense(z, "dense", 100)), "out", x.shape[-1])
    error = tf.nn.sigmoid_cross_entropy_with_logits(labels=x, logits=logits)
    return tf.reduce_sum(error, 1), kl(mean, log_variance)


def training_step(options):
    """Fresh batch, forward, check of the loss, backward, Adam, sums of metrics."""
    model = conv_vae if options.model == "conv-vae" else mlp_vae
    side, batch = peer.SIDES[options.model], options.batch
    images = peer.noise(8 * batch, side).reshape(-1, side, side, 1).astype(np.float32) / 255
    p = Parameters()
    model(p, tf.constant(images[:batch]))
    powers = [tf.Variable(0.9), tf.Variable(0.999)]
    sums = tf.Variable(tf.zeros(3))

    @tf.function(jit_compile=options.mode == "xla",
                 input_signature=[tf.TensorSpec((batch, side, side, 1))])
    def run(x):
        with tf.GradientTape() as tape:
            error, divergence = model(p, x)
            loss = tf.reduce_mean(error + divergence)
        variables = list(p.values.values())
        for (value, m, v), gradient in zip(variables, tape.gradient(
                loss, [variable[0] for variable in variables])):
            tf.raw_ops.ResourceApplyAdam(
                var=value.handle, m=m.handle, v=v.handle, beta1_power=powers[0],
                beta2_power=powers[1], lr=1e-3, beta1=0.9, beta2=0.999, epsilon=1e-8,
                grad=gradient)
        powers[0].assign(powers[0] * 0.9)
        powers[1].assign(powers[1] * 0.999)
        sums.assign_add(tf.stack([loss, tf.reduce_sum(error), tf.reduce_sum(divergence)]))
        return loss

    at = 0

    def step():
        nonlocal at
        loss = run(tf.constant(images[at:at + batch]))
        at = (at + batch) % len(images)
        if not np.isfinite(loss.numpy()):
            raise SystemExit("the loss is not finite")

    return step


def main():
    options = peer.options(["graph", "xla"])
    if options.work != "step":
        raise SystemExit("TensorFlow is measured in training alone")
    tf.config.threading.set_intra_op_parallelism_threads(options.threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    step = training_step(options)
    for _ in range(3):
        step()
    peer.serve("TensorFlow " + tf.__version__, step)


if __name__ == "__main__":
    main()
