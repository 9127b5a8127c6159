"""Speed of the lab's MS-SSIM against pytorch-msssim, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ushydra_lab.benchmark.lab import ROI_EXPERIMENT, Lab, canvas_of
from ushydra_lab.benchmark.plain import plain_ms_ssim
from ushydra_lab.benchmark.rows import Row, faster
from ushydra_lab.benchmark.timing import Work, interleaved
from ushydra_lab.losses.ms_ssim import ms_ssim

PART = "loss"


def rows(lab: Lab) -> Iterator[Row]:
    """Forward and backward of 1 - MS-SSIM with respect to the reconstruction."""
    experiment = lab.experiment(ROI_EXPERIMENT)
    x = torch.rand(experiment.batch_size, 1, *experiment.canvas, device=lab.device)
    reference = "pytorch-msssim"
    works = {"ours": _work(ms_ssim, x), reference: _work(plain_ms_ssim(), x)}
    times = interleaved(works, lab.repeats, lab.device)
    aim = 6 if lab.device.type == "cpu" else None
    yield faster(
        PART,
        "MS-SSIM forward+backward",
        canvas_of(experiment),
        times["ours"],
        reference,
        times[reference],
        at_least=aim,
    )


def _work(similarity: Callable[[Tensor, Tensor], Tensor], x: Tensor) -> Work:
    x_hat = (0.9 * x + 0.05).requires_grad_()

    def work() -> None:
        x_hat.grad = None
        (1 - similarity(x_hat, x)).mean().backward()

    return work
