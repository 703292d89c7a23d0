"""Resizes position embeddings and patch kernels with PyTorch, as timm does, and prints them as JSON.

The numbers are those of the function `numbers` in tools/torchreference/reference.py and golden_test.go.
"""
import json
import math
import sys
import zlib

import numpy as np
import torch
from torch.nn.functional import interpolate


def numbers(name, *shape):
    h = np.arange(math.prod(shape), dtype=np.uint32) * np.uint32(2654435761) ^ np.uint32(zlib.crc32(name.encode()))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    h ^= h >> np.uint32(16)
    return torch.from_numpy((h.astype(np.float64) / 2**31 - 1).astype(np.float32)).double().reshape(shape)


def resize(x, side):
    return interpolate(x, size=(side, side), mode="bicubic", antialias=True)


def positions(old, new, prefix, width):
    table = numbers("pos_embed", 1, prefix + old * old, width)
    grid = table[:, prefix:].reshape(1, old, old, width).permute(0, 3, 1, 2)
    return torch.cat([table[:, :prefix], resize(grid, new).permute(0, 2, 3, 1).reshape(1, new * new, width)], 1)


def kernels(old, new, width):
    weights = numbers("patch_embed.proj.weight", width, 3, old, old)
    basis = torch.eye(old * old, dtype=torch.float64).reshape(old * old, 1, old, old)
    matrix = resize(basis, new).reshape(old * old, new * new).T
    return (weights.reshape(width, 3, -1) @ torch.linalg.pinv(matrix, rtol=2**-23 * max(matrix.shape))).reshape(width, 3, new, new)


cases = []
for argument in sys.argv[1:]:
    old, new, prefix, width = map(int, argument.split(","))
    cases.append({"positions": positions(old, new, prefix, width).flatten().tolist(), "kernels": kernels(old, new, width).flatten().tolist()})
print(json.dumps(cases))
