"""What tests that do not look at a run's pictures have drawn: panels are most of the time of a training of seconds."""

from typing import Any

from matplotlib.figure import Figure

from ushydra_lab.evaluation import pictures
from ushydra_lab.figures.panels import FIRST_ROW, Picture

PANEL = pictures.stage_panel


def draw_little() -> None:
    """From now on a panel is its first image, and one image of each kind of answer is drawn."""
    pictures.EXTREMES = dict.fromkeys(pictures.EXTREMES, 1)
    vars(pictures)["stage_panel"] = first_image


def first_image(images: Picture, *_: Any, **more: Any) -> Figure:
    figure = Figure(figsize=(2, 1.5))
    axis = figure.add_axes((0, 0.1, 1, 0.9))
    axis.imshow(images[0], cmap="gray")
    axis.set_gid(FIRST_ROW)
    return figure
