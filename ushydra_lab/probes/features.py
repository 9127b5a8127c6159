"""Extracting codes of images with a frozen encoder: z, ROI-pooled and texture features, and the ROI's error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ushydra_lab.losses.roi import roi_edge, roi_l1
from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder, grid_pool

Floats = NDArray[np.float64]
CODE, ROI, TEXTURE = "z", "roi", "texture"
RESIDUAL, EDGE, DIFFICULTY = "roi_mae", "roi_edge_mae", "difficulty"
GRID = 2, 3
Batch = dict[str, Tensor]


@dataclass(frozen=True)
class Codes:
    """The images of one part, N of them.

    record: rows of the manifest (N,). site: their sites' names (N,).
    features: `z` (N, D); `roi` (N, C), the map's mean over the box, where every image has one; `texture` (N, 6 C), the
        map's SD in cells of the image without its padding.
    quality: `roi_mae` and `roi_edge_mae`, ROI-L1 and ROI-edge of the reconstruction (N,), where there is `roi`; of
        other networks than autoencoders `difficulty`, how wrong the answer was, NaN where that is undefined.
    """

    record: NDArray[np.int64]
    site: NDArray[np.str_]
    features: dict[str, Floats]
    quality: dict[str, Floats] = field(default_factory=dict)


@torch.inference_mode()
def extract(network: ConvAutoencoder, batches: Iterable[Batch], roi: str, sites: list[str]) -> Codes:
    """Codes of the images in `batches`, in their order.

    roi: the key of the boxes (B, 4), canvas px; without it, or with a box missing, there are no ROI features.
    sites: the name of each index in `site`.
    """
    device = next(network.parameters()).device
    found = [_codes(network, {key: values.to(device) for key, values in batch.items()}, roi) for batch in batches]
    shared = [key for key in found[0] if all(key in values for values in found)]
    whole = {key: torch.cat([values[key] for values in found]).cpu().numpy() for key in shared}
    exact = {key: values.astype(np.float64) for key, values in whole.items()}
    return Codes(
        whole["record"],
        np.array(sites)[whole["site"]],
        {key: exact[key] for key in (CODE, ROI, TEXTURE) if key in exact},
        {key: exact[key] for key in (RESIDUAL, EDGE) if key in exact},
    )


class Probed(Protocol):
    """The interface of a task that `extract_any` needs."""

    def code(self, batch: Batch) -> Tensor: ...
    def evaluate(self, batch: Batch) -> dict[str, Tensor]: ...
    def difficulty(self, images: pd.DataFrame) -> pd.Series: ...


@torch.inference_mode()
def extract_any(
    task: Probed, batches: Iterable[Batch], sites: list[str], device: torch.device, judged: bool = True
) -> Codes:
    """Codes of images under any task's network, in their order.

    judged: whether the images have what the task is evaluated by; without, there is no `quality`.
    """
    found, tables = [], []
    for batch in ({key: values.to(device) for key, values in batch.items()} for batch in batches):
        found.append({"record": batch["record"], "site": batch["site"], CODE: task.code(batch)})
        if judged:
            tables.append(pd.DataFrame({key: values.cpu().numpy() for key, values in task.evaluate(batch).items()}))
    whole = {key: torch.cat([values[key] for values in found]).cpu().numpy() for key in found[0]}
    quality = {DIFFICULTY: task.difficulty(pd.concat(tables, ignore_index=True)).to_numpy(float)} if judged else {}
    return Codes(whole["record"], np.array(sites)[whole["site"]], {CODE: whole[CODE].astype(np.float64)}, quality)


def _codes(network: ConvAutoencoder, batch: Batch, roi: str) -> Batch:
    image, box = batch["image"], batch.get(roi)
    code, features = network.encode(image)
    shape = image.shape[-2], image.shape[-1]
    known = {"record": batch["record"], "site": batch["site"], CODE: _exact(network, features)}
    known[TEXTURE] = texture(features, batch["content"], shape, network.stride)
    if box is None or not box.isfinite().all():
        return known
    x_hat = network.decode(features if network.decoder_input == "map" else code, shape).float()
    pooled = roi_pool(features, box, shape, network.stride)
    return known | {ROI: pooled, RESIDUAL: roi_l1(x_hat, image, box), EDGE: roi_edge(x_hat, image, box)}


def _exact(network: ConvAutoencoder, features: Tensor) -> Tensor:
    """z of a map in float64: the last bits of float32 products depend on what a process did before."""
    pooled = network.standardise(grid_pool(features.double(), network.grid).flatten(1))
    return F.linear(pooled, network.to_code.weight.double(), network.to_code.bias.double())


def texture(features: Tensor, content: Tensor, canvas: tuple[int, int], stride: int) -> Tensor:
    """Each channel's SD within each of 2 x 3 cells of the content (B, 4), canvas px: (B, C, h, w) to (B, 6 C).

    The paper has no such feature. z is a mean over the whole canvas: padding and content can make up for each other,
    and what differs within an image, speckle and edges, is averaged away.
    """
    left, top, right, bottom = content.unbind(1)
    down, across = GRID
    cells = [
        torch.stack(
            [
                left + (right - left) * column / across,
                top + (bottom - top) * row / down,
                left + (right - left) * (column + 1) / across,
                top + (bottom - top) * (row + 1) / down,
            ],
            1,
        )
        for row in range(down)
        for column in range(across)
    ]
    return torch.cat([_spread(features, cell, canvas, stride) for cell in cells], 1)


def _spread(features: Tensor, box: Tensor, canvas: tuple[int, int], stride: int) -> Tensor:
    mean = roi_pool(features, box, canvas, stride)
    return roi_pool((features - mean[:, :, None, None]).square(), box, canvas, stride).sqrt()


def roi_pool(features: Tensor, box: Tensor, canvas: tuple[int, int], stride: int) -> Tensor:
    """Mean of a map (B, C, h, w) over each box (B, 4), canvas px; a cell counts by how much of it is inside: (B, C).

    A cell is `stride` x `stride` px; the map is centred on the canvas (H, W), which it may overlap.
    """
    down, across = features.shape[-2:]
    top, left = (down * stride - canvas[0]) // 2, (across * stride - canvas[1]) // 2
    rows = _covered(box[:, 1] + top, box[:, 3] + top, down, stride)
    columns = _covered(box[:, 0] + left, box[:, 2] + left, across, stride)
    return torch.einsum("bchw,bh,bw->bc", features, rows, columns)


def _covered(low: Tensor, high: Tensor, cells: int, stride: int) -> Tensor:
    """Share of [low, high] in each cell, (B, cells); rows sum to 1."""
    edges = torch.arange(cells, device=low.device) * stride
    inside = torch.minimum(high[:, None], edges + stride) - torch.maximum(low[:, None], edges)
    inside = inside.clamp(min=0)
    return inside / inside.sum(1, keepdim=True)
