#!/usr/bin/python3
"""Features that PyTorch computes with exported weights, for tools/agreement.

    features.py tensor WEIGHTS INPUT.f32 COUNT OUT     of normalised pictures, float32 [COUNT, 3, side, side]
    features.py pictures WEIGHTS LIST COUNT OUT        of the files named in LIST, decoded and resized by PIL
    features.py boxes WEIGHTS LIST COUNT OUT           the same, but the centre square is resized in one step
    features.py resnet18 WEIGHTS INPUT.f32 COUNT OUT   of torchvision's resnet18 with random weights and statistics, which
                                                       it writes to WEIGHTS first

WEIGHTS is a safetensors file with its description WEIGHTS.json. Every output goes to OUT/NAME.f32: pooled, and layer_N as
`pretrain extract` counts layers. A state is loaded with strict=True. The transformer is written here from the paper
(Dosovitskiy et al. 2021), with timm's parameter names, since timm is not in Debian; torchvision's networks are its own.
"""
import json
import pathlib
import struct
import sys

import numpy as np
import torch
import torchvision
from PIL import Image, ImageOps
from torch import nn
from torch.nn import functional as F


class Attention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(x).chunk(3, -1))
        weights = (q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5).softmax(-1)
        return self.proj((weights @ v).transpose(1, 2).flatten(2))


class MLP(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    def __init__(self, width, heads, hidden):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        self.attn, self.mlp = Attention(width, heads), MLP(width, hidden)

    def forward(self, x):
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


class Patches(nn.Module):
    def __init__(self, patch, width):
        super().__init__()
        self.proj = nn.Conv2d(3, width, patch, patch)

    def forward(self, x):
        return self.proj(x).flatten(2).transpose(1, 2)


class Transformer(nn.Module):
    def __init__(self, side, patch, width, depth, heads, mlp_ratio, class_token, pooling, **_):
        super().__init__()
        self.pooling, self.prefix = pooling, int(class_token)
        self.patch_embed = Patches(patch, width)
        if class_token:
            self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, self.prefix + (side // patch) ** 2, width))
        self.blocks = nn.ModuleList(Block(width, heads, int(width * mlp_ratio)) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, x):
        x = self.patch_embed(x)
        if self.prefix:
            x = torch.cat([self.cls_token.expand(len(x), -1, -1), x], 1)
        x, layers = x + self.pos_embed, []
        for block in self.blocks:
            x = block(x)
            layers.append(x[:, self.prefix:].mean(1))
        x = self.norm(x)
        layers[-1] = x[:, 0] if self.pooling == "class" else x[:, self.prefix:].mean(1)
        return layers


class Stages(nn.Module):
    """torchvision's network, with the mean over each stage's map."""

    def __init__(self, name, stem):
        super().__init__()
        self.net = getattr(torchvision.models, name)()
        self.net.fc = nn.Identity()
        if stem == "small":
            self.net.conv1, self.net.maxpool = nn.Conv2d(3, 64, 3, padding=1, bias=False), nn.Identity()

    def load_state_dict(self, state, strict):
        return self.net.load_state_dict(state, strict)

    def forward(self, x):
        n, layers = self.net, []
        x = n.maxpool(n.relu(n.bn1(n.conv1(x))))
        for stage in (n.layer1, n.layer2, n.layer3, n.layer4):
            x = stage(x)
            layers.append(x.mean((2, 3)))
        return layers


TYPES = {"F32": "<f4", "I64": "<i8"}


def read(path):
    """The tensors of a safetensors file."""
    raw = path.read_bytes()
    start = 8 + struct.unpack("<Q", raw[:8])[0]
    header = json.loads(raw[8:start])
    header.pop("__metadata__", None)
    state = {}
    for name, entry in header.items():
        first, last = (start + offset for offset in entry["data_offsets"])
        values = np.frombuffer(raw[first:last], TYPES[entry["dtype"]]).reshape(entry["shape"])
        state[name] = torch.from_numpy(values.copy())
    return state


def write(path, state):
    """A safetensors file of a state."""
    header, data = {}, b""
    for name, value in state.items():
        raw = value.numpy().tobytes()
        kind = "I64" if value.dtype == torch.int64 else "F32"
        header[name] = {"dtype": kind, "shape": list(value.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + data)


def build(model):
    """The network that a description tells, with initial weights."""
    if model["family"] == "vit":
        return Transformer(model["input_side"], **model["parameters"])
    return Stages(model["name"], model["parameters"]["stem"])


def load(weights):
    """The network that the description tells, with the weights, and the description."""
    model = json.loads(pathlib.Path(f"{weights}.json").read_text())
    net = build(model)
    net.load_state_dict(read(weights), strict=True)
    return net.eval(), model


def random_resnet(weights):
    """torchvision's resnet18 with its own initial weights, and statistics and affine weights that are not trivial."""
    torch.manual_seed(7)
    net = Stages("resnet18", "standard")
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.running_mean, 0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.8, 1.2)
            nn.init.normal_(module.bias, 0, 0.1)
    whole = torchvision.models.resnet18()
    state = {**net.net.state_dict(), **{name: value for name, value in whole.state_dict().items() if name.startswith("fc.")}}
    write(weights, state)
    return net.eval()


def tensor(path, count):
    pixels = torch.from_numpy(np.fromfile(path, "<f4"))
    side = round((len(pixels) / 3 / count) ** 0.5)
    return pixels.reshape(count, 3, side, side)


def resized(image, size):
    """The short side becomes size, in whole pixels, and the centre square is cut out."""
    scale = size / min(image.size)
    image = image.resize([max(size, round(side * scale)) for side in image.size], Image.Resampling.BICUBIC)
    left, top = ((side - size) // 2 for side in image.size)
    return image.crop((left, top, left + size, top + size))


def boxed(image, size):
    """The centre square, wherever it lies between pixels, is resized to size."""
    side = min(image.size)
    left, top = ((n - side) / 2 for n in image.size)
    return image.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))


def picture(path, model, resize):
    """One picture as model.json says: short side to size, bicubic with antialiasing, centre square, mean and std."""
    how = model["input"]
    image = resize(ImageOps.exif_transpose(Image.open(path)).convert("RGB"), how["size"])
    x = torch.from_numpy(np.asarray(image, np.float32) / 255)
    return ((x - torch.tensor(how["mean"])) / torch.tensor(how["std"])).permute(2, 0, 1)


def main():
    mode, weights, source, count, out = sys.argv[1], *map(pathlib.Path, sys.argv[2:4]), int(sys.argv[4]), pathlib.Path(sys.argv[5])
    torch.set_num_threads(1)
    if mode == "resnet18":
        net, x = random_resnet(weights), tensor(source, count)
    else:
        net, model = load(weights)
        if mode == "tensor":
            x = tensor(source, count)
        else:
            resize = boxed if mode == "boxes" else resized
            x = torch.stack([picture(path, model, resize) for path in source.read_text().splitlines()])
    with torch.no_grad():
        parts = [net(part.float()) for part in x.split(64)]
    layers = [torch.cat(layer).numpy().astype("<f4") for layer in zip(*parts)]
    for i, layer in enumerate(layers):
        layer.tofile(out / f"layer_{i + 1}.f32")
    layers[-1].tofile(out / "pooled.f32")


if __name__ == "__main__":
    main()
