#!/usr/bin/env python3
"""Times one of the standard models in PyTorch on the CPU and writes one line of JSON; see main.go.

The models are those of `pretrain bench`: same layers, same batch, same number of views, AdamW for transformers and
SGD with momentum for residual networks, synthetic data in memory. Residual networks are channels-last, bf16 is autocast.
"""
import argparse
import json
import resource
import statistics
import time

import torch
from torch import nn
from torch.nn import functional as F

WARM_UP, LEAST, PATIENCE = 3, 5, 3  # steps, steps, times the seconds asked for


class SelfAttention(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x):
        views, tokens, width = x.shape
        q, k, v = self.qkv(x).view(views, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        if hasattr(F, "scaled_dot_product_attention"):  # from PyTorch 2 on
            mixed = F.scaled_dot_product_attention(q, k, v)
        else:
            scores = (q * (width // self.heads) ** -0.5) @ k.transpose(-1, -2)
            mixed = scores.softmax(-1) @ v
        return self.out(mixed.transpose(1, 2).reshape(views, tokens, width))


class Norm(nn.LayerNorm):
    """LayerNorm in float32, for what autocast left in bf16."""

    def forward(self, x):
        return super().forward(x.float())


class EncoderBlock(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.before_attention, self.attention = nn.LayerNorm(width, 1e-6), SelfAttention(width, heads)
        self.before_mlp = nn.LayerNorm(width, 1e-6)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x):
        x = x + self.attention(self.before_attention(x))
        return x + self.mlp(self.before_mlp(x))


class Transformer(nn.Module):
    """ViT: the class token first, final norm applied; with classes, their logits."""

    def __init__(self, side, patch, width, heads, classes=0, depth=12):
        super().__init__()
        self.width, self.patches = width, (side // patch) ** 2
        self.project = nn.Conv2d(3, width, patch, patch)
        self.token = nn.Parameter(torch.zeros(1, 1, width))
        self.positions = nn.Parameter(0.02 * torch.randn(1, 1 + self.patches, width))
        self.blocks = nn.Sequential(*(EncoderBlock(width, heads) for _ in range(depth)))
        self.norm = nn.LayerNorm(width, 1e-6)
        self.head = nn.Linear(width, classes) if classes else nn.Identity()

    def encode(self, pictures, with_positions=True):
        x = self.project(pictures).flatten(2).transpose(1, 2)
        x = torch.cat((self.token.expand(len(x), -1, -1), x), 1)
        if with_positions:
            x = x + self.positions
        return self.norm(self.blocks(x))

    def forward(self, pictures):
        return self.head(self.encode(pictures)[:, 0])


def convolution(inputs, outputs, size, stride=1, relu=True):
    layers = [nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Residual(nn.Module):
    def __init__(self, inputs, planes, stride, bottleneck):
        super().__init__()
        outputs = 4 * planes if bottleneck else planes
        if bottleneck:  # the stride is in the 3×3 convolution
            self.body = nn.Sequential(convolution(inputs, planes, 1), convolution(planes, planes, 3, stride),
                                      convolution(planes, outputs, 1, relu=False))
        else:
            self.body = nn.Sequential(convolution(inputs, planes, 3, stride), convolution(planes, planes, 3, relu=False))
        changes = stride > 1 or inputs != outputs
        self.shortcut = convolution(inputs, outputs, 1, stride, relu=False) if changes else nn.Identity()

    def forward(self, x):
        return F.relu(self.body(x) + self.shortcut(x), inplace=True)


class ResidualNetwork(nn.Module):
    def __init__(self, blocks, bottleneck, small_stem, classes):
        super().__init__()
        if small_stem:
            layers = [convolution(3, 64, 3)]
        else:
            layers = [convolution(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
        width = 64
        for stage, count in enumerate(blocks):
            planes = 64 << stage
            for block in range(count):
                layers.append(Residual(width, planes, 2 if stage > 0 and block == 0 else 1, bottleneck))
                width = 4 * planes if bottleneck else planes
        self.layers, self.head = nn.Sequential(*layers), nn.Linear(width, classes)

    def forward(self, x):
        return self.head(self.layers(x).mean((2, 3)))


class PretextTasks(nn.Module):
    """Four tasks on one ViT-Tiny/4: five views a picture, those with positions in one pass through the trunk."""

    bins = 260  # of colours, as in pretrain

    def __init__(self):
        super().__init__()
        self.trunk = trunk = Transformer(32, 4, 192, 3)
        width = trunk.width
        self.rotation = nn.Linear(width, 4)
        self.direction = nn.Sequential(nn.Linear(2 * width, width), nn.GELU(), nn.Linear(width, 8))
        self.location = nn.Sequential(nn.Linear(width, width), Norm(width), nn.Linear(width, trunk.patches))
        self.colour = nn.Sequential(nn.Linear(width, 128), nn.GELU(), nn.Linear(128, self.bins))

    def data(self, batch):
        views, tokens = torch.randn(4 * batch, 3, 32, 32), self.trunk.patches
        labels = (torch.randint(4, (batch,)), torch.randint(8, (batch,)), torch.randint(tokens, (batch * tokens,)),
                  torch.randint(self.bins, (batch * tokens,)))
        return (views, torch.randn(batch, 3, 32, 32)) + labels

    def loss(self, views, shuffled, turn, direction, location, colour):
        turned, centre, neighbour, grey = self.trunk.encode(views).chunk(4)
        placeless = self.trunk.encode(shuffled, with_positions=False)
        pair = torch.cat((centre[:, 0], neighbour[:, 0]), 1)
        return (cross_entropy(self.rotation(turned[:, 0]), turn) + 0.5 * cross_entropy(self.direction(pair), direction)
                + 0.5 * cross_entropy(self.location(placeless[:, 1:]).flatten(0, 1), location)
                + 0.25 * cross_entropy(self.colour(grey[:, 1:]).flatten(0, 1), colour))


def cross_entropy(logits, labels):
    return F.cross_entropy(logits.float(), labels)


# name: network, side, batch, classes
MODELS = {
    "vit_t4_32": (lambda: Transformer(32, 4, 192, 3, 10), 32, 128, 10),
    "vit_t16_96": (lambda: Transformer(96, 16, 192, 3, 10), 96, 64, 10),
    "vit_s16_224": (lambda: Transformer(224, 16, 384, 6, 1000), 224, 16, 1000),
    "resnet18_c": (lambda: ResidualNetwork((2, 2, 2, 2), False, True, 10), 32, 128, 10),
    "resnet50": (lambda: ResidualNetwork((3, 4, 6, 3), True, False, 1000), 224, 16, 1000),
    "pretext": (PretextTasks, 32, 64, 0),
}


def optimizer_of(model):
    if any(isinstance(m, nn.BatchNorm2d) for m in model.modules()):
        return torch.optim.SGD(model.parameters(), 1e-3, momentum=0.9, weight_decay=5e-4)
    return torch.optim.AdamW(model.parameters(), 1e-4, weight_decay=0.05)


def training(model, inputs, autocast):
    optimizer = optimizer_of(model.train())
    loss_of = model.loss if hasattr(model, "loss") else lambda x, y: cross_entropy(model(x), y)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with autocast():
            loss = loss_of(*inputs)
        loss.backward()
        optimizer.step()
        return loss
    return step


def features(model, inputs, autocast, freeze):
    pictures = inputs[0]
    model.head = nn.Identity()
    model.eval()
    with torch.no_grad(), autocast():
        network = torch.jit.freeze(torch.jit.trace(model, pictures, check_trace=False)) if freeze else model

    def step():
        with torch.no_grad(), autocast():
            return network(pictures)
    return step


def build(a):
    make, side, batch, classes = MODELS[a.model]
    model, batch = make(), a.batch or batch
    inputs = model.data(batch) if hasattr(model, "data") else (torch.randn(batch, 3, side, side), torch.randint(classes, (batch,)))
    if isinstance(model, ResidualNetwork):
        model = model.to(memory_format=torch.channels_last)
        inputs = (inputs[0].contiguous(memory_format=torch.channels_last), inputs[1])

    def autocast():
        # A cache of cast weights cannot be traced.
        return torch.autocast("cpu", dtype=torch.bfloat16, enabled=a.precision == "bf16", cache_enabled=not a.freeze)
    step = training(model, inputs, autocast) if a.mode == "train" else features(model, inputs, autocast, a.freeze)
    return step, batch


def clock():
    """Returns the time, the seconds that all processes kept cores busy, and those of this one."""
    with open("/proc/stat") as f:
        user, nice, system, _, _, irq, softirq, steal = (int(v) / 100 for v in f.readline().split()[1:9])
    own = resource.getrusage(resource.RUSAGE_SELF)
    return time.perf_counter(), user + nice + system + irq + softirq + steal, own.ru_utime + own.ru_stime


def spent(before, after):
    wall, busy, own = (b - a for a, b in zip(before, after))
    return wall, max(0, busy - own)


def measure(step, seconds):
    for _ in range(WARM_UP):
        step()
    start, times, clean = clock(), [], []
    while True:
        before = clock()
        step()
        wall, others = spent(before, clock())
        times.append(wall)
        if others < 0.06 * wall + 0.02:
            clean.append(wall)
        whole, all_others = spent(start, clock())
        if len(times) >= LEAST and (whole > seconds and len(clean) >= LEAST or whole > PATIENCE * seconds):
            break
    enough = len(clean) >= 3
    return statistics.median(clean if enough else times), not enough or all_others / whole > 0.1


def peak_memory():
    """Returns VmHWM: what getrusage tells is inherited from the process that started this one."""
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("VmHWM:")) * 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("--mode", choices=("train", "features"), default="train")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--freeze", action="store_true", help="features: trace the network and fold what is constant")
    a = parser.parse_args()
    if a.threads:
        torch.set_num_threads(a.threads)
    torch.manual_seed(0)
    step, batch = build(a)
    seconds, disturbed = measure(step, a.seconds)
    print(json.dumps({
        "model": a.model, "mode": a.mode, "precision": a.precision, "batch": batch, "images_per_second": batch / seconds,
        "step_seconds": seconds, "disturbed": disturbed, "peak_rss_bytes": peak_memory(), "torch": torch.__version__,
    }))


if __name__ == "__main__":
    main()
