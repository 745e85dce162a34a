#!/usr/bin/env python3
"""Makes the sample of Fashion-MNIST that the demo trains on.

usage: tools/make-sample.py FASHION_MNIST_FOLDER OUT_FOLDER

Takes the first images, in file order, of each wanted class: from the official training split only the
normal classes (trouser, sandal, sneaker, bag, ankle boot), from the official test split normal and
other garments. The counts keep the four files below 2 MB together. Standard library only; the same
input gives the same bytes.
"""
import gzip
import os
import struct
import sys

NORMAL = [1, 5, 7, 8, 9]
OTHER = [0, 2, 3, 4, 6]
NAMES = ["T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
         "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"]
PLAN = [  # split, prefix of the official files, {class: images}
    ("train", "train", {c: 800 for c in NORMAL}),
    ("test", "t10k", {**{c: 100 for c in NORMAL}, **{c: 100 for c in OTHER}}),
]


def read_idx(path):
    with gzip.open(path, "rb") as file:
        data = file.read()
    rank = data[3]
    dims = struct.unpack(">" + "I" * rank, data[4:4 + 4 * rank])
    return dims, data[4 + 4 * rank:]


def write_idx(path, dims, values):
    header = bytes([0, 0, 8, len(dims)]) + struct.pack(">" + "I" * len(dims), *dims)
    with open(path, "wb") as file:
        # No name and no time stamp inside, so that the bytes depend on the data alone.
        with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=file, mtime=0) as packed:
            packed.write(header + values)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    source, target = sys.argv[1:]
    os.makedirs(target, exist_ok=True)
    total = 0
    for split, prefix, wanted in PLAN:
        (count, height, width), pixels = read_idx(
            os.path.join(source, prefix + "-images-idx3-ubyte.gz"))
        _, labels = read_idx(os.path.join(source, prefix + "-labels-idx1-ubyte.gz"))
        left = dict(wanted)
        kept = []
        for i in range(count):
            if left.get(labels[i], 0) > 0:
                left[labels[i]] -= 1
                kept.append(i)
        size = height * width
        images_path = os.path.join(target, prefix + "-images-idx3-ubyte.gz")
        labels_path = os.path.join(target, prefix + "-labels-idx1-ubyte.gz")
        write_idx(images_path, (len(kept), height, width),
                  b"".join(pixels[i * size:(i + 1) * size] for i in kept))
        write_idx(labels_path, (len(kept),), bytes(labels[i] for i in kept))
        bytes_written = os.path.getsize(images_path) + os.path.getsize(labels_path)
        total += bytes_written
        print(f"{split}: {len(kept)} images, {bytes_written} bytes")
    with open(os.path.join(target, "classes.txt"), "w", encoding="utf-8") as file:
        file.write("\n".join(NAMES) + "\n")
    print(f"together {total} bytes")


if __name__ == "__main__":
    main()
