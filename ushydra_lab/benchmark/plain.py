"""Two baselines: a plain training loop, and the one that a competent user would write."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Self

import torch
from pytorch_msssim import ms_ssim
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ushydra_lab.data.io.image import decode
from ushydra_lab.geometry.letterbox import Letterbox
from ushydra_lab.training.memory import keep_freed

WORKERS = min(4, os.cpu_count() or 1)
Similarity = Callable[[Tensor, Tensor], Tensor]


def plain_ms_ssim() -> Similarity:
    """pytorch-msssim's MS-SSIM per image, (B,), of images in [0, 1]."""
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
    """A network trained on 1 - MS-SSIM, without a framework: pytorch-msssim, NCHW, unfused Adam, every image decoded in
    every epoch.
    """

    def __init__(self, network: nn.Module, device: torch.device, lr: float = 1e-4) -> None:
        self.network, self.device = network.to(device, memory_format=torch.contiguous_format), device  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam((p for p in network.parameters() if p.requires_grad), lr)
        self.similarity = plain_ms_ssim()

    @staticmethod
    def batches(images: PlainImages, size: int) -> Iterable[Tensor]:
        """Iterated, all images in a new order."""
        return plain_loader(images, size)

    def step(self, image: Tensor) -> None:
        """image: (B, 1, H, W)."""
        image = image.to(self.device)
        self.optimizer.zero_grad()
        (1 - self.similarity(self.network(image), image)).mean().backward()
        self.optimizer.step()

    def epoch(self, batches: Iterable[Tensor]) -> None:
        for image in batches:
            self.step(image)


class CompetentTraining(PlainTraining):
    """The same with what its user may know: images decoded once, the batch as channels of pytorch-msssim, channels
    last, fused Adam, and an allocator that keeps freed memory. It neither augments nor logs, keeps no checkpoint, and
    its operations need not be deterministic.
    """

    def __init__(self, network: nn.Module, device: torch.device, lr: float = 1e-4) -> None:
        keep_freed()
        super().__init__(network, device, lr)
        self.network = self.network.to(memory_format=torch.channels_last)
        self.optimizer = torch.optim.Adam((p for p in network.parameters() if p.requires_grad), lr, fused=True)
        self.similarity = batch_as_channels(plain_ms_ssim())

    @staticmethod
    def batches(images: PlainImages, size: int) -> Iterable[Tensor]:
        return _InMemory(images, size)


class _InMemory:
    """All images as bytes; iterated, they are batches in a new order."""

    def __init__(self, images: PlainImages, batch_size: int) -> None:
        self.size = batch_size
        self.pixels = torch.stack([(images[row] * 255).round().byte() for row in range(len(images))])

    def __iter__(self) -> Iterator[Tensor]:
        for rows in torch.randperm(len(self.pixels)).split(self.size):
            yield self.pixels[rows].float().div_(255)


def batch_as_channels(similarity: Similarity) -> Similarity:
    """pytorch-msssim many times faster: its filters work on one channel after another, and on a batch at once.

    Each image's own value is a channel's, of which it returns the mean: (1,).
    """
    return lambda x_hat, x: similarity(x_hat.transpose(0, 1), x.transpose(0, 1))


class OtherProcess:
    """One of the two trainings in a process of its own, with the memory settings that it chooses.

    Leaving it ends the process.
    """

    def __init__(
        self,
        training: type[PlainTraining],
        network: nn.Module,
        images: PlainImages,
        batch_size: int,
        device: torch.device,
    ) -> None:
        context = get_context("spawn")
        self.pipe, theirs = context.Pipe()
        settings = training, network.cpu(), images, batch_size, device, torch.get_num_threads()
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
        """Train on all images."""
        self._do("epoch")

    def _do(self, what: str) -> None:
        self.pipe.send(what)
        self.pipe.recv()


def _serve(
    pipe: Connection,
    training: type[PlainTraining],
    network: nn.Module,
    images: PlainImages,
    batch_size: int,
    device: torch.device,
    threads: int,
) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the other end of the pipe says when to stop
    torch.set_num_threads(threads)
    made = training(network, device)
    batch = torch.stack([images[row] for row in range(batch_size)])
    epoch = partial(made.epoch, training.batches(images, batch_size))
    works: dict[str, Callable[[], None]] = {"step": partial(made.step, batch), "epoch": epoch}
    while True:
        try:
            works[pipe.recv()]()
        except EOFError:
            return
        if device.type == "cuda":
            torch.cuda.synchronize()
        pipe.send(None)
