"""What the golden files are made with: a dictionary of arrays, written as safetensors."""
import os

import numpy as np
import torch
from safetensors.numpy import save_file

from golden import formula

FOLDER = os.path.join(os.path.dirname(__file__), "..", "..", "tests", "golden")


def array(value):
    """A plain numpy array of f64, i64, i32, u64 or u8."""
    if isinstance(value, torch.Tensor):
        value = value.detach().numpy()
    value = np.ascontiguousarray(value)
    if value.dtype in (np.float32, np.float16):
        value = value.astype(np.float64)
    return value


class Store:
    def __init__(self):
        self.arrays = {}

    def add(self, name, value):
        assert name not in self.arrays, name
        value = array(value)
        assert value.dtype in (np.float64, np.int64, np.int32, np.uint64, np.uint8), value.dtype
        assert value.dtype != np.float64 or not np.isnan(value).any(), name
        # Each array on its own memory and with at least one axis, as the file format wants it.
        self.arrays[name] = value.copy().reshape(value.shape or (1,))

    def add_summary(self, name, value):
        """A large array as its sum, its sum of absolute values, and 64 of its elements."""
        flat = array(value).reshape(-1)
        self.add(name + "/sums", np.array([flat.sum(), np.abs(flat).sum()]))
        self.add(name + "/samples", flat[formula.sample_index(name, flat.size)])

    def write(self, file_name):
        path = os.path.join(FOLDER, file_name)
        os.makedirs(FOLDER, exist_ok=True)
        save_file(self.arrays, path, {"made_by": "tools/make-golden.py",
                                      "torch": torch.__version__.split("+")[0]})
        print(f"{file_name}: {len(self.arrays)} arrays, {os.path.getsize(path)} bytes")
