"""Writes the same arrays with numpy.savez and numpy.savez_compressed."""
import sys

import numpy as np

arrays = {
    "double": np.array([0.5, -3.0]),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
    "half": np.array([65504], np.float16),
    "number": np.int64(7),
}
np.savez(sys.argv[1], **arrays)
np.savez_compressed(sys.argv[1] + "-compressed", **arrays)
