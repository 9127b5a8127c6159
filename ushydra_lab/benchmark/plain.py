"""A plain baseline for comparison: pytorch-msssim, NCHW, unfused Adam, every image decoded in every epoch."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ushydra_lab.data.io.image import decode
from ushydra_lab.geometry.letterbox import Letterbox

WORKERS = min(4, os.cpu_count() or 1)


def plain_ms_ssim() -> Callable[[Tensor, Tensor], Tensor]:
    """pytorch-msssim's MS-SSIM per image, (B,), of images in [0, 1]."""
    try:
        from pytorch_msssim import ms_ssim
    except ImportError as error:
        raise SystemExit("The benchmark compares with pytorch-msssim: pip install 'ushydra_lab[dev]'") from error
    return lambda x_hat, x: ms_ssim(x_hat, x, data_range=1.0, size_average=False)


class PlainImages(Dataset[Tensor]):
    """Image files, decoded and letterboxed when asked for: (1, H, W) in [0, 1]."""

    def __init__(self, paths: list[str], canvas: tuple[int, int]) -> None:
        self.paths, self.canvas = paths, canvas

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> Tensor:
        grey = decode(Path(self.paths[index]).read_bytes()).grey
        rows, columns = grey.shape
        canvas = Letterbox.fit((rows, columns), self.canvas).apply_image(grey)
        return torch.from_numpy(canvas)[None].float() / 255


def plain_loader(images: PlainImages, batch_size: int) -> DataLoader[Tensor]:
    """A data loader whose workers stay between epochs."""
    return DataLoader(images, batch_size, shuffle=True, num_workers=WORKERS, persistent_workers=True)


class PlainTraining:
    """A network trained on 1 - MS-SSIM, without a framework."""

    def __init__(self, network: nn.Module, device: torch.device, lr: float = 1e-4) -> None:
        self.network, self.device = network.to(device, memory_format=torch.contiguous_format), device  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam((p for p in network.parameters() if p.requires_grad), lr)
        self.similarity = plain_ms_ssim()

    def step(self, image: Tensor) -> None:
        """image: (B, 1, H, W)."""
        image = image.to(self.device)
        self.optimizer.zero_grad()
        (1 - self.similarity(self.network(image), image)).mean().backward()
        self.optimizer.step()

    def epoch(self, loader: DataLoader[Tensor]) -> None:
        for image in loader:
            self.step(image)


class PlainProcess:
    """`PlainTraining` on image files in a process of its own, which has the usual memory settings, not `runs.memory`'s.

    Leaving it ends the process.
    """

    def __init__(self, network: nn.Module, images: PlainImages, batch_size: int, device: torch.device) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        settings = network.cpu(), images, batch_size, device, torch.get_num_threads()
        self.process = context.Process(target=_serve, args=(theirs, *settings))
        self.process.start()
        theirs.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pipe.close()
        self.process.join()

    def step(self) -> None:
        """Train on the first batch, which is in memory."""
        self._do("step")

    def epoch(self) -> None:
        """Train on all images, which workers decode."""
        self._do("epoch")

    def _do(self, what: str) -> None:
        self.pipe.send(what)
        self.pipe.recv()


def _serve(
    pipe: Connection, network: nn.Module, images: PlainImages, batch_size: int, device: torch.device, threads: int
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other end of the pipe says when to stop
    torch.set_num_threads(threads)
    training = PlainTraining(network, device)
    batch = torch.stack([images[row] for row in range(batch_size)])
    works = {
        "step": partial(training.step, batch),
        "epoch": partial(training.epoch, plain_loader(images, batch_size)),
    }
    while True:
        try:
            works[pipe.recv()]()
        except EOFError:
            return
        if device.type == "cuda":
            torch.cuda.synchronize()
        pipe.send(None)
