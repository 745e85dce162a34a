"""Golden states of whole networks: outputs, every gradient in summary, ten Adam steps.

Parameters, images and labels come from formula.py; random draws from the seed SEED, the step's number
and the row's number. tests/test_golden_networks.c holds the models of cupel/models.h to the first two.
"""
import numpy as np
import torch
import torch.nn.functional as F

from golden import formula

SEED = 41
STEPS = 10


def parameters(net, shapes, real=torch.float64):
    return {name: torch.tensor(formula.parameter(f"{net}/{name}", shape), dtype=real, requires_grad=True)
            for name, shape in shapes.items()}


def train(p, loss_of, rate):
    """Ten Adam steps; returns the loss before each."""
    adam = torch.optim.Adam(p.values(), lr=rate)
    losses = []
    for step in range(STEPS):
        adam.zero_grad()
        loss = loss_of(step)
        loss.backward()
        adam.step()
        losses.append(loss.item())
    return np.array(losses)


def images(net, shape):
    return torch.tensor(formula.uniform(f"{net}/images", shape))


def conv(p, x, name, **options):
    return F.conv2d(x, p[name + ".weight"], p.get(name + ".bias"), **options)


def dense(p, x, name):
    return F.linear(x, p[name + ".weight"], p.get(name + ".bias"))


# --- variational autoencoders -------------------------------------------------------------------

def noise(net, step, rows, latents):
    return torch.tensor(formula.sample_normal(SEED, "encoder.noise", step, range(rows), (rows, latents)))


CONV_VAE = {
    "encoder.conv1.weight": (32, 1, 3, 3), "encoder.conv1.bias": (32,),
    "encoder.conv2.weight": (64, 32, 3, 3), "encoder.conv2.bias": (64,),
    "encoder.conv3.weight": (128, 64, 3, 3), "encoder.conv3.bias": (128,),
    "encoder.mu.weight": (16, 86528), "encoder.mu.bias": (16,),
    "encoder.log_var.weight": (16, 86528), "encoder.log_var.bias": (16,),
    "decoder.fc.weight": (86528, 16), "decoder.fc.bias": (86528,),
    "decoder.deconv1.weight": (128, 64, 3, 3), "decoder.deconv1.bias": (64,),
    "decoder.deconv2.weight": (64, 32, 3, 3), "decoder.deconv2.bias": (32,),
    "decoder.deconv3.weight": (32, 1, 3, 3), "decoder.deconv3.bias": (1,),
}


def conv_vae(p, x, eps):
    h = x
    for layer in ("conv1", "conv2", "conv3"):
        h = torch.relu(conv(p, h, "encoder." + layer))
    h = h.flatten(1)
    mean, log_variance = dense(p, h, "encoder.mu"), dense(p, h, "encoder.log_var")
    z = mean + torch.exp(log_variance / 2) * eps
    h = torch.relu(dense(p, z, "decoder.fc")).view(-1, 128, 26, 26)
    for layer in ("deconv1", "deconv2", "deconv3"):
        h = F.conv_transpose2d(h, p[f"decoder.{layer}.weight"], p[f"decoder.{layer}.bias"])
        h = torch.sigmoid(h) if layer == "deconv3" else torch.relu(h)
    rec = ((h - x) ** 2).sum(dim=(1, 2, 3))
    kl = 0.5 * (mean ** 2 + torch.exp(log_variance) - 1 - log_variance).sum(dim=1)
    return mean, log_variance, h, rec, kl


MLP_VAE = {
    "encoder.fc.weight": (100, 784), "encoder.fc.bias": (100,),
    "encoder.mu.weight": (5, 100), "encoder.mu.bias": (5,),
    "encoder.log_var.weight": (5, 100), "encoder.log_var.bias": (5,),
    "decoder.fc.weight": (100, 5), "decoder.fc.bias": (100,),
    "decoder.out.weight": (784, 100), "decoder.out.bias": (784,),
}


def mlp_vae(p, x, eps):
    h = torch.relu(dense(p, x, "encoder.fc"))
    mean, log_variance = dense(p, h, "encoder.mu"), dense(p, h, "encoder.log_var")
    z = mean + torch.exp(log_variance / 2) * eps
    logits = dense(p, torch.relu(dense(p, z, "decoder.fc")), "decoder.out")
    rec = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(dim=1)
    kl = 0.5 * (mean ** 2 + torch.exp(log_variance) - 1 - log_variance).sum(dim=1)
    return mean, log_variance, torch.sigmoid(logits), rec, kl


def add_gradients(store, net, p, loss):
    grads = torch.autograd.grad(loss, list(p.values()))
    for name, grad in zip(p, grads):
        store.add_summary(f"{net}/grad/{name}", grad)


