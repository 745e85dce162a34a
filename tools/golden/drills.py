"""The drills that show whether the engine has the right shape, three training steps each.

    dbnn      a dense layer 12 -> 8 whose weights are generated per example and sampled
    pair      two residual networks, one on generalised cross-entropy, the other weighted by loss
              tables, on images attacked by three gradient steps
    gradcam   class activation maps at an inner node, between training steps
    tail      batches of 8, 8 and then 5 under batch norm and dropout
    programs  batches of 8, 5 and 8; evaluation, input gradient and score of the same parameters after
              each
    untouchable  a convolution under batch norm and dropout, with SGD and with Adam, and its evaluation

Parameters start as formula.parameter(drill + "/" + name); tests/test_drill_later.c builds the first four,
test_drill_programs.c and test_device_untouchable.c the last two. Batch norm has momentum 0.1 and, but in
`programs`, epsilon 1e-5; random draws have seed SEED.
"""
import math

import numpy as np
import torch
import torch.nn.functional as F

from golden import formula
from golden.networks import block, block_shapes, conv, dense, norm, parameters

SEED = 53
STEPS = 3


def data(name, shape):
    return torch.tensor(formula.uniform(name, shape))


def add_all(store, prefix, named):
    for name, value in named.items():
        store.add(f"{prefix}/{name}", value)


def add_norms(store, prefix, stats):
    for name, (mean, var) in stats.items():
        store.add(f"{prefix}/{name}.running_mean", mean)
        store.add(f"{prefix}/{name}.running_var", var)


# --- a: weights generated per example -----------------------------------------------------------

DBNN = {"mean.weight": (96, 12), "bn_mean.weight": (96,), "bn_mean.bias": (96,),
        "rho.weight": (96, 12), "bn_rho.weight": (96,), "bn_rho.bias": (96,)}


def log_normal(x, mean, log_variance):
    return -0.5 * (math.log(2 * math.pi) + log_variance + (x - mean) ** 2 * torch.exp(-log_variance))


def dbnn(store):
    batch = 6
    p, stats = parameters("dbnn", DBNN), {}
    adam = torch.optim.Adam(p.values(), lr=1e-3)
    logits_, losses, kls = [], [], []
    for step in range(STEPS):
        x = data(f"dbnn/x{step}", (batch, 12))
        labels = torch.tensor([(i + 3 * step) % 8 for i in range(batch)])
        mean = norm(p, stats, dense(p, x, "mean"), "bn_mean", True)
        deviation = F.softplus(norm(p, stats, dense(p, x, "rho"), "bn_rho", True))
        rows = [batch * step + i for i in range(batch)]
        eps = torch.tensor(formula.sample_normal(SEED, "weights", step, rows, (batch, 96)))
        w = mean + deviation * eps
        logits = (w.view(batch, 8, 12) @ x.view(batch, 12, 1)).view(batch, 8)
        # KL(q || p) from the one sample; p = 1/2 N(0, 1) + 1/2 N(0, e^-12)
        zero = torch.zeros(())
        wide = log_normal(w, zero, zero) + math.log(0.5)
        narrow = log_normal(w, zero, zero - 12.0) + math.log(0.5)
        kl = (log_normal(w, mean, 2 * torch.log(deviation)) - torch.logaddexp(wide, narrow)).sum(dim=1).mean()
        loss = F.cross_entropy(logits, labels) + 0.01 * (step + 1) * kl
        adam.zero_grad()
        loss.backward()
        adam.step()
        logits_.append(logits)
        losses.append(loss.item())
        kls.append(kl.item())
    store.add("dbnn/logits", torch.stack(logits_))
    store.add("dbnn/losses", np.array(losses))
    store.add("dbnn/kl", np.array(kls))
    add_all(store, "dbnn/final", p)
    add_norms(store, "dbnn/final", stats)


# --- b: two networks, tables, attack ---------------------------------------------------------------

