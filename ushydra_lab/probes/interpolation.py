"""Interpolation between the codes of two images through the decoder (paper 1, Figure 7)."""

from __future__ import annotations

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


@torch.inference_mode()
def interpolate(network: ConvAutoencoder, images: Tensor) -> Tensor:
    """Pairs of images (2 P, 1, H, W) to (P, STEPS, H, W): decoded from evenly spaced points of the line between them.

    The line lies in what the decoder reads: the bottleneck map for `decoder_input=map`, else the code z. Its ends
    are the pair's own reconstructions.
    """
    code, features = network.encode(images.to(next(network.parameters()).device))
    source = features if network.decoder_input == "map" else code
    shape = images.shape[-2], images.shape[-1]
    weights = torch.linspace(0, 1, STEPS).tolist()
    # One point at a time: at the paper's size each is an image of a million pixels and its maps.
    rows = [
        torch.cat([network.decode(torch.lerp(a, b, weight)[None], shape)[:, 0] for weight in weights])
        for a, b in zip(source[::2], source[1::2], strict=True)
    ]
    return torch.stack(rows).float().cpu()


def title(network: ConvAutoencoder) -> str:
    """The title of the figure, by the network's decoder."""
    if network.decoder_input == "map":
        channels, rows, columns = network.map_shape
        return f"Between two test images: the {channels} x {rows} x {columns} map that the decoder reads, not z"
    return f"Between two test images: the code z, {network.to_code.out_features} numbers"


def draw(images: NDArray[np.float32], steps: NDArray[np.float32], what: str) -> Figure:
    """Draw one row per pair: the first image, the decoded points between, the second image.

    images: (2 P, H, W) in [0, 1]; steps: (P, S, H, W); what: the figure's title.
    """
    pairs, count, height, width = steps.shape
    size = 1.7 * (count + 2), 1.7 * pairs * height / width + 0.7
    figure = Figure(figsize=size, layout="constrained")
    figure.suptitle(what, fontsize=10)
    axes = figure.subplots(pairs, count + 2, squeeze=False)
    between = (f"{1 - weight:.2f} A + {weight:.2f} B" for weight in np.linspace(0, 1, count)[1:-1])
    heads = ["image A", "A decoded", *between, "B decoded", "image B"]
    for pair, line in enumerate(axes):
        row = [images[2 * pair], *steps[pair], images[2 * pair + 1]]
        for axis, picture, head in zip(line, row, heads, strict=True):
            axis.set_axis_off()
            axis.imshow(picture, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
            if pair == 0:
                axis.set_title(head, fontsize=8)
    return figure
