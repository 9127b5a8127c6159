"""The plain way, to compare with: pytorch-msssim, NCHW, Adam not fused, every image decoded again in every epoch.

It runs in the same process, so that memory which is kept (`runs.memory`) serves it too.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from ushydra_lab.data.image import decode
from ushydra_lab.data.letterbox import Letterbox

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
    """With workers that stay between epochs."""
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