def small(prefix):
    shapes = {"conv1.weight": (4, 3, 3, 3), "bn1.weight": (4,), "bn1.bias": (4,), **block_shapes("layer1.0", 4, 6),
              "fc.weight": (3, 6), "fc.bias": (3,)}
    return {prefix + name: shape for name, shape in shapes.items()}


def small_features(p, stats, prefix, x, training):
    h = torch.relu(norm(p, stats, conv(p, x, prefix + "conv1", padding=1), prefix + "bn1", training))
    return block(p, stats, h, prefix + "layer1.0", 2, training)


def small_network(p, stats, prefix, x, training):
    return dense(p, small_features(p, stats, prefix, x, training).mean(dim=(2, 3)), prefix + "fc")


SAMPLES, CLASSES = 12, 3
BATCHES = [[0, 1, 2, 3], [2, 3, 4, 5], [4, 0, 6, 7]]
RADIUS, STEP_SIZE, LAMBDA, BETA, ALPHA, Q = 0.5, 0.3, 2.0, 0.8, 0.7, 0.7


def attack(p, stats, x, labels):
    """Three steps up CE of the biased net minus LAMBDA CE of the other, in the L2 ball; evaluation mode."""
    adversarial = x.clone()
    for _ in range(3):
        at = adversarial.clone().requires_grad_(True)
        objective = (F.cross_entropy(small_network(p, stats, "biased.", at, False), labels, reduction="sum")
                     - LAMBDA * F.cross_entropy(small_network(p, stats, "debiased.", at, False), labels,
                                                reduction="sum"))
        g, = torch.autograd.grad(objective, at)
        g = g / (g.square().sum(dim=(1, 2, 3), keepdim=True).sqrt() + 1e-12)
        delta = at.detach() + STEP_SIZE * g - x
        length = delta.square().sum(dim=(1, 2, 3), keepdim=True).sqrt() + 1e-12
        adversarial = x + delta * torch.clamp(RADIUS / length, max=1.0)
    return adversarial


def pair(store):
    p = {**parameters("pair", small("biased.")), **parameters("pair", small("debiased."))}
    stats = {}
    for prefix in ("biased.", "debiased."):  # statistics exist before the first attack reads them
        small_network({k: v.detach() for k, v in p.items()}, stats, prefix, torch.zeros(1, 3, 6, 6), False)
    biased = [v for k, v in p.items() if k.startswith("biased.")]
    debiased = [v for k, v in p.items() if k.startswith("debiased.")]
    adams = [torch.optim.Adam(biased, lr=1e-3), torch.optim.Adam(debiased, lr=1e-3, weight_decay=1e-4)]
    x_all = data("pair/x", (SAMPLES, 3, 6, 6))
    classes = torch.arange(SAMPLES) % CLASSES
    tables = [torch.zeros(SAMPLES), torch.zeros(SAMPLES)]
    seen = torch.zeros(SAMPLES)
    losses, weights, images = [], [], []
    for index in BATCHES:
        x, labels = x_all[index], classes[index]
        adversarial = attack(p, stats, x, labels)
        logits = small_network(p, stats, "biased.", x, True)
        chosen = torch.softmax(logits, 1)[torch.arange(4), labels]
        loss_biased = ((1 - chosen ** Q) / Q).mean()
        # clean and attacked images together: one batch for the running statistics
        both = small_network(p, stats, "debiased.", torch.cat([x, adversarial]), True)
        ce = F.cross_entropy(both[:4], labels, reduction="none")
        ce_adversarial = F.cross_entropy(both[4:], labels, reduction="none")
        share = []
        for table, value in zip(tables, (F.cross_entropy(logits, labels, reduction="none"), ce)):
            value = value.detach()
            new = torch.where(seen[index] != 0, ALPHA * table[index] + (1 - ALPHA) * value, value)
            table[index] = new
            largest = torch.stack([table[classes == k].max() for k in range(CLASSES)])
            share.append(new / largest[labels])
        seen[index] = 1.0
        weight = share[0] / (share[0] + share[1] + 1e-8)
        loss_debiased = (weight * ce).mean() + (BETA * (1 - weight) * ce_adversarial).mean()
        for adam in adams:
            adam.zero_grad()
        (loss_biased + loss_debiased).backward()
        for adam in adams:
            adam.step()
        losses.append([loss_biased.item(), loss_debiased.item()])
        weights.append(weight)
        images.append(adversarial)
    store.add("pair/losses", np.array(losses))
    store.add("pair/weights", torch.stack(weights))
    store.add("pair/adversarial", torch.stack(images))
    store.add("pair/table_biased", tables[0])
    store.add("pair/table_debiased", tables[1])
    add_all(store, "pair/final", p)
    add_norms(store, "pair/final", stats)


