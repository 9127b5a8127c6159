"""Values and checks on a device that computes on its own: reading one value waits for all that is queued there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor


def reading_waits(values: Tensor) -> bool:
    """Whether the process must wait to read a value, since it lies on an accelerator."""
    return values.device.type != "cpu"


Values = float | Sequence[float] | NDArray[Any] | Tensor


def sent(values: Values, like: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """Values of the CPU on the device of `like`, for which nothing waits; numbers have float32 unless `dtype` is given.

    `torch.tensor(values, device=...)` waits until all work on a GPU is done. A few kilobytes are copied at the call, so
    that they may change afterwards.
    """
    return torch.as_tensor(values, dtype=dtype).to(like.device, non_blocking=True)


def has_room(device: torch.device, size: int) -> bool:
    """Whether a GPU has four times as many bytes free: with other jobs on it, and the network's own memory to come."""
    return device.type == "cuda" and 4 * size <= torch.cuda.mem_get_info(device)[0]


def ensure(holds: Tensor, problem: Callable[[], str]) -> None:
    """Raise ValueError(problem()) unless `holds` is true everywhere.

    On an accelerator, which is not waited for, its own assertion fails instead, some time later and without a message.
    """
    if reading_waits(holds):
        torch._assert_async(holds.all())
    elif not holds.all():
        raise ValueError(problem())
