"""Rows of arrays that are files mapped into memory, as tensors."""

import ctypes
import mmap
import os
import warnings

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_LIBC = ctypes.CDLL(None) if os.name == "posix" else None


def as_tensor(pixels: NDArray[np.uint8]) -> Tensor:
    """The same memory as a tensor, which nobody writes to: it may be a file's that all processes share."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(pixels)


def read_ahead(rows: Tensor, *arrays: Tensor) -> None:
    """Have the system read these rows of arrays (N, ...) from the disk, all at a time, where they are mapped.

    Else it reads megabytes around each address when that is looked at: 7 times what is wanted (`docs/speed.md`).
    """
    for values in arrays:
        if _LIBC and (size := values[:1].nbytes) >= mmap.PAGESIZE:
            for row in rows.tolist():
                start = values.data_ptr() + row * size
                page = start - start % mmap.PAGESIZE
                _LIBC.madvise(ctypes.c_void_p(page), ctypes.c_size_t(start + size - page), mmap.MADV_WILLNEED)
