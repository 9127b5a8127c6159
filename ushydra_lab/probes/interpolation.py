"""Interpolation between the codes of two images through the decoder (paper 1, Figure 7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder

STEPS = 7
MOST_PAIRS = 2


def pair_indices(count: int) -> list[int]:
    """Indices of the images of all pairs, spread evenly over `count` images; empty for fewer than two."""
    images = min(count // 2, MOST_PAIRS) * 2
    return [round(place) for place in np.linspace(0, max(0, count - 1), images)]


def decoder_source(network: ConvAutoencoder, images: Tensor) -> Tensor:
    """What the decoder reads of images (B, 1, H, W): the bottleneck map (B, C, h, w) for `map`, else z (B, D)."""
    code, features = network.encode(images.to(next(network.parameters()).device))
    return features if network.decoder_input == "map" else code


@torch.inference_mode()
def interpolate(network: ConvAutoencoder, images: Tensor) -> Tensor:
    """Pairs of images (2 P, 1, H, W) to (P, STEPS, H, W): decoded from evenly spaced points of the line between them.

    The line lies in what the decoder reads: the bottleneck map for `decoder_input=map`, else the code z. Its ends
    are the pair's own reconstructions.
    """
    source = decoder_source(network, images)
    shape = images.shape[-2], images.shape[-1]
    weights = torch.linspace(0, 1, STEPS).tolist()
    # One point at a time: at the paper's size each is an image of a million pixels and its maps.
    rows = [
        torch.cat([network.decode(torch.lerp(a, b, weight)[None], shape)[:, 0] for weight in weights])
        for a, b in zip(source[::2], source[1::2], strict=True)
    ]
    return torch.stack(rows).float().cpu()


def source_name(network: ConvAutoencoder) -> str:
    """What the decoder reads, in words for a title."""
    if network.decoder_input == "map":
        channels, rows, columns = network.map_shape
        return f"the {channels} x {rows} x {columns} map that the decoder reads, not z"
    return f"the code z, {network.to_code.out_features} numbers"


def draw(images: NDArray[np.float32], steps: NDArray[np.float32], what: str) -> Figure:
    """Draw one row per pair: the first image, the decoded points between, the second image.

    images: (2 P, H, W) in [0, 1]; steps: (P, S, H, W); what: what is interpolated (`source_name`).
    """
    pairs, count, *_ = steps.shape
    between = (f"{1 - weight:.2f} A + {weight:.2f} B" for weight in np.linspace(0, 1, count)[1:-1])
    heads = ["image A", "A decoded", *between, "B decoded", "image B"]
    rows = [[images[2 * pair], *steps[pair], images[2 * pair + 1]] for pair in range(pairs)]
    return picture_grid(rows, heads, f"Between two test images: {what}")


def picture_grid(
    rows: Sequence[Sequence[NDArray[np.float32]]], heads: Sequence[str], title: str, labels: Sequence[str] = ()
) -> Figure:
    """Rows of images (H, W) in [0, 1] below the heads of their columns, each row with its label if there are labels."""
    height, width = rows[0][0].shape
    size = 1.7 * len(heads), 1.7 * len(rows) * height / width + 0.7
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(title, fontsize=10)
    axes = figure.subplots(len(rows), len(heads), squeeze=False)
    for line, row in zip(axes, rows, strict=True):
        for axis, picture in zip(line, row, strict=True):
            axis.set(xticks=[], yticks=[], frame_on=False)
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
    for axis, head in zip(axes[0], heads, strict=True):
        axis.set_title(head, fontsize=8)
    for axis, label in zip(axes[:, 0], labels, strict=False):
        axis.set_ylabel(label, fontsize=8)
    return figure
