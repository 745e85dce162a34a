#!/usr/bin/env python3
"""Writes the files that fuzzing starts from, below fuzz/corpus/: small ones that are right, and one
or two that are wrong in each way a parser has a sentence for. Python's standard library alone.

    fuzz/make-corpus.py

Inputs that a fuzzer found later lie beside them under names of their own (found-*) and stay.
"""
import gzip
import json
import pathlib
import struct
import zlib

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"


def keep(name, content):
    path = CORPUS / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)


def idx(kind, extents, values):
    return struct.pack(">HBB", 0, kind, len(extents)) + struct.pack(
        f">{len(extents)}I", *extents) + bytes(values)


def make_idx():
    labels = idx(8, [5], [0, 1, 2, 3, 255])
    keep("idx/labels", labels)
    keep("idx/images", idx(8, [2, 3, 4], range(24)))
    keep("idx/four-axes", idx(8, [1, 2, 1, 2], [1, 2, 3, 4]))
    keep("idx/labels.gz", gzip.compress(labels, mtime=0))
    keep("idx/two-members.gz", gzip.compress(labels[:6], mtime=0) + gzip.compress(labels[6:], mtime=0))
    keep("idx/floats", idx(0x0d, [1], struct.pack(">f", 1.5)))
    keep("idx/large-extents", idx(8, [0xffffffff, 0xffffffff], []))
    keep("idx/web-page", "<!DOCTYPE html><html></html>")


def gzip_member(content, level=9, flags=0, fields=b""):
    deflate = zlib.compressobj(level, zlib.DEFLATED, -15)
    body = deflate.compress(content) + deflate.flush()
    head = struct.pack("<BBBBIBB", 0x1f, 0x8b, 8, flags, 0, 0, 255) + fields
    if flags & 2:
        head += struct.pack("<H", zlib.crc32(head) & 0xffff)
    return head + body + struct.pack("<II", zlib.crc32(content), len(content))


def make_gzip():
    words = b"assay cupel assay cupel bone ash "
    member = gzip_member(words)
    keep("gzip/plain", words)
    keep("gzip/one", member)
    keep("gzip/stored", gzip_member(words, level=0))
    keep("gzip/two", member + gzip_member(b"more"))
    keep("gzip/empty-members", gzip_member(b"") * 3)
    keep("gzip/all-fields", gzip_member(words, flags=0x1e, fields=b"\x03\0abc" + b"name\0note\0"))
    keep("gzip/expands", gzip_member(bytes(40000)))
    keep("gzip/wrong-sum", member[:-8] + b"\0\0\0\0" + member[-4:])
    keep("gzip/wrong-length", member[:-4] + b"\xff\xff\xff\xff")
    keep("gzip/cut", member[:-3])
    keep("gzip/followed", member + b"\0\0")
    keep("gzip/dictionary-bit", member[:3] + b"\x20" + member[4:])


def safetensors(header, data=b""):
    text = header if isinstance(header, str) else json.dumps(header, separators=(",", ":"))
    text = text.encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + data


