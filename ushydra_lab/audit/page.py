"""Writing the audit report as a folder: one self-contained HTML page, and the flags as a table."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd

from ushydra_lab.audit import density, frequencies
from ushydra_lab.audit.flags import Finding, by_site
from ushydra_lab.audit.overlay import palette, thumbnail
from ushydra_lab.audit.report import Report
from ushydra_lab.data import checks, listings
from ushydra_lab.data.vocabulary import IMAGE
from ushydra_lab.errors import UserError
from ushydra_lab.files import disk_errors, write_csv, write_text

MARK = ".made-by-ushydra_lab.check"
"""A file in every folder that the check made, which it may therefore replace."""
REMEDY = "choose another folder with --out"
OWN = {MARK, "index.html", "flags.csv"}
MOST_IMAGES, MOST_LINES, SAMPLES = 60, 300, 3


def write(report: Report, folder: Path) -> Path:
    """index.html and flags.csv in `folder`, which is replaced as a whole; returns the page.

    Raises UserError: the folder holds something else, or cannot be written.
    """
    folder = Path(os.path.normpath(folder))
    refuse_foreign(folder)
    with (
        disk_errors(folder, REMEDY),
        tempfile.TemporaryDirectory(prefix=".check.", dir=folder.parent) as scratch,
    ):
        made = Path(scratch) / "new"
        made.mkdir()
        write_text(made / MARK, "")
        write_text(made / "index.html", render(report))
        write_csv(made / "flags.csv", flag_table(report))
        if folder.exists():
            folder.rename(Path(scratch) / "old")
        made.rename(folder)
    return folder / "index.html"


def refuse_foreign(folder: Path) -> None:
    """Raises UserError where `folder` holds anything that the check did not make, or cannot be made."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        found = {path.name for path in folder.iterdir()} if folder.exists() else {MARK}
    except OSError as error:
        raise UserError(f"{folder}: cannot be used ({error.strerror}); {REMEDY}") from error
    if MARK not in found or (strange := found - OWN):
        more = f" ({', '.join(sorted(strange)[:3])})" if MARK in found else ""
        raise UserError(f"{folder}: holds what the check did not make{more}; {REMEDY}")


def flag_table(report: Report) -> pd.DataFrame:
    """One line per flag and row: kind, line or row of the source, image, text."""
    table = report.examined.table
    index = table.index.name or "row"
    rows = [
        {"kind": finding.kind, index: table.index[row], "image": table[IMAGE].iat[row], "text": flag.text}
        for finding in report.findings
        for flag in finding.flags
        for row in flag.rows
    ]
    return pd.DataFrame(rows, columns=["kind", index, "image", "text"])


def render(report: Report) -> str:
    """The page. File names and other people's text are escaped."""
    folder, problems = Path(__file__).parent, listings.located(report.examined)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(folder), autoescape=True, trim_blocks=True)
    return environment.get_template("page.html").render(
        name=report.source.name,
        verdict=report.verdict,
        usable=report.usable,
        ignored=checks.ignored(report.source.table),
        samples=list(_samples(report)),
        problems=problems[:MOST_LINES],
        problem_count=len(problems),
        rows=len(report.examined.table),
        absent=len(report.examined.absent),
        unusable=listings.unusable(report.examined),
        unusable_count=len({row for row, _ in report.examined.unusable}),
        repeats=frequencies.repeats(report.examined.table),
        sites=list(report.overview.columns),
        overview=[
            (what, list(cells)) for what, cells in zip(report.overview.index, report.overview.values, strict=True)
        ],
        parts=report.parts.to_dict("records"),
        density=density.pictures(report.examined.table),
        findings=[_section(report, finding) for finding in report.findings],
        most_lines=MOST_LINES,
        colours=palette(report.examined.table, report.source.masks),
    )


def _samples(report: Report) -> Iterator[dict[str, str]]:
    """The first, middle and last image of every site, so that whoever checks sees what will be trained on."""
    table = report.examined.table
    there = (table["sha256"] != "").to_numpy()
    for site, rows in by_site(table).items():
        own = rows[there[rows]]
        for row in dict.fromkeys(own[np.linspace(0, len(own) - 1, SAMPLES).round().astype(int)] if len(own) else []):
            picture = thumbnail(report.examined, report.source.masks, int(row))
            yield {"picture": picture, "place": f"{site}: {checks.place(table, int(row))}"}


def _section(report: Report, finding: Finding) -> dict[str, Any]:
    sheet = list(_sheet(report, finding))
    whole = [flag.text for flag in finding.flags if not flag.rows]
    rows = [flag.text for flag in finding.flags if flag.rows]
    return {"finding": finding, "whole": whole, "lines": rows[:MOST_LINES], "count": len(rows), "sheet": sheet}


def _sheet(report: Report, finding: Finding) -> Iterator[dict[str, str]]:
    """Pictures of the first flags, MOST_IMAGES at most; the images of one flag are kept together."""
    drawn = 0
    for flag in finding.flags:
        if drawn + len(flag.rows) > MOST_IMAGES:
            continue
        for row in flag.rows:
            if picture := thumbnail(report.examined, report.source.masks, row):
                drawn += 1
                yield {"picture": picture, "place": checks.place(report.examined.table, row), "text": flag.text}
