"""What the peers' scripts share: the command line, the images, and the dialogue with bench/run.

A peer prepares itself (builds, compiles, warms up), prints one JSON line with its version, then
waits: for each line "N" on standard input it runs N units of work and prints one JSON line with
the milliseconds of each and its peak memory. So all peers stay ready and take turns within one
run. The work is that of `cupel bench step` and `cupel bench score`.
"""

import argparse
import gzip
import json
import resource
import sys
import time

import numpy as np

SIDES = {"conv-vae": 32, "mlp-vae": 28}
SCORED = 10000
BATCHES = (20, 50, 100, 250)  # of scoring: each divides SCORED; the fastest is taken


def options(modes):
    parser = argparse.ArgumentParser()
    parser.add_argument("work", choices=["step", "score"])
    parser.add_argument("model", choices=list(SIDES))
    parser.add_argument("mode", choices=modes)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", help="an IDX file of 28 x 28 images; without: noise")
    parser.add_argument("--onnx", help="the scoring network, BATCH.onnx in this folder")
    return parser.parse_args()


def noise(count, side):
    """Images of noise, uint8 [count, 1, side, side]: no two alike."""
    return np.random.default_rng(0).integers(0, 256, (count, 1, side, side), np.uint8)


def scored_images(path, side):
    """The 10,000 images to score, with the margin that the network's size asks for."""
    if path is None:
        return noise(SCORED, side)
    opened = gzip.open(path) if path.endswith(".gz") else open(path, "rb")
    with opened as file:
        data = np.frombuffer(file.read(), np.uint8)
    count, height, width = (int.from_bytes(data[4 * i:4 * i + 4], "big") for i in (1, 2, 3))
    images = data[16:].reshape(count, 1, height, width)[:SCORED]
    margin = (side - height) // 2
    return np.pad(images, ((0, 0), (0, 0), (margin, margin), (margin, margin)))


def latent_noise(count, latents=16):
    return np.random.default_rng(1).standard_normal((count, latents), np.float32)


def best_batch(make, batches=BATCHES):
    """make(batch) gives a function of (first, last) that scores those images; returns the batch
    that is fastest over a thousand images, and its function."""
    def time_of(score):
        score(0, 1000)
        start = time.perf_counter()
        score(0, 1000)
        return time.perf_counter() - start

    made = [(batch, make(batch)) for batch in batches]
    return min(made, key=lambda pair: time_of(pair[1]))


def serve(version, unit):
    """unit() does one unit of work: a step, or the scores of all images."""
    say({"version": version})
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            unit()
            times.append((time.perf_counter() - start) * 1e3)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        say({"ms": times, "peak_rss_mib": peak})


def say(values):
    print(json.dumps(values), flush=True)
