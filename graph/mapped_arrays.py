"""Arrays of a safetensors file where they lie: mapped into memory, read when they are used."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

_DTYPES = {
    "BOOL": "?",
    "U8": "u1",
    "I8": "i1",
    "I16": "<i2",
    "U16": "<u2",
    "I32": "<i4",
    "U32": "<u4",
    "I64": "<i8",
    "U64": "<u8",
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
}


def map_arrays(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a safetensors file by name, read-only, without a copy.

    The format is a length (8 bytes), that many bytes of JSON (for each array its dtype, shape and place in the rest),
    then the rest.

    Raises
    ------
    ValueError
        If the file is no such file, or shorter than its head says.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > size - 8:
            raise ValueError(f"{path.name} is no safetensors file, or a truncated one")
        head = json.loads(stream.read(length))
    start = 8 + length
    whole = np.memmap(path, dtype=np.uint8, mode="r") if size > start else np.empty(size, dtype=np.uint8)
    arrays: dict[str, npt.NDArray[Any]] = {}
    for name, about in head.items():
        if name == "__metadata__":
            continue
        first, last = about["data_offsets"]
        if start + last > size:
            raise ValueError(f"{path.name} is truncated: {name} lies beyond its end")
        array = np.asarray(whole[start + first : start + last]).view(_DTYPES[about["dtype"]])
        array = array.reshape(about["shape"])
        array.flags.writeable = False
        arrays[name] = array
    return arrays
