#!/usr/bin/python3
"""Computes the values that package backbone is tested against, with PyTorch and torchvision.

    apt-get install python3-torch python3-torchvision
    /usr/bin/python3 tools/torchreference/reference.py backbone/testdata

Each network is torchvision's own code, made small. It computes in float64, so that what the test sees is the error of
one side only; the error of PyTorch's float32 is printed for comparison. Weights, pictures and labels are not stored:
both sides compute them from names by the function `numbers`. A file holds, as float32 safetensors,

    layer.N                   features of the first view in the training graph, rows (y, x) × channels
    class, pooled             features of all views
    inference.pooled          of the evaluation graph (running statistics of batch normalisation)
    resized                   first layer for a larger view, through interpolated positions
    loss, losses              the cross-entropy, and that of ten steps of SGD with momentum on the same batch
    rate                      of these steps
    norm.NAME, projection.NAME  of each gradient: its length, and its product with numbers("projection." + NAME)
    gradient.NAME             whole, for the first and last parameters; convolutions as [out, in, height, width]

and the lists of torchvision's parameter names and shapes go to *.keys.
"""
import argparse
import json
import math
import pathlib
import re
import struct
import zlib

import numpy as np
import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torchvision.models import resnet as tv
from torchvision.models.vision_transformer import VisionTransformer

CLASSES = 5
MOMENTUM, STEPS = 0.9, 10


def numbers(name, count):
    """count numbers in [-1, 1) that depend on the name alone: the finaliser of MurmurHash3 over CRC-32 and index."""
    h = np.arange(count, dtype=np.uint32) * np.uint32(2654435761) ^ np.uint32(zlib.crc32(name.encode()))
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    h ^= h >> np.uint32(16)
    return h.astype(np.float64) / 2**31 - 1


def initial(name, shape):
    """A parameter's value: weights of unit gain, scales and variances near 1, everything else near 0."""
    x = numbers(name, math.prod(shape))
    if len(shape) == 1:
        near_one = name.endswith((".weight", ".running_var"))
        x = 1 + 0.25 * x if near_one else 0.25 * x
    elif shape[0] == 1:
        x = 0.5 * x
    else:
        x = math.sqrt(3 * shape[0] / math.prod(shape)) * x
    if name.endswith("bn3.weight"):
        x = 0.25 * x  # tames the gradients of a deep and very narrow network
    return torch.from_numpy(x.astype(np.float32)).reshape(shape)


def pictures(name, views, side):
    x = numbers(name, views * side * side * 3).astype(np.float32).reshape(views, side, side, 3)
    return torch.from_numpy(2 * x).permute(0, 3, 1, 2)


