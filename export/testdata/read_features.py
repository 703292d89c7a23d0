"""Opens a features file as a user with NumPy alone would and prints what is in it as JSON."""
import csv
import json
import struct
import sys

import numpy

path = sys.argv[1]
base, extension = path.rsplit(".", 1)
with open(path if extension == "csv" else base + ".paths.csv", newline="", encoding="utf-8") as file:
    rows = list(csv.reader(file))
known = 5  # path, label, width, height, sha256
if extension == "npy":
    features = numpy.load(path, mmap_mode="r")
    assert features.dtype == numpy.float32 and features.flags["C_CONTIGUOUS"] and features.offset % 64 == 0
elif extension == "safetensors":
    with open(path, "rb") as file:
        length, = struct.unpack("<Q", file.read(8))
        vector = json.loads(file.read(length))["vector"]
        begin, end = vector["data_offsets"]
        features = numpy.frombuffer(file.read()[begin:end], "<f4").reshape(vector["shape"])
else:
    assert rows[0][known:] == ["f%d" % i for i in range(len(rows[0]) - known)]
    features = numpy.array([row[known:] for row in rows[1:]], numpy.float32).reshape(-1, len(rows[0]) - known)
print(json.dumps({
    "shape": list(features.shape),
    "features": features.ravel().tolist(),
    "header": rows[0][:known],
    "names": [row[:known] for row in rows[1:]],
}))
