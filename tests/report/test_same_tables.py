"""The reports of all experiments have the tables that version 0.2.0 gave of the same runs, cell by cell.

`python -m tests.report.test_same_tables` writes expected/ anew: only where a table is meant to change.
"""

import json
import sys
import tempfile
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from matplotlib.figure import Figure
from PIL import Image

from ushydra_lab.report.build import report

from .small_experiments import EXPERIMENTS

EXPECTED = Path(__file__).with_name("expected")


class Tables(HTMLParser):
    """The rows of all tables of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag == "table":
            self.rows.append(["TABLE"])
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_data(self, data: str) -> None:
        if self.rows and self.rows[-1] and self.rows[-1] != ["TABLE"]:
            self.rows[-1][-1] += data

    def handle_endtag(self, tag: str) -> None:
        if tag == "table":
            self.rows.append([])


def written(folder: Path) -> dict[str, list[str]]:
    """What a report says: lines of tables.md, rows of each CSV, and of the page those that tables.md lacks."""
    lines = [line.strip().replace("`", "") for line in (folder / "tables.md").read_text().splitlines()]
    found = {"tables.md": [line for line in lines if line]}
    rows = [
        " | ".join(" ".join(cell.split()) for cell in row) for row in Tables((folder / "index.html").read_text()).rows
    ]
    there = {line.strip("| ").replace("\\|", "|") for line in lines}
    found["index.html"] = [row for row in rows if row and row not in there]
    for file in sorted(folder.glob("*.csv")):
        found[file.name] = file.read_text().splitlines()
    return found


def same(before: str, after: str) -> bool:
    """Cells of a CSV; numbers in their last digits may be another machine's."""
    cells, others = before.split(","), after.split(",")
    return len(cells) == len(others) and all(map(_same_cell, cells, others))


def _same_cell(one: str, other: str) -> bool:
    try:
        return one == other or float(one) == pytest.approx(float(other), rel=1e-6, abs=1e-12, nan_ok=True)
    except ValueError:
        return False


def kept(name: str, found: dict[str, list[str]]) -> dict[str, list[str]]:
    """What is found, with the rows of CSV as they were before where only the last digits are others."""
    before: dict[str, list[str]] = json.loads((EXPECTED / f"{name}.json").read_text())
    files = {file: lines for file, lines in before.items() if len(lines) == len(found.get(file, []))}
    return {
        file: [
            old if file.endswith(".csv") and same(old, new) else new
            for old, new in zip(files[file], lines, strict=True)
        ]
        if file in files
        else lines
        for file, lines in found.items()
    }


def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures become one pixel: no table depends on them."""
    monkeypatch.setattr(Figure, "draw_without_rendering", lambda self: None)
    monkeypatch.setattr(Figure, "savefig", lambda self, file, **_: Image.new("L", (1, 1)).save(file, "PNG"))


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_cell_of_every_table_is_as_it_was(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast(monkeypatch)
    EXPERIMENTS[name](tmp_path / name)
    report(tmp_path / name)
    expected: dict[str, list[str]] = json.loads((EXPECTED / f"{name}.json").read_text())
    found = written(tmp_path / name / "report")
    assert list(found) == list(expected)
    for file, lines in expected.items():
        if file.endswith(".csv"):
            assert [line for line, now in zip(lines, found[file], strict=True) if not same(line, now)] == []
        else:
            assert found[file] == lines, file


if __name__ == "__main__":
    chosen = sys.argv[1:] or list(EXPERIMENTS)
    patch = pytest.MonkeyPatch()
    fast(patch)
    for name in chosen:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / name
            EXPERIMENTS[name](root)
            report(root)
            text = json.dumps(kept(name, written(root / "report")), ensure_ascii=False, indent=0)
            (EXPECTED / f"{name}.json").write_text(text + "\n", encoding="utf-8")
