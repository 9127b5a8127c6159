"""A training step against this machine's roofline: its copy bandwidth and matrix rate (Williams et al. 2009)."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from ushydra_lab.benchmark.counting import Count
from ushydra_lab.benchmark.lab import ROI_EXPERIMENT, Lab, canvas_of
from ushydra_lab.benchmark.rows import Row
from ushydra_lab.benchmark.steps import Step
from ushydra_lab.benchmark.timing import Quartiles, Work, interleaved
from ushydra_lab.benchmark.training import network_alone

PART, GIGA = "limit", 1e9
COPIED = {"cpu": 2**25, "cuda": 2**28}
"""Float32 numbers of the copy: more than any cache holds."""
SIDE = {"cpu": 1024, "cuda": 8192}
"""Of the square matrices."""
STEP, NETWORK, COPY, PRODUCT, CONVOLUTION = "step", "network", "copy", "matrix product", "convolution"


def rows(lab: Lab) -> Iterator[Row]:
    """Copy and matrix rate; operations and bytes of a step; the least time they take, as a share of the measured."""
    experiment = lab.experiment(ROI_EXPERIMENT)
    step, size = Step(lab, experiment, "phase1"), canvas_of(experiment)
    image = step.batch["image"]
    works: dict[str, Work] = {STEP: step, NETWORK: lambda: network_alone(step.task.network, [image])}
    probes, amounts = _probes(lab.device)
    times = interleaved(works | probes, lab.repeats, lab.device)
    rates = {name: Quartiles.of([amounts[name] / GIGA / one for one in times[name]]) for name in probes}
    yield Row(PART, "copy bandwidth, read and written", "", rates[COPY], "GB/s")
    for name in (PRODUCT, CONVOLUTION):
        yield Row(PART, f"float32 {name}", "", rates[name], "Gflop/s")
    flops_per_s = GIGA * max(rates[name].median for name in (PRODUCT, CONVOLUTION))
    for name, work in works.items():
        with Count() as count:
            work()
        least = count.least_seconds(flops_per_s, GIGA * rates[COPY].median)
        yield Row(PART, f"{name}: operations", size, Quartiles.exact(count.flops / GIGA), "Gflop")
        yield Row(PART, f"{name}: bytes read and written", size, Quartiles.exact(count.moved / GIGA), "GB")
        share = Quartiles.of([100 * least / one for one in times[name]])
        yield Row(PART, f"{name}: share of the machine's limit", size, share, "%")


def _probes(device: torch.device) -> tuple[dict[str, Work], dict[str, float]]:
    """Works that reach the machine's rates, and how many bytes or operations each is."""
    source = torch.rand(COPIED[device.type], device=device)
    target = torch.empty_like(source)
    side = SIDE[device.type]
    a, b = torch.rand(2, side, side, device=device)
    maps = torch.rand(8, 128, 64, 64, device=device).contiguous(memory_format=torch.channels_last)
    kernel = torch.rand(128, 128, 3, 3, device=device).contiguous(memory_format=torch.channels_last)
    works: dict[str, Work] = {
        COPY: lambda: target.copy_(source),
        PRODUCT: lambda: a @ b,
        CONVOLUTION: lambda: F.conv2d(maps, kernel, padding=1),
    }
    amounts = {
        COPY: 2.0 * source.numel() * source.element_size(),
        PRODUCT: 2.0 * side**3,
        CONVOLUTION: 2.0 * maps.numel() * kernel[0].numel(),
    }
    return works, amounts