def vae(store, net, shapes, function, shape, latents, batch, train_batch, rate):
    p = parameters(net, shapes)
    x = images(net, (batch, *shape))
    mean, log_variance, out, rec, kl = function(p, x, noise(net, 0, batch, latents))
    loss = (rec + kl).mean()
    store.add(f"{net}/mean", mean)
    store.add(f"{net}/log_variance", log_variance)
    store.add_summary(f"{net}/reconstruction", out)
    store.add(f"{net}/rec", rec)
    store.add(f"{net}/kl", kl)
    store.add(f"{net}/loss", loss)
    add_gradients(store, net, p, loss)

    def run(real):
        p = parameters(net, shapes, real)
        x = images(net, (train_batch, *shape)).to(real)

        def loss_of(step):
            _, _, _, rec, kl = function(p, x, noise(net, step, train_batch, latents).to(real))
            return (rec + kl).mean()
        return train(p, loss_of, rate)
    store.add(f"{net}/losses", run(torch.float64))
    store.add(f"{net}/losses_f32", run(torch.float32))


# --- a small residual network, with the parts and names of torchvision's ---------------------------

def block_shapes(name, inner, outer):
    shapes = {f"{name}.conv1.weight": (outer, inner, 3, 3), f"{name}.bn1.weight": (outer,),
              f"{name}.bn1.bias": (outer,), f"{name}.conv2.weight": (outer, outer, 3, 3),
              f"{name}.bn2.weight": (outer,), f"{name}.bn2.bias": (outer,)}
    if inner != outer:
        shapes |= {f"{name}.downsample.0.weight": (outer, inner, 1, 1),
                   f"{name}.downsample.1.weight": (outer,), f"{name}.downsample.1.bias": (outer,)}
    return shapes


RESIDUAL = {"conv1.weight": (16, 3, 3, 3), "bn1.weight": (16,), "bn1.bias": (16,),
            **block_shapes("layer1.0", 16, 16), **block_shapes("layer2.0", 16, 32),
            "fc.weight": (10, 32), "fc.bias": (10,)}


def norm(p, stats, x, name, training, epsilon=1e-5):
    mean, var = stats.setdefault(name, (x.new_zeros(x.shape[1]), x.new_ones(x.shape[1])))
    return F.batch_norm(x, mean, var, p[name + ".weight"], p[name + ".bias"], training, 0.1, epsilon)


def block(p, stats, x, name, stride, training):
    h = torch.relu(norm(p, stats, conv(p, x, name + ".conv1", stride=stride, padding=1), name + ".bn1", training))
    h = norm(p, stats, conv(p, h, name + ".conv2", padding=1), name + ".bn2", training)
    if name + ".downsample.0.weight" in p:
        x = norm(p, stats, conv(p, x, name + ".downsample.0", stride=stride), name + ".downsample.1", training)
    return torch.relu(h + x)


def residual(p, stats, x, training):
    h = torch.relu(norm(p, stats, conv(p, x, "conv1", padding=1), "bn1", training))
    h = F.max_pool2d(h, 3, 2, 1)
    h = block(p, stats, h, "layer1.0", 1, training)
    h = block(p, stats, h, "layer2.0", 2, training)
    return dense(p, h.mean(dim=(2, 3)), "fc")


def residual_network(store):
    net, batch = "residual", 6
    p = parameters(net, RESIDUAL)
    x = images(net, (batch, 3, 16, 16))
    labels = torch.tensor([(3 * i + 1) % 10 for i in range(batch)])
    logits = residual(p, {}, x, True)
    store.add(f"{net}/logits", logits)
    loss = F.cross_entropy(logits, labels)
    store.add(f"{net}/loss", loss)
    add_gradients(store, net, p, loss)

    def run(real):
        p, stats = parameters(net, RESIDUAL, real), {}
        losses = train(p, lambda _: F.cross_entropy(residual(p, stats, x.to(real), True), labels), 1e-3)
        return losses, p, stats
    losses, p, stats = run(torch.float64)
    store.add(f"{net}/losses", losses)
    store.add(f"{net}/losses_f32", run(torch.float32)[0])
    for name, (mean, var) in stats.items():
        store.add(f"{net}/state/{name}.running_mean", mean)
        store.add(f"{net}/state/{name}.running_var", var)
    store.add(f"{net}/evaluation", residual(p, stats, x, False))


def make(store):
    vae(store, "conv_vae", CONV_VAE, conv_vae, (1, 32, 32), 16, 2, 4, 1e-4)
    vae(store, "mlp_vae", MLP_VAE, mlp_vae, (784,), 5, 3, 8, 1e-3)
    residual_network(store)
