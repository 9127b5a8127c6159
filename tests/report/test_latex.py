"""The report as LaTeX: every table whole, nothing that breaks a document, accepted by TeX."""

import re
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from ushydra_lab.report.document import Document, Gap, Heading, Note, Table, save_figure
from ushydra_lab.report.render.latex import SPECIAL, escape, render

NASTY = r"50 % of_a#b & {c} ~ ^ \ $ <x> [y] * \"q\" ± → ↑ ↓ Δ ρ² – | end"


def report(frame: pd.DataFrame) -> Document:
    table = Table(frame, f"The caption: {NASTY}")
    gaps = [Gap("one", "not run", "a_b=c"), Gap("two")]
    return [Heading("exp", 1), Heading("One", 3), table, Note("More words."), *gaps]


def rows(text: str) -> list[list[str]]:
    body = text.partition("\\toprule\n")[2].partition("\n\\bottomrule")[0]
    lines = [line.removesuffix(r" \\") for line in body.splitlines() if line != r"\midrule"]
    return [re.split(r" (?<!\\)& ", line) for line in lines]


@given(st.lists(st.lists(st.text("ab12%&_#$", min_size=1, max_size=5), min_size=2, max_size=2), min_size=1, max_size=4))
def test_every_cell_arrives(cells: list[list[str]]) -> None:
    table = pd.DataFrame(cells, columns=["method", "value ↑"])
    found = rows(render(report(table)))
    assert found == [["method", r"value $\uparrow$"], *[[escape(cell) for cell in row] for row in cells]]


def test_a_table_has_the_heading_above_and_the_paragraph_below_as_its_caption_and_nothing_is_said_twice() -> None:
    text = render(report(pd.DataFrame({"a": [1]})))
    assert f"\\caption{{One. The caption: {escape(NASTY)}}}" in text
    assert text.count("The caption") == 1
    assert "More words." in text
    assert "\\item one: not run.\n\\texttt{a\\_b=c}\n\\item two\n" in text


def test_a_figure_is_its_pdf_with_its_caption(tmp_path: Path) -> None:
    shown = save_figure(Figure(), tmp_path / "site_c_areas", "Areas", "Images per seed.")
    text = render([Heading("site_c", 2), shown, Note("Something else.")])
    assert "{site_c_areas.pdf}" in text
    assert "\\caption{Areas. Images per seed.}" in text
    assert text.count("Images per seed") == text.count("Something else") == 1


@pytest.mark.skipif(not shutil.which("pdflatex"), reason="no TeX here")
def test_tex_accepts_it(tmp_path: Path) -> None:
    figure = Figure()
    figure.subplots()
    table = pd.DataFrame({"name": [NASTY, *SPECIAL], "value": "1"})
    text = render([*report(table), save_figure(figure, tmp_path / "a_b", "A figure", NASTY)])
    (tmp_path / "tables.tex").write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["pdflatex", "-halt-on-error", "tables.tex"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-2000:]
