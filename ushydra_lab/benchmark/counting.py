"""Counting the operations, bytes and peak memory of a function call."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry

from ushydra_lab.benchmark.timing import Work

UNTOUCHED = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided", "detach", "alias"}
"""Operators that allocate or rename and move nothing."""


@dataclass(frozen=True)
class Operation:
    """flops: of matrix products and convolutions, a multiply-add being two; moved: bytes read and written once each."""

    flops: int
    moved: int


class Count(TorchDispatchMode):
    """Counts every operator that runs inside it, backward and optimiser too, as if none shared the others' cache."""

    def __init__(self) -> None:
        super().__init__()
        self.operations: list[Operation] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if not func.is_view and func.overloadpacket.__name__ not in UNTOUCHED:
            flops = flop_registry.get(func.overloadpacket)
            count = flops(*args, **kwargs, out_val=result) if flops else 0
            self.operations.append(Operation(count, _bytes((args, kwargs)) + _bytes(result)))
        return result

    @property
    def flops(self) -> int:
        return sum(operation.flops for operation in self.operations)

    @property
    def moved(self) -> int:
        return sum(operation.moved for operation in self.operations)

    def least_seconds(self, flops_per_s: float, bytes_per_s: float) -> float:
        """Operators one after the other, each at the full rate of what it needs more of."""
        return sum(max(each.flops / flops_per_s, each.moved / bytes_per_s) for each in self.operations)


def _bytes(values: Any) -> int:
    return sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(values) if isinstance(leaf, Tensor))


def peak_bytes(work: Work, device: torch.device) -> int:
    """The most that tensors allocated by one call hold at a time, beside what was there before."""
    if device.type == "cuda":
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        work()
        return int(torch.cuda.max_memory_allocated() - before)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        work()
    held = peak = 0
    for change in _changes(profiler):
        held += change
        peak = max(peak, held)
    return peak


def _changes(profiler: profile) -> Iterator[int]:
    """Bytes allocated (or, below 0, freed), in the order of time."""
    assert profiler.profiler is not None
    assert profiler.profiler.kineto_results is not None
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    ordered = sorted(events, key=lambda event: event.start_ns())
    return (event.nbytes() for event in ordered)  # type: ignore[attr-defined]
