"""Memory of the process: kept between the steps of a job, released after it."""

from __future__ import annotations

import ctypes
import functools
import gc
import platform
from typing import Any, cast

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MOST = -1, -3, 2**31 - 1
"""mallopt(3)"""


@functools.cache
def keep_freed() -> None:
    """Have the C library keep freed memory for the next allocation; elsewhere than on Linux's glibc does nothing.

    It gives large blocks back at once by default, and every step of a training asks for the same again: at 872x1280 a
    million page faults, half of a step's time on the two virtual cores where it was measured. The process holds its
    peak until `release_memory`.
    """
    if glibc := _glibc():
        glibc.mallopt(_MMAP_THRESHOLD, _MOST)
        glibc.mallopt(_TRIM_THRESHOLD, _MOST)


def leave_unfilled() -> None:
    """Have deterministic mode leave new memory as it is: filling it costs some 200 calls a step, and nothing reads it
    before it is written.
    """
    cast(Any, torch.utils.deterministic).fill_uninitialized_memory = False  # which torch's annotations lack


def release_memory() -> None:
    """Release a job's memory, the GPU's too, since the next job may run in the same process."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if glibc := _glibc():
        glibc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    return ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None
