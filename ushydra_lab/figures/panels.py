"""Panels of single images: the original, every stage's output, and the region of interest enlarged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, LinearSegmentedColormap, Normalize
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator
from numpy.typing import NDArray

Picture = NDArray[np.float32]

FIRST_ROW = "first row"
"""What the lowest axis of a panel's first image is called."""
NO_LABEL = 255
DIAMETERS = ("OFD, occipitofrontal diameter", "BPD, biparietal diameter")
LABEL_COLOURS = ("#56b4e9", "#ffb000", "#cc79a7", "#009e73")  # of Okabe and Ito, told apart by the colour-blind


@dataclass(frozen=True)
class Scale:
    """Mapping of a picture's numbers to colours, and the labels of its colour bar."""

    colours: Colormap
    span: Normalize
    label: str
    overlay: bool = False
    """Drawn on the image, and not with the true outlines on it."""


BAR_HEIGHT = 0.05  # of a column's width
GREY = Scale(colormaps["gray"], Normalize(0, 1), "")
BLUE_TO_ORANGE = [(0.0, "#3aa5ff"), (0.5, "#3aa5ff00"), (0.5, "#ff9a1f00"), (1.0, "#ff9a1f")]  # clear in the middle
SCALES = {
    "prob": Scale(colormaps["viridis"], Normalize(0, 1), "probability (white: truth)"),
    "heatmap": Scale(colormaps["viridis"], Normalize(0, 1), "heatmap (white: truth)"),
    "Grad-CAM": Scale(colormaps["viridis"], Normalize(0, 1), "evidence for the prediction, over its maximum"),
    "disagreement": Scale(
        LinearSegmentedColormap.from_list("disagreement", BLUE_TO_ORANGE),
        Normalize(-1, 1),
        "missed  ←  confidence  →  too much",
        overlay=True,
    ),
}
"""Of pictures whose name begins with the key; all others are grey, or label maps."""


def stage_panel(
    images: Picture,
    boxes: NDArray[np.float32] | None,
    pictures: dict[str, Picture],
    structures: Sequence[str] = (),
    roi_only: bool = False,
    captions: Sequence[str] = (),
) -> Figure:
    """Draw two rows per image, the whole frame with the box and the box enlarged, and one column per picture.

    Args:
        images: (B,H,W) in [0, 1].
        boxes: (B,4) canvas px, or None.
        pictures: title, 'NAME' or 'STAGE: NAME' -> (B,H,W) in [0, 1], or integer label maps, which are drawn as
            outlines on the image, or points (B,4,2), drawn as its two diameters. A NAME that begins as one of SCALES
            has its colours and a colour bar, and 'truth' on it in white.
        structures: the names of labels 1, 2, ..., for a legend.
        roi_only: leave the whole frames out, for images that may show burnt-in names.
        captions: one line an image, to stand above it.
    """
    columns = {"original": images, **pictures}
    kinds = ([] if roi_only else ["frame"]) + ([] if boxes is None else ["roi"])
    rows = [(index, kind) for index in range(len(images)) for kind in kinds]
    heights = [images.shape[1] / images.shape[2] if kind == "frame" else 0.3 for _, kind in rows]
    scales = [_scale(title) for title in columns]
    bars = [BAR_HEIGHT] * any(scale.label for scale in scales)
    height = 2.6 * sum(heights + bars) + 0.8 + 0.18 * len(captions)
    figure = Figure(figsize=(2.6 * len(columns), height), layout="constrained")
    grid = {"height_ratios": heights + bars}
    axes = figure.subplots(len(rows) + len(bars), len(columns), squeeze=False, gridspec_kw=grid)
    for (index, kind), line in zip(rows, axes, strict=False):
        for axis, title in zip(line, columns, strict=True):
            _draw(axis, title, {name: values[index] for name, values in columns.items()})
            _frame(axis, images.shape[1:], None if boxes is None else boxes[index], kind == "roi")
    for axis, title in zip(axes[0], columns, strict=True):
        below = "\n" * bool(captions)  # where the first image's caption stands
        axis.set_title(title + below, fontsize=8, linespacing=1.6, y=1)
    for line, caption in zip(axes[:: len(kinds)], captions, strict=False):
        line[0].set_title(caption, fontsize=8, loc="left", fontweight="bold", parse_math=False, y=1)
    for axis, scale in zip(axes[-1], scales, strict=True) if bars else ():
        _colour_bar(figure, axis, scale)
    axes[len(kinds) - 1, 0].set_gid(FIRST_ROW)
    _legend(figure, _named(pictures, structures))
    return figure


Sample = tuple[str, Picture, NDArray[np.float32] | None, dict[str, Picture]]
"""A caption, an image (H,W) in [0, 1], its box (1,4) canvas px or None, and its truth, as `stage_panel` takes it."""