# --- c: maps at an inner node -----------------------------------------------------------------------

def gradcam(store):
    batch = 5
    p, stats = parameters("gradcam", small("")), {}
    sgd = torch.optim.SGD(p.values(), lr=0.05, momentum=0.9)
    losses, maps = [], []
    for step in range(STEPS):
        x = data(f"gradcam/x{step}", (batch, 3, 8, 8))
        labels = torch.tensor([(i + step) % 3 for i in range(batch)])
        loss = F.cross_entropy(small_network(p, stats, "", x, True), labels)
        sgd.zero_grad()
        loss.backward()
        sgd.step()
        losses.append(loss.item())
        # the map of the labelled class: relu of the feature maps weighted by their mean gradients
        features = small_features(p, stats, "", x, False)
        logits = dense(p, features.mean(dim=(2, 3)), "fc")
        score = logits[torch.arange(batch), labels].sum()
        g, = torch.autograd.grad(score, features)
        maps.append(torch.relu((g.mean(dim=(2, 3), keepdim=True) * features).sum(dim=1)))
    store.add("gradcam/losses", np.array(losses))
    store.add("gradcam/maps", torch.stack(maps))
    add_all(store, "gradcam/final", p)
    add_norms(store, "gradcam/final", stats)


# --- d: a smaller last batch ------------------------------------------------------------------------

TAIL = {"hidden.weight": (16, 10), "bn.weight": (16,), "bn.bias": (16,),
        "out.weight": (4, 16), "out.bias": (4,)}


def tail(store):
    p, stats = parameters("tail", TAIL), {}
    adamw = torch.optim.AdamW(p.values(), lr=1e-2, weight_decay=0.05)
    losses, first = [], 0
    for step, batch in enumerate((8, 8, 5)):
        x = data(f"tail/x{step}", (batch, 10))
        labels = torch.tensor([(i + step) % 4 for i in range(batch)])
        h = torch.relu(norm(p, stats, dense(p, x, "hidden"), "bn", True))
        h = h * torch.tensor(formula.dropout_mask(SEED, "drop", step, range(first, first + batch), (batch, 16), 0.3))
        loss = F.cross_entropy(dense(p, h, "out"), labels)
        adamw.zero_grad()
        loss.backward()
        adamw.step()
        losses.append(loss.item())
        first += batch
    store.add("tail/losses", np.array(losses))
    add_all(store, "tail/final", p)
    add_norms(store, "tail/final", stats)
    x = data("tail/evaluation", (3, 10))
    store.add("tail/evaluation",
              dense(p, torch.relu(norm(p, stats, dense(p, x, "hidden"), "bn", False)), "out"))


# --- one parameter set, five programs ---------------------------------------------------------------

PROGRAMS = {"a.conv.weight": (8, 1, 3, 3), "a.bn.weight": (8,), "a.bn.bias": (8,),
            "b.conv.weight": (16, 8, 3, 3), "b.bn.weight": (16,), "b.bn.bias": (16,),
            "fc.weight": (3, 144), "fc.bias": (3,)}


