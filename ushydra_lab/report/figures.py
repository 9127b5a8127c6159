"""What the figures of a report share: colours the colour-blind tell apart, files to look at and to print."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import cycle
from pathlib import Path
from typing import TypeVar

from matplotlib.figure import Figure

from ushydra_lab.report import document
from ushydra_lab.runs.files import atomic

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""M. Okabe and K. Ito, Color universal design, 2008; their yellow is left out, being faint on white."""

Name = TypeVar("Name")


def colours_of(names: Iterable[Name]) -> dict[Name, str]:
    """A colour for each different name, in their order; the colours begin anew after the last."""
    return dict(zip(dict.fromkeys(names), cycle(COLOURS), strict=False))


def save(figure: Figure, file: Path, title: str, caption: str = "") -> document.Figure:
    """Write FILE.png and FILE.pdf, the same bytes for the same figure; what a document shows of them."""
    figure.draw_without_rendering()
    figure.set_layout_engine("none")  # what has been laid out need not be for each file
    for suffix, options in (("png", {"dpi": 150}), ("pdf", {"metadata": {"CreationDate": None}})):
        with atomic(file.with_name(f"{file.name}.{suffix}")) as temporary:
            figure.savefig(temporary, format=suffix, **options)
    return document.Figure(file, title, caption)
