"""Warm wall times of several works, alternating, so that other load on the machine affects all of them alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

Work = Callable[[], object]


@dataclass(frozen=True)
class Quartiles:
    """Median and quartiles of repeated measurements."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Quartiles:
        low, median, high = np.quantile(values, [0.25, 0.5, 0.75]).tolist()
        return cls(median, low, high)

    @classmethod
    def exact(cls, value: float) -> Quartiles:
        """A figure that is counted or fitted, not repeated."""
        return cls(value, value, value)


def synchronised_time(device: torch.device) -> float:
    """The time in seconds, after the device has finished its work."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def seconds(work: Work, device: torch.device) -> float:
    """Wall time of one call."""
    start = synchronised_time(device)
    work()
    return synchronised_time(device) - start


def interleaved(works: Mapping[str, Work], repeats: int, device: torch.device) -> dict[str, list[float]]:
    """Wall times of each work, one a repeat, after a call of each to warm up."""
    for work in works.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            times[name].append(seconds(work, device))
    return times


def ratio_quartiles(above: Sequence[float], below: Sequence[float]) -> Quartiles:
    """Quartiles of the ratios of measurements taken side by side."""
    return Quartiles.of([a / b for a, b in zip(above, below, strict=True)])


def growth_exponent(sizes: Sequence[float], times: Sequence[float]) -> float:
    """p of times = c * sizes ** p, by least squares of the logarithms: 1 is linear growth."""
    return float(np.polyfit(np.log(sizes), np.log(times), 1)[0])
