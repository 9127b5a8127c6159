"""The style of all figures: colour-blind-safe colours, and saving as PNG and PDF."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from itertools import cycle
from pathlib import Path
from typing import TypeVar

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FixedLocator
from PIL import Image

from ushydra_lab.config.identity import PATH, WITHHELD
from ushydra_lab.errors import printable
from ushydra_lab.files import atomic

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""M. Okabe and K. Ito, Color universal design, 2008; their yellow is left out, being faint on white."""

MATHEMATICS = r"\mathdefault"
"""What the tick labels of a logarithmic axis hold, which matplotlib writes itself."""

Name = TypeVar("Name")


def open_picture(file: Path) -> Image.Image:
    """A PNG that may have come with a run. Another kind may start programs (EPS), a pipe has no end.

    Raises:
        OSError: it is neither.
    """
    if not file.is_file():
        raise OSError(f"{file} is no ordinary file")
    return Image.open(file, formats=["PNG"])


def colours_of(names: Iterable[Name]) -> dict[Name, str]:
    """A colour for each different name, in their order; the colours begin anew after the last."""
    return dict(zip(dict.fromkeys(names), cycle(COLOURS), strict=False))


def tidy(figure: Figure) -> None:
    """Show names from data as the texts they are: no mathematics, no control characters, no path."""
    for axis in (one for axes in figure.axes for one in (axes.xaxis, axes.yaxis)):
        if not isinstance(axis.get_major_locator(), FixedLocator):
            continue
        if labels := [_shown(tick.get_text()) for tick in axis.get_majorticklabels()]:  # none inside of shared axes
            axis.set_ticklabels(labels)
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if MATHEMATICS not in (words := text.get_text()) and words:
            text.set_text(_shown(words))
            text.set_parse_math(False)


def _shown(text: str) -> str:
    return text if MATHEMATICS in text else WITHHELD if PATH.search(text) else printable(text)


def lay_out(figure: Figure) -> None:
    """Give everything its place, once for all files; matplotlib would do it twice for each."""
    if engine := figure.get_layout_engine():
        engine.execute(figure)
        figure.set_layout_engine(None)
    for axis in figure.axes:
        axis.apply_aspect()


def save(figure: Figure, file: Path) -> None:
    """Write FILE.png and FILE.pdf, the same bytes for the same figure; fonts are embedded as TrueType."""
    logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells what becomes of every glyph
    tidy(figure)
    lay_out(figure)
    for suffix, options in (("png", {"dpi": 150}), ("pdf", {"metadata": {"CreationDate": None}})):
        embedded = rc_context({"pdf.fonttype": 42})  # journals refuse Type 3, matplotlib's own choice
        with atomic(file.with_name(f"{file.name}.{suffix}")) as temporary, embedded:
            figure.savefig(temporary, format=suffix, **options)
