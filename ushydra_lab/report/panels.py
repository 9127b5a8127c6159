"""Pictures of single images: the original, what every stage made of it, and the region of interest enlarged."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

Picture = NDArray[np.float32]

NO_LABEL = 255
LABEL_COLOURS = ("#56b4e9", "#ffb000", "#cc79a7", "#009e73")  # of Okabe and Ito, told apart by the colour-blind


def stage_panel(
    images: Picture, boxes: NDArray[np.float32] | None, pictures: dict[str, Picture], roi_only: bool = False
) -> Figure:
    """Two rows an image: the whole frame with the box, then the box enlarged; one column a picture.

    Args:
        images: (B,H,W) in [0, 1].
        boxes: (B,4) canvas px, or None.
        pictures: title -> (B,H,W) in [0, 1], or integer label maps, which are drawn as outlines on the image.
        roi_only: leave the whole frames out, for images that may show burnt-in names.
    """
    columns = {"original": images, **pictures}
    kinds = ([] if roi_only else ["frame"]) + ([] if boxes is None else ["roi"])
    rows = [(index, kind) for index in range(len(images)) for kind in kinds]
    heights = [images.shape[1] / images.shape[2] if kind == "frame" else 0.3 for _, kind in rows]
    figure = Figure(figsize=(2.6 * len(columns), 2.6 * sum(heights) + 0.4), layout="constrained")
    axes = figure.subplots(len(rows), len(columns), squeeze=False, gridspec_kw={"height_ratios": heights})
    for (index, kind), line in zip(rows, axes, strict=True):
        for axis, values in zip(line, columns.values(), strict=True):
            labelled = np.issubdtype(values.dtype, np.integer)
            _draw(axis, (images if labelled else values)[index], None if boxes is None else boxes[index], kind == "roi")
            if labelled:
                _outline(axis, values[index])
    for axis, title in zip(axes[0], columns, strict=True):
        axis.set_title(title, fontsize=8)
    return figure


def _draw(axis: Axes, picture: Picture, box: NDArray[np.float32] | None, enlarge: bool) -> None:
    height, width = picture.shape
    axis.imshow(picture, cmap="gray", vmin=0, vmax=1, extent=(0, width, height, 0), interpolation="nearest")
    axis.set_axis_off()
    if box is None:
        return
    x1, y1, x2, y2 = box
    if enlarge:
        axis.set(xlim=(x1 - 3, x2 + 3), ylim=(y2 + 3, y1 - 3), aspect="auto")
    else:
        axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor="#ffb000", linewidth=0.8))


def _outline(axis: Axes, labels: NDArray[np.integer[Any]]) -> None:
    for label in range(1, int(labels[labels < NO_LABEL].max(initial=0)) + 1):
        rows, columns = (np.arange(n) + 0.5 for n in labels.shape)
        if (labels == label).any():
            colour = LABEL_COLOURS[(label - 1) % len(LABEL_COLOURS)]
            axis.contour(columns, rows, labels == label, levels=[0.5], colors=colour, linewidths=0.9)
