"""Names from data in figures are texts, and no more."""

import logging
import warnings
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from ushydra_lab.config.identity import WITHHELD
from ushydra_lab.figures.style import tidy
from ushydra_lab.report.document import save_figure

pytestmark = pytest.mark.usefixtures("whole_pictures")
NAMES = {
    "north": "north",
    "$a_{$ b": "$a_{$ b",
    "a\x1b[31mred": "a\\x1b[31mred",
    "\u202eevil": "\\u202eevil",
    "/home/jane/clinic": WITHHELD,
    "C:\\clinic\\b": WITHHELD,
    "two\nlines": "two\nlines",
}


def named(name: str) -> Figure:
    """A figure with a name wherever one may stand, and one axis of powers of ten."""
    figure = Figure()
    linear, logarithmic = figure.subplots(1, 2)
    linear.plot([0, 1], [0, 1], label=name)
    linear.set(title=name, xlabel=name, ylabel=name)
    linear.set_xticks([0, 1], [name, "plain"])
    linear.legend()
    figure.suptitle(name)
    logarithmic.plot([1, 1000], [1, 1000])
    logarithmic.set_yscale("log")
    return figure


def texts(figure: Figure) -> list[str]:
    figure.draw_without_rendering()
    return [text.get_text() for text in figure.findobj(Text) if isinstance(text, Text)]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_shown_as_it_is_or_withheld(name: str) -> None:
    figure = named(name)
    tidy(figure)
    shown = texts(figure)
    assert shown.count(NAMES[name]) >= 6
    assert (name in shown) == (NAMES[name] == name)
    assert any(r"\mathdefault{10^{2}}" in text for text in shown)


@pytest.mark.parametrize("name", NAMES)
def test_files_are_written_whatever_the_name(name: str, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_figure(named(name), tmp_path / "figure", "title")
    for suffix in ("png", "pdf"):
        content = (tmp_path / f"figure.{suffix}").read_bytes()
        assert b"jane" not in content
        assert b"clinic" not in content


def test_a_figure_is_written_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A job logs all that libraries tell, as Hydra sets it up, and embedding fonts tells much."""
    figure = Figure()
    figure.add_subplot().set_title("ρ of 1")
    with caplog.at_level(logging.INFO):
        save_figure(figure, tmp_path / "figure", "title", "caption")
    assert not caplog.records


def test_panels_that_share_an_axis_keep_its_names() -> None:
    figure = Figure()
    axes = figure.subplots(1, 2, sharey=True)
    for axis in axes:
        axis.set_yticks([0, 1], ["low", "high"])
    tidy(figure)
    assert [label.get_text() for label in axes[0].get_yticklabels()] == ["low", "high"]
