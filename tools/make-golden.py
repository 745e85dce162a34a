#!/usr/bin/env python3
"""Writes the golden states under tests/golden with PyTorch, in float64 on one thread.

    python3 -m venv peers && peers/bin/pip install torch numpy safetensors
    peers/bin/python tools/make-golden.py [ops] [optimizers] [networks] [drills]

Needed only to change what is compared: the files it writes are kept in the repository.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
sys.dont_write_bytecode = True

import torch  # noqa: E402

from golden import drills, formula, networks, ops, optimizers  # noqa: E402
from golden.store import Store  # noqa: E402


def main():
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    formula.check()
    parts = {"ops": ops, "optimizers": optimizers, "networks": networks, "drills": drills}
    unknown = [a for a in sys.argv[1:] if a not in parts]
    if unknown:
        sys.exit(f"make-golden.py: no part '{unknown[0]}' (parts: {', '.join(parts)})")
    for name in sys.argv[1:] or parts:
        store = Store()
        parts[name].make(store)
        store.write(name + ".safetensors")


main()
