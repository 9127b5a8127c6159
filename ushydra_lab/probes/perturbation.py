"""Perturbation of an image's code along the directions in which codes vary, through the decoder (paper 1, Figure 7)."""

from __future__ import annotations

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder
from ushydra_lab.probes.interpolation import decoder_source, picture_grid

MOVES = (-1, -2 / 3, -1 / 3, 0, 1 / 3, 2 / 3, 1)
"""Times the size of the perturbation."""
SIZE = 2.0
"""Of the perturbation where none is given, in SD of the codes: nearly all images lie within."""
DIRECTIONS = 3
MOST_CODES = 64
"""Of the paper's maps, with a million numbers each, as many take 300 MB."""


def principal_directions(codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Directions of the largest variance of codes (N, ...): at most DIRECTIONS of them.

    Returns the directions (D, ...) of length 1, the SD (ddof 1) of the codes along each, (D,), and each one's share of
    the variance, (D,). From the products of all pairs of codes, since a code may be a map of a million numbers.
    """
    flat = codes.flatten(1)
    centred = flat - flat.mean(0)
    squares, weights = torch.linalg.eigh((centred @ centred.T).double())  # smallest first
    squares, weights = squares.flip(0).clamp(min=0), weights.flip(1)
    count = min(DIRECTIONS, len(codes) - 1, int((squares > 1e-9 * squares[0]).sum()))
    directions = torch.nn.functional.normalize(weights[:, :count].T.to(flat) @ centred)
    sd = (squares[:count] / (len(codes) - 1)).sqrt().to(flat)
    return directions.unflatten(1, codes.shape[1:]), sd, (squares / squares.sum())[:count].to(flat)


@torch.inference_mode()
def perturb(network: ConvAutoencoder, image: Tensor, codes: Tensor, size: float) -> tuple[Tensor, Tensor]:
    """An image (1, 1, H, W) decoded from its code moved along each principal direction of other codes (N, ...).

    Returns (D, S, H, W), for evenly spaced moves from -size to size SD of these codes, the middle one the image's own
    reconstruction; and each direction's share of their variance, (D,).
    """
    directions, sd, shares = principal_directions(codes)
    own, shape = decoder_source(network, image), (image.shape[-2], image.shape[-1])
    # One point at a time: at the paper's size each is an image of a million pixels and its maps.
    rows = [
        torch.cat([network.decode(own + size * move * length * direction, shape)[:, 0] for move in MOVES])
        for direction, length in zip(directions, sd, strict=True)
    ]
    return torch.stack(rows).float().cpu(), shares.cpu()


def draw(
    image: NDArray[np.float32], steps: NDArray[np.float32], shares: NDArray[np.float32], size: float, what: str
) -> Figure:
    """Draw one row per direction: the image, then what is decoded from its code moved by -size to size SD.

    image: (H, W) in [0, 1]; steps: (D, S, H, W); shares: (D,), of the variance; what: what is moved (`source_name`).
    """
    heads = ["image", *(f"{size * move:+.2g} SD" if move else "decoded" for move in MOVES)]
    labels = [f"direction {number}\n{100 * share:.0f} % of variance" for number, share in enumerate(shares, 1)]
    title = f"A test image moved along the main directions of the validation images: {what}"
    return picture_grid([[image, *row] for row in steps], heads, title, labels)
