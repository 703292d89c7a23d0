"""Opens a features file of either format as a user would and prints what is in it as JSON."""
import csv
import json
import sys

import numpy

path = sys.argv[1]
if path.endswith(".npy"):
    features = numpy.load(path, mmap_mode="r")
    assert features.dtype == numpy.float32 and features.flags["C_CONTIGUOUS"] and features.offset % 64 == 0
    table = path[: -len(".npy")] + ".paths.csv"
else:
    table = path
with open(table, newline="", encoding="utf-8") as file:
    rows = list(csv.reader(file))
if not path.endswith(".npy"):
    assert rows[0][2:] == ["f%d" % i for i in range(len(rows[0]) - 2)]
    features = numpy.array([row[2:] for row in rows[1:]], numpy.float32).reshape(-1, len(rows[0]) - 2)
print(json.dumps({
    "shape": list(features.shape),
    "features": features.ravel().tolist(),
    "header": rows[0][:2],
    "names": [row[:2] for row in rows[1:]],
}))
