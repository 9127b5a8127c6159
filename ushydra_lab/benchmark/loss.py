"""Speed of the lab's MS-SSIM against pytorch-msssim, forward and backward."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from ushydra_lab.benchmark.lab import ROI_EXPERIMENT, Lab, canvas_of
from ushydra_lab.benchmark.plain import batch_as_channels, plain_ms_ssim
from ushydra_lab.benchmark.rows import Row, faster
from ushydra_lab.benchmark.timing import Work, interleaved
from ushydra_lab.losses.ms_ssim import ms_ssim

PART = "loss"
PLAIN, COMPETENT = "pytorch-msssim, one channel", "pytorch-msssim, batch as channels"


def rows(lab: Lab) -> Iterator[Row]:
    """Forward and backward of 1 - MS-SSIM with respect to the reconstruction."""
    experiment = lab.experiment(ROI_EXPERIMENT)
    x = torch.rand(experiment.batch_size, 1, *experiment.canvas, device=lab.device)
    plain = plain_ms_ssim()
    works = {"ours": _work(ms_ssim, x), PLAIN: _work(plain, x), COMPETENT: _work(batch_as_channels(plain), x)}
    times, size = interleaved(works, lab.repeats, lab.device), canvas_of(experiment)
    for against, aim in ((PLAIN, None), (COMPETENT, 1.0)):
        yield faster(PART, "MS-SSIM forward+backward", size, times["ours"], against, times[against], aim)


def _work(similarity: Callable[[Tensor, Tensor], Tensor], x: Tensor) -> Work:
    x_hat = (0.9 * x + 0.05).requires_grad_()

    def work() -> None:
        x_hat.grad = None
        (1 - similarity(x_hat, x)).mean().backward()

    return work
