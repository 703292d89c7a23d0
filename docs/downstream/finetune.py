#!/usr/bin/python3
"""finetune.py WEIGHTS TRAIN TEST: trains an exported network further, with PyTorch, on a few labelled pictures a class.

WEIGHTS is a safetensors file of `pretrain export --format timm` or torchvision. The same training from random weights tells
what the pretraining was worth. The network under timm's names and the reading of files are those of tools/agreement.
"""
import pathlib
import sys

import torch
from torch import nn
from torch.nn import functional as F

sys.path.append(str(pathlib.Path(__file__).parents[2] / "tools/agreement"))
from features import build, load, picture, resized  # noqa: E402


A_CLASS, EPOCHS, BATCH = 20, 10, 32


def pictures(root, model, most=None):
    """Pictures [n, 3, side, side] of a folder a class, prepared as the description says, and the numbers of the classes."""
    pixels, labels = [], []
    for label, folder in enumerate(sorted(path for path in root.iterdir() if path.is_dir())):
        paths = sorted(folder.glob("*.jpg"))[:most]
        pixels += [picture(path, model, resized) for path in paths]
        labels += [label] * len(paths)
    return torch.stack(pixels), torch.tensor(labels)


def finetune(net, dim, pixels, labels):
    """Trains the network and a linear classifier on its last layer; returns both as one function."""
    torch.manual_seed(1)
    head = nn.Linear(dim, int(labels.max()) + 1)
    optimizer = torch.optim.AdamW([{"params": net.parameters(), "lr": 3e-4}, {"params": head.parameters(), "lr": 1e-3}])
    net.train()
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(labels)).split(BATCH):
            loss = F.cross_entropy(head(net(pixels[batch])[-1]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    net.eval()
    return lambda pixels: head(net(pixels)[-1])


def main():
    weights, train, test = map(pathlib.Path, sys.argv[1:])
    torch.manual_seed(1)  # of random weights and of the order of pictures
    pretrained, model = load(weights)
    print(f"{model['name']}: {len(pretrained.state_dict())} tensors taken with strict=True")
    pixels, labels = pictures(train, model, A_CLASS)
    test_pixels, test_labels = pictures(test, model)
    print(f"{len(labels)} pictures to train on, {len(test_labels)} to test on, {model['input_side']} px")
    for start, net in ("pretrained", pretrained), ("random", build(model)):
        classify = finetune(net, model["dim"], pixels, labels)
        with torch.no_grad():
            accuracy = (classify(test_pixels).argmax(1) == test_labels).float().mean()
        print(f"from {start} weights: test accuracy {accuracy:.3f} after {EPOCHS} epochs")


main()
