#!/usr/bin/env python3
"""Times the extraction of features from JPEG files, end to end, by pretrain and by PyTorch with its loader, alternately:

    /usr/bin/python3 tools/benchpeers/extract.py --pretrain bin/pretrain --pictures FOLDER --scratch runs/benchextract

FOLDER holds pictures of any size in folders by label; copies with a short side of 256 pixels are made in the scratch
folder once. Both sides run ViT-Tiny/16 at 96 pixels in batches of 64 over the same files: decode, short side to 96 by
antialiased bicubic, centre crop, normalisation, network, features kept. pretrain's time is that of its whole process,
from opening the run to the finished .npy file; PyTorch's begins when torch is loaded and the network is traced, and
ends with the features in memory. The best number of loader workers counts for PyTorch. It needs Debian's
python3-torch, python3-torchvision and python3-pil.
"""
import argparse
import glob
import json
import os
import statistics
import subprocess
import sys
import time

CONFIG = """
data: {size: 96, max_pictures: 64}
backbone:
  name: vit_tiny
  vit: {patch: 16, class_token: true}
tasks:
  rotation: {weight: 1}
train: {epochs: 1, batch_size: 8, max_steps: 1}
metrics: {enabled: false}
"""
SIDE, BATCH, COPY_SIDE = 96, 64, 256


def copies(source, target):
    """Writes whole batches of pictures (a traced network takes no other) with a short side of 256 pixels, JPEG quality
    90, unless that was done before."""
    from PIL import Image
    found = sorted(p for p in glob.glob(os.path.join(source, "**", "*"), recursive=True) if p.lower().endswith((".jpg", ".jpeg", ".png")))
    if len(found) < BATCH:
        sys.exit("%s holds %d JPEG or PNG files: at least %d are needed" % (source, len(found), BATCH))
    found = found[:len(found) // BATCH * BATCH]
    os.makedirs(target, exist_ok=True)
    for i, path in enumerate(found):
        name = os.path.join(target, "%06d.jpg" % i)
        if os.path.exists(name):
            continue
        with Image.open(path) as picture:
            scale = COPY_SIDE / min(picture.size)
            size = tuple(max(COPY_SIDE, round(n * scale)) for n in picture.size)
            picture.convert("RGB").resize(size, Image.BICUBIC).save(name, quality=90)
    return sorted(glob.glob(os.path.join(target, "*.jpg")))


def train(pretrain, scratch, pictures):
    run = os.path.join(scratch, "run")
    if not os.path.isdir(run):
        config = os.path.join(scratch, "vit_t16_96.yaml")
        with open(config, "w") as file:
            file.write(CONFIG)
        subprocess.run([pretrain, "train", config, "--data", pictures, "--out", run], check=True, stderr=subprocess.DEVNULL)
    return run


def ours(a, run, pictures):
    out = os.path.join(a.scratch, "features.npy")
    before = time.perf_counter()
    subprocess.run([a.pretrain, "extract", run, "--data", pictures, "--out", out, "--precision", a.precision, "--overwrite"],
                   check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - before


def peer(a):
    """Runs in a process of its own and prints its seconds."""
    import torch
    from PIL import Image
    from torchvision import transforms
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    from peer import Transformer
    torch.set_num_threads(a.threads)
    resize = transforms.Resize(SIDE, transforms.InterpolationMode.BICUBIC)
    prepare = transforms.Compose([resize, transforms.CenterCrop(SIDE), transforms.ToTensor(),
                                  transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))])

    class Pictures(torch.utils.data.Dataset):
        files = sorted(glob.glob(os.path.join(a.peer, "*.jpg")))

        def __len__(self):
            return len(self.files)

        def __getitem__(self, i):
            with Image.open(self.files[i]) as picture:
                return prepare(picture.convert("RGB"))

    model = Transformer(SIDE, 16, 192, 3).eval()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16, enabled=a.precision == "bf16", cache_enabled=False):
        network = torch.jit.freeze(torch.jit.trace(model, torch.randn(BATCH, 3, SIDE, SIDE), check_trace=False))
        for _ in range(3):
            network(torch.randn(BATCH, 3, SIDE, SIDE))
        before = time.perf_counter()
        loader = torch.utils.data.DataLoader(Pictures(), batch_size=BATCH, num_workers=a.workers)
        features = torch.cat([network(batch).float() for batch in loader])
    print(json.dumps({"seconds": time.perf_counter() - before, "rows": len(features)}))


def theirs(a, pictures, workers):
    environment = dict(os.environ, MALLOC_MMAP_THRESHOLD_="4294967296", MALLOC_TRIM_THRESHOLD_="8589934592", MALLOC_TOP_PAD_="67108864",
                       OMP_NUM_THREADS=str(a.threads))
    openblas = "/usr/lib/x86_64-linux-gnu/openblas-openmp"  # as in pair.go
    environment["LD_LIBRARY_PATH"] = openblas
    for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE"):
        environment.pop(name, None)
    command = [sys.executable, "-W", "ignore", os.path.abspath(__file__), "--peer", pictures, "--workers", str(workers),
               "--threads", str(a.threads), "--precision", a.precision]
    return json.loads(subprocess.run(command, check=True, env=environment, stdout=subprocess.PIPE).stdout)["seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pretrain", default="bin/pretrain")
    parser.add_argument("--pictures", help="folder of pictures")
    parser.add_argument("--scratch", default="runs/benchextract")
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--workers", type=int, default=0, help=argparse.SUPPRESS)
    parser.add_argument("--peer", help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.peer:
        return peer(a)
    if not a.pictures:
        parser.error("name a folder of pictures: --pictures FOLDER")
    folder = os.path.join(a.scratch, "jpeg256")
    count = len(copies(a.pictures, folder))
    run = train(a.pretrain, a.scratch, folder)
    seconds = {}
    for repetition in range(a.repetitions):
        rows = [("pretrain", lambda: ours(a, run, folder))]
        for workers in (0, 1, a.threads):
            rows.append(("PyTorch, %d workers" % workers, lambda workers=workers: theirs(a, folder, workers)))
        for name, measure in rows if repetition % 2 == 0 else reversed(rows):
            seconds.setdefault(name, []).append(measure())
    rates = {name: count / statistics.median(times) for name, times in seconds.items()}
    best = max(rate for name, rate in rates.items() if name != "pretrain")
    print("%d JPEG files, %s, %d threads, median of %d\n\n| | pictures/s |\n| --- | --- |" % (count, a.precision, a.threads, a.repetitions))
    for name, rate in rates.items():
        print("| %s | %.1f |" % (name, rate))
    print("\nratio to the best of PyTorch: %.2f" % (rates["pretrain"] / best))


if __name__ == "__main__":
    main()
