import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
_FEW = 8
"""Rows up to which one product after the other is faster: for several BLAS lays all the vectors out anew."""


def dots(rows: FloatArray, vectors: FloatArray) -> FloatArray:
    """Dot products of some rows, float32 (b, d), with many vectors, float32 (n, d): of shape (b, n)."""
    if 1 < len(rows) <= _FEW:
        return np.stack([vectors @ row for row in rows])
    return np.asarray(rows @ vectors.T)