def rows(x):
    """[views, channels, height, width] as [views·height·width, channels]."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1])


class Head(nn.Linear):
    """Classifies what Features offers: pooled and, where there is one, the class token."""

    def forward(self, features):
        return super().forward(torch.cat([features[k] for k in ("pooled", "class") if k in features], 1))


class ViT(nn.Module):
    """torchvision's ViT under timm's names, with features of every block. torchvision normalises after the blocks."""

    NAMES = (
        (r"^class_token$", "cls_token"), (r"^conv_proj", "patch_embed.proj"), (r"^encoder\.pos_embedding$", "pos_embed"),
        (r"^encoder\.ln\.", "norm."), (r"^encoder\.layers\.encoder_layer_(\d+)\.", r"blocks.\1."),
        (r"\.ln_([12])\.", r".norm\1."), (r"self_attention\.in_proj_", "attn.qkv."),
        (r"self_attention\.out_proj", "attn.proj"), (r"\.mlp\.(linear_1|0)\.", ".mlp.fc1."), (r"\.mlp\.(linear_2|3)\.", ".mlp.fc2."),
    )

    def __init__(self, side, patch, width, depth, heads):
        super().__init__()
        self.net = VisionTransformer(side, patch, depth, heads, width, 4 * width)
        del self.net.heads
        self.head = Head(2 * width, CLASSES)
        self.patch = patch

    def forward(self, x):
        net, views = self.net, x.shape[0]
        tokens = net.conv_proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([net.class_token.expand(views, -1, -1), tokens], 1) + self.positions(x.shape[-1] // self.patch)
        layers = []
        for block in net.encoder.layers:
            x = block(x)
            layers.append(x)
        layers[-1] = net.encoder.ln(x)
        features = {f"layer.{i + 1}": layer[:, 1:].flatten(0, 1) for i, layer in enumerate(layers)}
        features["class"] = layers[-1][:, 0]
        features["pooled"] = layers[-1][:, 1:].mean(1)
        return features

    def positions(self, grid):
        table = self.net.encoder.pos_embedding
        stored = math.isqrt(table.shape[1] - 1)
        if grid == stored:
            return table
        patches = table[:, 1:].reshape(1, stored, stored, -1).permute(0, 3, 1, 2)
        patches = F.interpolate(patches, (grid, grid), mode="bicubic", align_corners=False)
        return torch.cat([table[:, :1], patches.flatten(2).transpose(1, 2)], 1)

    @classmethod
    def public(cls, name):
        name = name.removeprefix("net.")
        for pattern, replacement in cls.NAMES:
            name = re.sub(pattern, replacement, name)
        return name


class ResNet(tv.ResNet):
    """torchvision's ResNet of another width, with the small stem if asked, and features of every stage."""

    def __init__(self, block, blocks, width, small):
        nn.Module.__init__(self)
        self._norm_layer, self.inplanes, self.dilation, self.groups, self.base_width = nn.BatchNorm2d, width, 1, 1, 64
        self.conv1 = nn.Conv2d(3, width, 3, 1, 1, bias=False) if small else nn.Conv2d(3, width, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(3, 2, 1)
        for i, count in enumerate(blocks):
            setattr(self, f"layer{i + 1}", self._make_layer(block, width << i, count, stride=1 if i == 0 else 2))
        self.head = Head((width << 3) * block.expansion, CLASSES)

    def forward(self, x):
        x = self.maxpool(F.relu(self.bn1(self.conv1(x))))
        features = {}
        for i in range(4):
            x = getattr(self, f"layer{i + 1}")(x)
            features[f"layer.{i + 1}"] = rows(x)
        features["pooled"] = x.mean((2, 3))
        return features

    @staticmethod
    def public(name):
        return name


def grouped(net, x, groups):
    """Applies net to each group of views on its own, so that each has its own batch statistics."""
    parts = [net(part) for part in x.split(groups)]
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def prepared(make, dtype):
    net = make().to(dtype)
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if not name.endswith("num_batches_tracked"):
                value.copy_(initial(net.public(name), value.shape))
    return net


def measure(make, views, side, groups, rate, dtype, resized=0):
    """All the reference values of one network."""
    net = prepared(make, dtype)
    x, labels = pictures("images", views, side).to(dtype), torch.arange(views) % CLASSES
    values = {}
    net.eval()
    with torch.no_grad():
        values["inference.pooled"] = net(x)["pooled"]
        if resized:
            values["resized"] = net(pictures("resized", 1, resized).to(dtype))["layer.1"]
    net.train()
    optimizer, losses = torch.optim.SGD(net.parameters(), lr=rate, momentum=MOMENTUM), []
    for step in range(STEPS):
        optimizer.zero_grad()
        features = grouped(net, x, groups)
        loss = F.cross_entropy(net.head(features), labels)
        loss.backward()
        if step == 0:
            values.update(stored(features, views), loss=loss.reshape(1), **gradients(net))
        losses.append(loss.item())
        optimizer.step()
    values["losses"], values["rate"] = torch.tensor(losses), torch.tensor([rate])
    return {name: value.detach().double().numpy() for name, value in values.items()}


def stored(features, views):
    """The features without the maps of all but the first view, to keep the files small."""
    return {k: v[: len(v) // views] if k.startswith("layer.") else v for k, v in features.items()}


def gradients(net):
    """Length and projection of every gradient, and the outermost ones whole."""
    values, parameters = {}, [(net.public(name), p) for name, p in net.named_parameters()]
    for i, (name, p) in enumerate(parameters):
        values["norm." + name] = p.grad.norm().reshape(1)
        direction = torch.from_numpy(numbers("projection." + name, p.numel())).to(p.dtype)
        values["projection." + name] = (p.grad.flatten() @ direction).reshape(1)
        if i < 3 or i >= len(parameters) - 2:
            values["gradient." + name] = p.grad.clone()
    return values


NETWORKS = {
    "vit": (lambda: ViT(16, 4, 32, 2, 2), dict(views=3, side=16, groups=[3], rate=0.02, resized=24)),
    "resnet18": (lambda: ResNet(tv.BasicBlock, [2, 2, 2, 2], 8, False), dict(views=4, side=64, groups=[4], rate=0.01)),
    "resnet18_small": (lambda: ResNet(tv.BasicBlock, [2, 2, 2, 2], 8, True), dict(views=5, side=16, groups=[2, 3], rate=0.01)),
    "resnet50_small": (lambda: ResNet(tv.Bottleneck, [3, 4, 6, 3], 4, True), dict(views=5, side=24, groups=[5], rate=0.0005)),
}


def write(path, values):
    """A safetensors file of float32."""
    header, data = {"__metadata__": {"torch": torch.__version__, "torchvision": torchvision.__version__}}, b""
    for name in sorted(values):
        raw = values[name].astype("<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": values[name].shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def write_keys(path, net):
    state = {k: v for k, v in net.state_dict().items() if not k.startswith("fc.") and not k.endswith("num_batches_tracked")}
    lines = [f"# state_dict of torchvision {torchvision.__version__}, without fc and num_batches_tracked"]
    lines += [f"{name} {'x'.join(map(str, value.shape))}" for name, value in state.items()]
    path.write_text("\n".join(lines) + "\n")


def deviation(exact, single):
    return max(np.abs(exact[k] - single[k]).max() / max(1, np.abs(exact[k]).max()) for k in exact)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path, help="where the files go")
    folder = parser.parse_args().folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name, (make, options) in NETWORKS.items():
        values = measure(make, dtype=torch.float64, **options)
        write(folder / f"{name}.safetensors", values)
        print(f"{name}: losses {values['losses'].round(4)}, float32 is off by {deviation(values, measure(make, dtype=torch.float32, **options)):.1e}")
    for name in ("resnet18", "resnet34", "resnet50"):
        write_keys(folder / f"{name}.keys", getattr(tv, name)())


if __name__ == "__main__":
    main()
