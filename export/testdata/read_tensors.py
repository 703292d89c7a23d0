"""Reads a safetensors file by the format's definition alone and prints it as JSON, numbers as hexadecimal floats."""
import json
import struct
import sys

import numpy

with open(sys.argv[1], "rb") as file:
    length, = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(length))
    data = file.read()
metadata = header.pop("__metadata__", {})
tensors = {}
for name, tensor in header.items():
    begin, end = tensor["data_offsets"]
    assert tensor["dtype"] == "F32" and (8 + length + begin) % 4 == 0
    values = numpy.frombuffer(data[begin:end], "<f4").reshape(tensor["shape"])
    tensors[name] = {"shape": list(values.shape), "data": values.ravel().tolist()}
print(json.dumps({"metadata": metadata, "tensors": tensors}))
