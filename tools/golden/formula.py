"""Numbers that C and Python both make from a formula, so that they need not be stored.

The hashes are those of src/base/hash.c, the random draws those of src/base/rng.h; tests/support/golden.c
has the C side of parameter(), uniform() and sample_index().
"""
import numpy as np

U64 = np.uint64
MASK = (1 << 64) - 1


def mix64(x):
    """The splitmix64 finaliser, on an array of u64."""
    x = np.asarray(x, dtype=U64)
    x = x ^ (x >> U64(30))
    x = x * U64(0xBF58476D1CE4E5B9)
    x = x ^ (x >> U64(27))
    x = x * U64(0x94D049BB133111EB)
    return x ^ (x >> U64(31))


def hash_string(text):
    """FNV-1a over the bytes, then mix64."""
    state = 0xCBF29CE484222325
    for byte in text.encode():
        state = ((state ^ byte) * 0x100000001B3) & MASK
    return int(mix64(state))


def hash_combine(a, b):
    """Of a number and an array (or a number)."""
    first = mix64((int(a) + 0x9E3779B97F4A7C15) & MASK)
    return mix64(first + np.asarray(b, dtype=U64))


def uniform(name, shape):
    """Element i is the top 53 bits of hash_combine(hash_string(name), i) times 2^-53, as float."""
    count = int(np.prod(shape, dtype=np.int64))
    with np.errstate(over="ignore"):
        bits = hash_combine(hash_string(name), np.arange(count, dtype=U64))
    u = (bits >> U64(11)).astype(np.float64) * 2.0**-53
    return u.astype(np.float32).astype(np.float64).reshape(shape)


def parameter(name, shape):
    """The initial value of a parameter in the golden networks: a function of its name and shape.

    rank >= 2:           (2u - 1) * 1.5 / sqrt(count / dims[0])
    rank 1, "*.weight":  1 + 0.2 (2u - 1)      (scales of a batch norm)
    rank 1, others:      0.1 (2u - 1)
    each rounded to float, so that f32 and f64 programs start from the same numbers.
    """
    signed = 2.0 * uniform(name, shape) - 1.0
    if len(shape) >= 2:
        fan = int(np.prod(shape[1:], dtype=np.int64))
        value = signed * (1.5 / np.sqrt(float(fan)))
    elif name.endswith(".weight"):
        value = 1.0 + 0.2 * signed
    else:
        value = 0.1 * signed
    return value.astype(np.float32).astype(np.float64)


SAMPLES = 64


def sample_index(name, count):
    """64 places in a flattened array of `count` elements: hash_combine(hash(name), k) mod count."""
    with np.errstate(over="ignore"):
        bits = hash_combine(hash_string(name), np.arange(SAMPLES, dtype=U64))
    return (bits % U64(count)).astype(np.int64)


def philox(key, row, step, block):
    """Philox4x32-10 (Salmon et al. 2011); row, block: arrays of one shape. Returns [..., 4] u32."""
    row = np.asarray(row, dtype=U64)
    block = np.asarray(block, dtype=U64)
    low = U64(0xFFFFFFFF)
    shift = U64(32)
    c = [row & low, row >> shift, np.full_like(row, step & 0xFFFFFFFF), block & low]
    k0, k1 = key & 0xFFFFFFFF, key >> 32
    for _ in range(10):
        p0 = U64(0xD2511F53) * c[0]
        p1 = U64(0xCD9E8D57) * c[2]
        c = [(p1 >> shift) ^ c[1] ^ U64(k0), p1 & low, (p0 >> shift) ^ c[3] ^ U64(k1), p0 & low]
        k0 = (k0 + 0x9E3779B9) & 0xFFFFFFFF
        k1 = (k1 + 0xBB67AE85) & 0xFFFFFFFF
    return np.stack(c, axis=-1).astype(np.uint32)


def draws(seed, name, step, rows, shape):
    """Blocks for samples of `shape` (shape[0] == len(rows)): [N, ceil(elements / 4), 4] u32."""
    elements = int(np.prod(shape[1:], dtype=np.int64))
    blocks = (elements + 3) // 4
    with np.errstate(over="ignore"):
        key = int(hash_combine(seed, hash_string(name)))
        row = np.repeat(np.asarray(rows, dtype=U64)[:, None], blocks, axis=1)
        block = np.tile(np.arange(blocks, dtype=U64)[None, :], (len(rows), 1))
        return philox(key, row, step, block), elements


def sample_uniform(seed, name, step, rows, shape):
    bits, elements = draws(seed, name, step, rows, shape)
    u = ((bits >> 9).astype(np.float64) + 0.5) * 2.0**-23
    return u.reshape(len(rows), -1)[:, :elements].reshape(shape)


def sample_normal(seed, name, step, rows, shape):
    """Box-Muller on the pairs (u0, u1) and (u2, u3) of each block."""
    bits, elements = draws(seed, name, step, rows, shape)
    u = ((bits >> 9).astype(np.float64) + 0.5) * 2.0**-23
    radius = np.sqrt(-2.0 * np.log(u[..., 0::2]))
    angle = 2.0 * np.pi * u[..., 1::2]
    z = np.empty_like(u)
    z[..., 0::2] = radius * np.cos(angle)
    z[..., 1::2] = radius * np.sin(angle)
    return z.reshape(len(rows), -1)[:, :elements].reshape(shape)


def dropout_mask(seed, name, step, rows, shape, p):
    """1 / (1 - p) where the uniform is at least p, else 0."""
    u = sample_uniform(seed, name, step, rows, shape)
    return np.where(u >= p, 1.0 / (1.0 - p), 0.0)


def check():
    """Known answers of Random123 (kat_vectors) and of src/base/hash.c's constants."""
    zero = philox(0, np.zeros(1, U64), 0, np.zeros(1, U64))[0]
    assert [hex(w) for w in zero] == ["0x6627e8d5", "0xe169c58d", "0xbc57ac4c", "0x9b00dbd8"]
    ones = philox(MASK, np.full(1, MASK, U64), 0xFFFFFFFF, np.full(1, 0xFFFFFFFF, U64))[0]
    assert [hex(w) for w in ones] == ["0x408f276d", "0x41c83b0e", "0xa20bc7c6", "0x6d5451fd"]
