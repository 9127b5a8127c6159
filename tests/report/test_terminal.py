"""The terminal shows every text as it is, and no figure."""

import io
from pathlib import Path

import pandas as pd
from rich.console import Console

from ushydra_lab.report.document import Document, Figure, Gap, Heading, Note, Table
from ushydra_lab.report.render import terminal


def shown(document: Document) -> str:
    out = io.StringIO()
    terminal.show(Console(file=out, width=120), document)
    return out.getvalue()


def test_names_in_brackets_are_text_and_no_mark_up() -> None:
    name = "[red]x[/red] :smile:"
    table = Table(pd.DataFrame({name: [name]}), name)
    assert shown([Heading(name, 2), table, Note(name), Gap(name, name, name)]).count(name) == 8


def test_a_change_stands_above_its_interval_and_a_command_on_one_line() -> None:
    text = shown([Table(pd.DataFrame({"method": ["a"], "change": ["+1\n[+0, +2]"]})), Gap("a", "not run", "x " * 100)])
    rows = [[cell.strip() for cell in line.split("│")] for line in text.splitlines() if "│" in line]
    assert rows == [["", "a", "+1", ""], ["", "", "[+0, +2]", ""]]
    assert "x " * 99 in text


def test_a_figure_is_left_to_the_files(tmp_path: Path) -> None:
    assert shown([Figure(tmp_path / "curves", "Curves", "One line a run.")]) == ""
