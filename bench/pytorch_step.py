"""One training step of cupel's benchmark models in PyTorch, eager mode.

Prints one JSON line with the keys of `cupel bench step --json`: median_ms, min_ms, images_per_s,
peak_rss_mib. The models are those of include/cupel/models.h.
"""

import argparse
import json
import resource
import statistics
import time

import torch
from torch import nn


class ConvVae(nn.Module):
    """The convolutional VAE: 3x3 unpadded convolutions 32/64/128 and their mirror image."""

    def __init__(self, latents=16):
        super().__init__()
        features = 128 * 26 * 26
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

    def forward(self, x):
        h = self.encoder(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        h = torch.relu(self.dense(z)).view(-1, 128, 26, 26)
        y = self.decoder(h)
        error = ((x - y) ** 2).sum(dim=(1, 2, 3))
        return error, kl(mean, log_variance)


class MlpVae(nn.Module):
    """784-100-5 and back, Bernoulli cross-entropy."""

    def __init__(self, pixels=784, hidden=100, latents=5):
        super().__init__()
        self.hidden = nn.Linear(pixels, hidden)
        self.mean = nn.Linear(hidden, latents)
        self.log_variance = nn.Linear(hidden, latents)
        self.dense = nn.Linear(latents, hidden)
        self.out = nn.Linear(hidden, pixels)

    def forward(self, x):
        x = x.flatten(1)
        h = torch.relu(self.hidden(x))
        mean, log_variance = self.mean(h), self.log_variance(h)
        z = mean + torch.exp(log_variance / 2) * torch.randn_like(mean)
        logits = self.out(torch.relu(self.dense(z)))
        error = nn.functional.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(1)
        return error, kl(mean, log_variance)


def kl(mean, log_variance):
    return 0.5 * (mean ** 2 + torch.exp(log_variance) - 1 - log_variance).sum(1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=["conv-vae", "mlp-vae"])
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--warmup", type=int, default=3)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    side = 32 if options.model == "conv-vae" else 28
    model = ConvVae() if options.model == "conv-vae" else MlpVae()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    images = torch.rand(4 * options.batch, 1, side, side)
    sums = torch.zeros(3)
    times = []
    for step in range(options.warmup + options.steps):
        start = time.perf_counter()
        at = step % 4 * options.batch
        batch = images[at:at + options.batch].clone()
        optimizer.zero_grad(set_to_none=True)
        error, divergence = model(batch)
        loss = (error + divergence).mean()
        if not torch.isfinite(loss):
            raise SystemExit("the loss is not finite")
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            sums += torch.stack([loss, error.sum(), divergence.sum()])
        if step >= options.warmup:
            times.append((time.perf_counter() - start) * 1e3)
    median = statistics.median(times)
    print(json.dumps({
        "median_ms": median,
        "min_ms": min(times),
        "images_per_s": options.batch / median * 1e3,
        "peak_rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "version": torch.__version__,
    }))


if __name__ == "__main__":
    main()