def sample_panel(rows: Sequence[Sequence[Sample]], structures: Sequence[str] = ()) -> Figure:
    """Rows of images with what is known of them drawn on, each below its caption."""
    columns = max(map(len, rows))
    height, width = next(image.shape for row in rows for _, image, *_ in row)
    lines = max(caption.count("\n") for row in rows for caption, *_ in row)
    size = (3.2 * columns, (3.2 * height / width + 0.15 * lines) * len(rows) + 0.5)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for row, line in zip(rows, axes, strict=True):
        for axis in line:
            _hide_axis(axis)
        for (caption, image, box, truth), axis in zip(row, line, strict=False):
            _show(axis, image, GREY)
            for values in truth.values():
                _annotate(axis, values[0])
            _frame(axis, image.shape, None if box is None else box[0], False)
            axis.set_title(caption, fontsize=8, loc="left", parse_math=False, y=1)
    truth = {name: values for row in rows for *_, known in row for name, values in known.items()}
    _legend(figure, _named(truth, structures))
    return figure


def _named(pictures: dict[str, Picture], structures: Sequence[str]) -> Sequence[str]:
    """What the colours of the drawn lines stand for."""
    return DIAMETERS if any(_pointed(values[0]) for values in pictures.values()) else structures


def _legend(figure: Figure, names: Sequence[str]) -> None:
    if names:
        lines = [Line2D([], [], color=_colour(label), label=name) for label, name in enumerate(names, 1)]
        figure.legend(handles=lines, loc="outside lower left", ncols=len(lines), fontsize=8, frameon=False)


def _scale(title: str) -> Scale:
    return SCALES.get(title.rpartition(": ")[2].partition(" ")[0], GREY)


def _draw(axis: Axes, title: str, columns: dict[str, Picture]) -> None:
    values, scale = columns[title], _scale(title)
    on_image = _labelled(values) or _pointed(values)
    if on_image or scale.overlay:
        _show(axis, columns["original"], GREY)
    if on_image:
        _annotate(axis, values)
        return
    _show(axis, values, scale)
    if scale.label and not scale.overlay and "truth" in columns:
        _annotate(axis, columns["truth"], "white", 0.5)


def _labelled(values: Picture) -> bool:
    return np.issubdtype(values.dtype, np.integer)


def _pointed(values: Picture) -> bool:
    return values.shape == (4, 2)


def _annotate(axis: Axes, values: Picture, colour: str = "", width: float = 0.9) -> None:
    if _labelled(values):
        _outline(axis, values, colour, width)
        return
    for label, ends in enumerate((values[:2], values[2:]), 1):
        axis.plot(*ends.T, "-", color=colour or _colour(label), linewidth=width, marker="o", markersize=2.5 * width)


def _show(axis: Axes, picture: Picture, scale: Scale) -> None:
    height, width = picture.shape
    extent = (0, width, height, 0)
    axis.imshow(picture, cmap=scale.colours, norm=scale.span, extent=extent, interpolation="nearest")


def _frame(axis: Axes, shape: tuple[int, ...], box: NDArray[np.float32] | None, enlarge: bool) -> None:
    _hide_axis(axis)
    axis.set(xlim=(0, shape[1]), ylim=(shape[0], 0))
    if box is None:
        return
    x1, y1, x2, y2 = box
    if enlarge:
        axis.set(xlim=(x1 - 3, x2 + 3), ylim=(y2 + 3, y1 - 3), aspect="auto")
    else:
        axis.add_patch(Rectangle((x1, y1), x2 - x1, y2 - y1, fill=False, edgecolor="#ffb000", linewidth=0.8))


def _hide_axis(axis: Axes) -> None:
    axis.set_axis_off()
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_locator(NullLocator())  # hidden ticks are laid out, too, which takes most of a panel's time


def _outline(axis: Axes, labels: NDArray[Any], colour: str, width: float) -> None:
    """Around each label, in its own colour unless one is given."""
    rows, columns = (np.arange(n) + 0.5 for n in labels.shape)
    for label in np.unique(labels[(labels > 0) & (labels < NO_LABEL)]):
        colours = colour or _colour(int(label))
        axis.contour(columns, rows, labels == label, levels=[0.5], colors=colours, linewidths=width)


def _colour(label: int) -> str:
    return LABEL_COLOURS[(label - 1) % len(LABEL_COLOURS)]


def _colour_bar(figure: Figure, axis: Axes, scale: Scale) -> None:
    if not scale.label:
        axis.set_axis_off()
        return
    low, high = scale.span.vmin, scale.span.vmax
    ticks = np.linspace(float(low or 0), float(high or 1), 5)
    bar = figure.colorbar(ScalarMappable(scale.span, scale.colours), cax=axis, orientation="horizontal", ticks=ticks)
    bar.set_label(scale.label, fontsize=7)
    axis.tick_params(labelsize=7)