def entry(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def make_safetensors():
    keep("safetensors/empty", safetensors({}))
    keep("safetensors/two-tensors", safetensors(
        {"__metadata__": {"format": "pt", "step": "3"},
         "layer1.0.weight": entry("F32", [2, 3], 0, 24), "steps": entry("I64", [], 24, 32)},
        struct.pack("<6fq", 1, 2, 3, -4, 0.5, float("nan"), 7)))
    keep("safetensors/types", safetensors(
        {"a": entry("F64", [1], 0, 8), "b": entry("U64", [1], 8, 16), "c": entry("BF16", [2], 16, 20),
         "d": entry("I32", [1, 1], 20, 24), "e": entry("U8", [3], 24, 27)}, bytes(range(27))))
    keep("safetensors/escaped-name", safetensors(
        '{"w\\u00e4\\n":{"shape":[1],"dtype":"U8","data_offsets":[0,1]}}', b"\1"))
    keep("safetensors/half", safetensors({"w": entry("F16", [1], 0, 2)}, b"\0\0"))
    keep("safetensors/overlap", safetensors(
        {"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 2, 6)}, bytes(6)))
    keep("safetensors/gap", safetensors({"a": entry("U8", [2], 1, 3)}, bytes(3)))
    keep("safetensors/huge-shape", safetensors(
        {"a": entry("F32", [1 << 40, 1 << 40], 0, 4)}, bytes(4)))
    keep("safetensors/long-header", struct.pack("<Q", 1 << 60) + b"{}")


def make_recipe():
    keep("recipe/empty-mapping", "{}\n")
    keep("recipe/sections", """# comment
name: demo
seed: 7
model:
  name: conv-vae
  latent: 16
  filters: [32, 64]
data:
  normal_classes:
    - 1
    - 5
  set: "with space"
train: {epochs: 4, learning_rate: 5e-4, optimizer: adamw}
""")
    keep("recipe/quoted", "name: 'a.b'\ndata:\n  set: \"t\\u00e4b\\t \\\"x\\\" # no: comment\"\n")
    keep("recipe/block-text", "data:\n  set: |\n    two\n    lines\n")
    keep("recipe/unknown-key", "train:\n  epoch: 3\n")
    keep("recipe/anchors", "name: &a x\ndata:\n  set: *a\n")
    keep("recipe/numbers", "train:\n  epochs: 010\n  batch: 1_000\n  learning_rate: 0x1p-3\n")
    keep("recipe/twice", "seed: 1\nseed: 2\n")
    keep("recipe/two-documents", "seed: 1\n---\nseed: 2\n")
    keep("recipe/bom", b"\xef\xbb\xbfseed: 1\n")
    keep("recipe/utf-16", "seed: 1\n".encode("utf-16"))


def chunk(kind, content):
    body = kind + content
    return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))


def png(width, height, depth, colour, rows, interlaced=0, extra=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + extra +
            chunk(b"IDAT", zlib.compress(bytes(rows), 9)) + chunk(b"IEND", b""))


def make_png():
    keep("png/grey", png(3, 2, 8, 0, [0, 1, 2, 3, 1, 4, 5, 6]))
    keep("png/rgb", png(2, 2, 8, 2, [0, 1, 2, 3, 4, 5, 6, 2, 7, 8, 9, 10, 11, 12]))
    keep("png/rgba", png(2, 1, 8, 6, [0, 1, 2, 3, 255, 4, 5, 6, 0]))
    keep("png/grey-alpha-16", png(1, 2, 16, 4, [0, 1, 2, 3, 4, 3, 5, 6, 7, 8]))
    keep("png/bits", png(9, 2, 1, 0, [0, 0xaa, 0x80, 4, 0x55, 0]))
    keep("png/palette", png(4, 1, 2, 3, [0, 0b00011011],
                            extra=chunk(b"PLTE", bytes(range(12))) + chunk(b"tRNS", b"\0\x80")))
    # Seven passes; of 3 x 3 pixels six have any.
    keep("png/interlaced", png(3, 3, 8, 0, [0, 1, 0, 2, 0, 3, 4, 0, 5, 0, 6, 0, 7, 8, 9], 1))
    keep("png/large-header", png(32768, 8192, 8, 0, [0]))
    keep("png/short-data", png(3, 3, 8, 0, [0, 1, 2]))


def make_json():
    keep("json/nested", '{"a": [1, -2.5e3, {"b": null}], "c": {"d": true, "e": false}, "f": []}')
    keep("json/strings", r'["\"\\\/\b\f\n\r\t", "\u00e4\ud83d\ude00", "ä€"]')
    keep("json/numbers", "[0, -0, 1e-400, 9223372036854775807, -9223372036854775808, 1.5E+3]")
    keep("json/too-large", "[9223372036854775808, 1e999]")
    keep("json/deep", "[" * 65 + "]" * 65)
    keep("json/deep-enough", "[" * 64 + "]" * 64)
    keep("json/trailing-comma", '{"a": 1,}')
    keep("json/surrogate", r'"\ud83d"')
    keep("json/latin-1", b'"\xe4"')


def make_plan():
    head = ('{\n  "format": "cupel-plan-2",\n  "device": "reference",\n  "instruction_set": "",'
            '\n  "kernel_library": "",\n  "threads": 2,\n  "choices": [')
    choice = ('\n    {"program": "train", "node": "conv1", "op": "conv2d", "key": "0123456789abcdef", '
              '"layout": "plain", "kernel": "ref", "revision": 1}')
    keep("plan/empty", head + "]\n}\n")
    keep("plan/choices", head + choice + "," + choice.replace("conv1", "conv2") + "\n  ]\n}\n")
    keep("plan/unknown-kernel", head + choice.replace('"ref"', '"winograd"') + "]}")
    keep("plan/other-revision", head + choice.replace('": 1}', '": 2}') + "]}")
    keep("plan/huge-revision", head + choice.replace('": 1}', '": 4294967297}') + "]}")
    keep("plan/other-threads", head.replace('"threads": 2', '"threads": 3') + "]}")
    keep("plan/bad-key", head + choice.replace("0123456789abcdef", "0123") + "]}")
    keep("plan/unknown-layout", head + choice.replace('"plain"', '"nchw"') + "]}")
    keep("plan/no-key", head + choice.replace('"key": "0123456789abcdef", ', "") + "]}")
    keep("plan/field-twice", head.replace('"device"', '"device": "cpu",\n  "device"') + "]}")


make_idx()
make_gzip()
make_safetensors()
make_recipe()
make_png()
make_json()
make_plan()
