"""PyTorch's side of the benchmark: the training step and scoring of cupel's models.

Modes: eager, channels-last, compiled (torch.compile), each with the fused Adam. `export` writes
the scoring network as ONNX for the peers that only infer. The models are those of
include/cupel/models.h.
"""

import os

import torch
from torch import nn

import peer


class ConvVae(nn.Module):
    """The convolutional VAE: 3x3 unpadded convolutions 32/64/128 and their mirror image."""

    def __init__(self, latents=16):
        super().__init__()
        features = 128 * 26 * 26
        self.latents = latents
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 3), nn.ReLU(),
            nn.Conv2d(32, 64, 3), nn.ReLU(),
            nn.Conv2d(64, 128, 3), nn.ReLU(), nn.Flatten())
        self.mean = nn.Linear(features, latents)
        self.log_variance = nn.Linear(features, latents)
        self.dense = nn.Linear(latents, features)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(128, 64, 3), nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 3), nn.ReLU(),
            nn.ConvTranspose2d(32, 1, 3), nn.Sigmoid())

    def forward(self, x, noise):
        h = self.encoder(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.exp(log_variance / 2) * noise
        h = torch.relu(self.dense(z)).view(-1, 128, 26, 26)
        y = self.decoder(h)
        error = ((x - y) ** 2).sum(dim=(1, 2, 3))
        return error, kl(mean, log_variance)


class MlpVae(nn.Module):
    """784-100-5 and back, Bernoulli cross-entropy."""

    def __init__(self, pixels=784, hidden=100, latents=5):
        super().__init__()
        self.latents = latents
        self.hidden = nn.Linear(pixels, hidden)
        self.mean = nn.Linear(hidden, latents)
        self.log_variance = nn.Linear(hidden, latents)
        self.dense = nn.Linear(latents, hidden)
        self.out = nn.Linear(hidden, pixels)

    def forward(self, x, noise):
        x = x.flatten(1)
        h = torch.relu(self.hidden(x))
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.exp(log_variance / 2) * noise
        logits = self.out(torch.relu(self.dense(z)))
        error = nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        return error, kl(mean, log_variance)


class Scorer(nn.Module):
    """From the bytes of images to their scores: what a framework that only infers is given."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images, noise):
        error, divergence = self.model(images.to(torch.float32) / 255, noise)
        return error + divergence


def kl(mean, log_variance):
    return 0.5 * (mean ** 2 + torch.exp(log_variance) - 1 - log_variance).sum(1)


def layout(options):
    return torch.channels_last if options.mode == "channels-last" else torch.contiguous_format


def training_step(model, options):
    """Fresh batch, forward, check of the loss, backward, Adam, sums of metrics."""
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    side, batch = peer.SIDES[options.model], options.batch
    images = torch.from_numpy(peer.noise(8 * batch, side)).to(torch.float32) / 255
    sums = torch.zeros(3)
    at = 0

    def forward(x):
        error, divergence = model(x, torch.randn(x.shape[0], model.latents))
        loss = (error + divergence).mean()
        return loss, torch.stack([loss, error.sum(), divergence.sum()]).detach()

    forward = torch.compile(forward) if options.mode == "compiled" else forward

    def step():
        nonlocal at
        x = images[at:at + batch].clone(memory_format=layout(options))
        at = (at + batch) % len(images)
        optimizer.zero_grad(set_to_none=True)
        loss, metrics = forward(x)
        if not torch.isfinite(loss):
            raise SystemExit("the loss is not finite")
        loss.backward()
        optimizer.step()
        sums.add_(metrics)

    return step


def scoring(model, options):
    images = torch.from_numpy(peer.scored_images(options.images, peer.SIDES[options.model]))
    noise = torch.from_numpy(peer.latent_noise(len(images), model.latents))
    scorer = Scorer(model).eval()
    compiled = options.mode == "compiled"
    scorer = torch.compile(scorer, dynamic=False) if compiled else scorer

    def make(batch):
        def score(first, last):
            with torch.inference_mode():
                for at in range(first, last, batch):
                    x = images[at:at + batch].contiguous(memory_format=layout(options))
                    scorer(x, noise[at:at + batch])
        return score

    # compiling takes a minute for each batch
    batch, score = peer.best_batch(make, (100,) if compiled else peer.BATCHES)
    return f", batch {batch}", lambda: score(0, len(images))


def export(model, options):
    side = peer.SIDES[options.model]
    for batch in peer.BATCHES:
        example = torch.zeros(batch, 1, side, side, dtype=torch.uint8)
        torch.onnx.export(Scorer(model).eval(), (example, torch.zeros(batch, model.latents)),
                          os.path.join(options.onnx, f"{batch}.onnx"), dynamo=False,
                          input_names=["images", "noise"], output_names=["score"])


def main():
    options = peer.options(["eager", "channels-last", "compiled", "export"])
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    model = ConvVae() if options.model == "conv-vae" else MlpVae()
    model = model.to(memory_format=layout(options))
    if options.mode == "export":
        export(model, options)
        return
    if options.work == "step":
        batch, unit = "", training_step(model, options)
        for _ in range(5):
            unit()
    else:
        batch, unit = scoring(model, options)
    peer.serve("PyTorch " + torch.__version__ + batch, unit)


if __name__ == "__main__":
    main()
