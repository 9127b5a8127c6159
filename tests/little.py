"""What tests that do not look at pictures have drawn: figures are most of the time of a small training or report."""

import io
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

from ushydra_lab.figures.panels import FIRST_ROW, Picture, Sample, sample_panel, stage_panel
from ushydra_lab.figures.style import save, tidy
from ushydra_lab.files import atomic

WHOLE = {
    "ushydra_lab.evaluation.pictures": {"stage_panel": stage_panel, "sample_panel": sample_panel},
    "ushydra_lab.report.document": {"save": save},
}
"""Module -> what it draws with."""


def draw_little() -> None:
    """From now on a panel is its first image, an image of each kind of answer is drawn, and figures are small."""
    little = {
        "ushydra_lab.evaluation.pictures": {
            "EXTREMES": {"hardest": 1, "easiest": 1}, "stage_panel": first_image, "sample_panel": first_sample,
        },
        "ushydra_lab.report.document": {"save": save_little},
    }  # fmt: skip
    for name, with_these in little.items():
        if name in sys.modules:
            vars(sys.modules[name]).update(with_these)


def first_image(images: Picture, *_: Any, **more: Any) -> Figure:
    figure = Figure(figsize=(2, 1.5))
    axis = figure.add_axes((0, 0.1, 1, 0.9))
    axis.imshow(images[0], cmap="gray")
    axis.set_gid(FIRST_ROW)
    return figure


def first_sample(rows: Sequence[Sequence[Sample]], *_: Any) -> Figure:
    return first_image(rows[0][0][1][None])


def save_little(figure: Figure, file: Path) -> None:
    """A small PNG, and a PDF without anything."""
    tidy(figure)
    figure.set_layout_engine(None)
    with atomic(file.with_name(f"{file.name}.png")) as temporary:
        figure.savefig(temporary, format="png", dpi=20)
    with atomic(file.with_name(f"{file.name}.pdf")) as temporary:
        temporary.write_bytes(PAGE)


def _page() -> bytes:
    out, then = io.BytesIO(), time.gmtime(0)
    Image.new("1", (1, 1)).save(out, "PDF", creationDate=then, modDate=then)
    return out.getvalue()


PAGE = _page()