def programs(store):
    p, stats = parameters("programs", PROGRAMS), {}
    adam = torch.optim.Adam(p.values(), lr=5e-3, eps=1e-2)

    def block_of(x, name, training):
        return torch.relu(norm(p, stats, conv(p, x, name + ".conv", padding=1), name + ".bn", training, 1e-3))

    def batch_of(run, batch):
        x = data(f"programs/x{run}", (batch, 1, 7, 7))
        return x, torch.tensor([(i + run) % 3 for i in range(batch)]), range(8 * run, 8 * run + batch)

    def features(x, training):
        return block_of(F.max_pool2d(block_of(x, "a", training), 2), "b", training).flatten(1)

    def add(run, **outputs):
        add_all(store, f"programs/run{run}", outputs)

    for run, batch in ((0, 8), (4, 5), (8, 8)):
        x, labels, rows = batch_of(run, batch)
        mask = torch.tensor(formula.dropout_mask(SEED, "drop", run, rows, (batch, 144), 0.2))
        logits = dense(p, features(x, True) * mask, "fc")
        loss = F.cross_entropy(logits, labels)
        adam.zero_grad()
        loss.backward()
        adam.step()
        add(run, logits=logits, loss=loss)
        # evaluation
        x, labels, _ = batch_of(run + 1, 8)
        logits = dense(p, features(x, False), "fc")
        losses = F.cross_entropy(logits, labels, reduction="none")
        add(run + 1, logits=logits, losses=losses, loss=losses.mean())
        # the gradient of the input
        x, labels, _ = batch_of(run + 2, 4)
        x.requires_grad_(True)
        logits = dense(p, features(x, False), "fc")
        loss = F.cross_entropy(logits, labels)
        add(run + 2, logits=logits, loss=loss, gradient=torch.autograd.grad(loss, x)[0])
        # the score, with a draw of each image's own at step 0
        x, _, rows = batch_of(run + 3, 6)
        logits = dense(p, features(x, False), "fc")
        noise = torch.tensor(formula.sample_normal(SEED, "noise", 0, rows, (6, 3)))
        add(run + 3, logits=logits, score=torch.logsumexp(logits + 0.1 * noise, 1))
    add_all(store, "programs/final", p)
    add_norms(store, "programs/final", stats)


# --- a device nobody may touch ----------------------------------------------------------------------

UNTOUCHABLE = {"conv.weight": (3, 1, 3, 3), "conv.bias": (3,), "bn.weight": (3,), "bn.bias": (3,),
               "fc.weight": (3, 48), "fc.bias": (3,)}


def untouchable(store):
    batch = 6
    for name, optimizer, options in (("sgd", torch.optim.SGD, {"momentum": 0.9}), ("adam", torch.optim.Adam, {"eps": 1e-2})):
        p, stats = parameters("untouchable", UNTOUCHABLE), {}
        optimizer = optimizer(p.values(), lr=0.05, weight_decay=1e-3, **options)

        def features(x, training):
            return torch.relu(norm(p, stats, conv(p, x + 0.125, "conv"), "bn", training)).flatten(1)

        logits_, losses = [], []
        for step in range(STEPS):
            x = data(f"untouchable/x{step}", (batch, 1, 6, 6))
            labels = torch.tensor([(i + step) % 3 for i in range(batch)])
            rows = range(batch * step, batch * step + batch)
            mask = torch.tensor(formula.dropout_mask(SEED, "drop", step, rows, (batch, 48), 0.25))
            logits = dense(p, features(x, True) * mask, "fc")
            loss = F.cross_entropy(logits, labels)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            logits_.append(logits)
            losses.append(loss.item())
        store.add(f"untouchable/{name}/logits", torch.stack(logits_))
        store.add(f"untouchable/{name}/losses", np.array(losses))
        store.add(f"untouchable/{name}/score",
                  dense(p, features(data("untouchable/x90", (batch, 1, 6, 6)), False), "fc"))
        add_all(store, f"untouchable/{name}/final", p)
        add_norms(store, f"untouchable/{name}/final", stats)


def make(store):
    for part in (dbnn, pair, gradcam, tail, programs, untouchable):
        part(store)
