"""Reads the arrays of an `.npz` file that may come from a stranger. Checks every size before it allocates memory.

A file of 0.8 MB can claim to hold 0.8 GB. On a damaged file, zipfile, zlib and NumPy raise many kinds of exceptions.
"""

from __future__ import annotations

import io
import warnings
import zipfile
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import CheckpointError

MAX_BYTES = 256 << 20
"""The most that a file's arrays may take together: a network of 512 hidden units over 600 frames."""
MAX_ARRAYS = 64
MAX_AXES = 4
_HEADERS = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def read_arrays(data: bytes) -> dict[str, NDArray[Any]]:
    """Returns the arrays of an `.npz` file by name.

    Raises:
        CheckpointError: the file has another format, is damaged, holds Python objects, or is too large.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            total = sum(entry.file_size for entry in entries)
            if total > MAX_BYTES or len(entries) > MAX_ARRAYS:
                raise CheckpointError(
                    "policy file (.npz) is too large", found=f"{len(entries)} arrays of {total:,} bytes together",
                    expected=f"at most {MAX_ARRAYS} of {MAX_BYTES:,} bytes",
                )  # fmt: skip
            # A member ends at the size that its entry claims, however much its compressed bytes would expand to.
            return {entry.filename.removesuffix(".npy"): _array(archive.read(entry)) for entry in entries}
    except CheckpointError:
        raise
    except Exception as error:
        # On damaged files, zipfile and NumPy also let exceptions of zlib, struct, ast and tokenize through.
        raise CheckpointError(
            "policy file (.npz) cannot be read", expected="arrays, encoding_config and context_len",
            found=f"{type(error).__name__}: {error}"[:120], hint="write it with Policy.encode",
        ) from None  # fmt: skip


def _array(member: bytes) -> NDArray[Any]:
    stream = io.BytesIO(member)
    with warnings.catch_warnings():
        # NumPy warns of files that Python 2 wrote, on the reader's terminal
        warnings.simplefilter("ignore")
        shape, fortran, dtype = _HEADERS[np.lib.format.read_magic(stream)](stream)
    if dtype.kind not in "fiu" or len(shape) > MAX_AXES:
        raise ValueError(f"an array of {dtype} with {len(shape)} axes")
    count = 1
    for length in shape:
        count *= int(length)
    left = len(member) - stream.tell()
    if count * dtype.itemsize != left:
        raise ValueError(f"an array of {count} numbers in {left} bytes")
    values: NDArray[Any] = np.frombuffer(member, dtype, count, stream.tell())
    return values.reshape(shape, order="F" if fortran else "C")
