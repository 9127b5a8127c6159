"""`python -m ushydra_lab.benchmark`: the lab's speed as ratios against named references, in one run on this machine."""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import Tensor

from ushydra_lab.losses.ms_ssim import ms_ssim
from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder

CANVASES = {"laptop": (176, 256), "paper": (872, 1280)}
BATCH = 8
Work = Callable[[], object]


def seconds(work: Work, repeats: int, device: torch.device) -> float:
    """Median wall time of one call, after a warm-up call."""
    work()
    times = []
    for _ in range(repeats):
        _wait(device)
        start = time.perf_counter()
        work()
        _wait(device)
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def reference_ms_ssim() -> Callable[[Tensor, Tensor], Tensor]:
    """pytorch-msssim's MS-SSIM for images in [0, 1]."""
    try:
        from pytorch_msssim import ms_ssim as reference
    except ImportError as error:
        raise SystemExit("The benchmark compares with pytorch-msssim: pip install 'ushydra_lab[dev]'") from error
    return lambda x_hat, x: reference(x_hat, x, data_range=1.0, size_average=False)


def loss_step(similarity: Callable[[Tensor, Tensor], Tensor], canvas: tuple[int, int], device: torch.device) -> Work:
    """Forward and backward of 1 - MS-SSIM with respect to the reconstruction."""
    x = torch.rand(BATCH, 1, *canvas, device=device)
    x_hat = (0.9 * x + 0.05).requires_grad_()

    def work() -> None:
        x_hat.grad = None
        (1 - similarity(x_hat, x)).mean().backward()

    return work


def training_step(
    similarity: Callable[[Tensor, Tensor], Tensor] | None, canvas: tuple[int, int], device: torch.device, fast: bool
) -> Work:
    """A Phase-1 step on images in memory; without `similarity` the network's own forward and backward."""
    layout = torch.channels_last if fast else torch.contiguous_format
    network = ConvAutoencoder(canvas).to(device).to(memory_format=layout)  # type: ignore[call-overload]
    optimizer = torch.optim.Adam((p for p in network.parameters() if p.requires_grad), lr=1e-4, fused=fast)
    x = torch.rand(BATCH, 1, *canvas, device=device)

    def work() -> None:
        optimizer.zero_grad()
        loss = network(x).mean() if similarity is None else (1 - similarity(network(x), x)).mean()
        loss.backward()
        if similarity is not None:
            optimizer.step()

    return work


def measure(scale: str, repeats: int, device: torch.device) -> list[dict[str, Any]]:
    """Rows of (what, seconds, against, seconds, ratio) for one canvas."""
    canvas, reference = CANVASES[scale], reference_ms_ssim()
    plain, ours = loss_step(reference, canvas, device), loss_step(ms_ssim, canvas, device)
    pairs = [("MS-SSIM forward+backward", ours, "pytorch-msssim", plain)]
    step = training_step(ms_ssim, canvas, device, fast=True)
    slow = training_step(reference, canvas, device, fast=False)
    bare = training_step(None, canvas, device, fast=True)
    pairs += [("training step", step, "plain step: pytorch-msssim, NCHW", slow)]
    pairs += [("training step", step, "network's own forward+backward", bare)]
    rows = []
    for what, work, against, other in pairs:
        ours_s, other_s = seconds(work, repeats, device), seconds(other, repeats, device)
        size = f"{BATCH}x1x{canvas[0]}x{canvas[1]}"
        rows.append({"what": what, "size": size, "s": ours_s, "against": against, "other_s": other_s})
    return rows


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m ushydra_lab.benchmark", description=__doc__)
    parser.add_argument("--scale", choices=CANVASES, nargs="+", default=["laptop"])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    arguments = parser.parse_args()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    rows = [row for scale in arguments.scale for row in measure(scale, arguments.repeats, device)]
    title = (
        f"median of {arguments.repeats} on {device.type}, {torch.get_num_threads()} threads, torch {torch.__version__}"
    )
    table = Table("what", "size", "s", "against", "s", "times as fast", title=title, title_justify="left")
    for row in rows:
        cells = [row["what"], row["size"], f"{row['s']:.4f}", row["against"], f"{row['other_s']:.4f}"]
        table.add_row(*map(str, cells), f"{row['other_s'] / row['s']:.2f}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    if arguments.json:
        arguments.json.write_text(json.dumps({"title": title, "rows": rows}, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
