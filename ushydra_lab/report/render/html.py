"""The report as one self-contained HTML page: no network, no other file; its one script sorts tables."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup
from PIL import Image

from ushydra_lab.figures.style import open_picture
from ushydra_lab.files import write_text
from ushydra_lab.report.document import Block, Document, Figure, Gap, Heading, Note, Table, cells_of
from ushydra_lab.report.missing import command, missing
from ushydra_lab.report.protocol import SYNTHETIC, protocol, synthetic
from ushydra_lab.report.render.pictures import cases, embedded, first_row
from ushydra_lab.report.sections.claim import UNSTATED, Stated
from ushydra_lab.report.tables import methods_in, metrics_in
from ushydra_lab.report.verdict import RULE, verdict
from ushydra_lab.results.collect import Collected
from ushydra_lab.tasks.columns import Metric

SCRIPT = (Path(__file__).parent / "sort.js").read_text(encoding="utf-8")
"""The page's policy names it by its hash: no other script runs, also none that a name from data might smuggle in."""
QUANTILES = {"worst": 0.0, "worst 5 %": 0.05, "median": 0.5, "best 5 %": 0.95, "best": 1.0}


@dataclass(frozen=True)
class Results:
    """What a page shows of the finished runs.

    claims, answered: what was claimed, and its figures, tables and notes (`sections.claim`). sections: all else,
    without the report's title and the list of runs that are missing. changes: what was held out -> the comparisons on
    its test images.
    """

    claims: list[Stated] = field(default_factory=list)
    answered: Document = field(default_factory=list)
    sections: Document = field(default_factory=list)
    changes: dict[str, pd.DataFrame] = field(default_factory=dict)


def write(collected: Collected, results: Results, experiment: Path) -> Path:
    """Write `report/index.html` of an experiment, whose figures lie beside it already, and return its path."""
    file = experiment / "report" / "index.html"
    write_text(file, render(collected, results, experiment))
    return file


def render(collected: Collected, results: Results, experiment: Path) -> str:
    """The page as HTML: the claim's answer with its forest plot and a row of pictures, then everything else.

    Everything that comes from data, such as names of sites and methods, is escaped.
    """
    shown, withheld = cases(collected) if len(collected.stages) else ([], [])
    how = protocol(collected) if len(collected.stages) else None
    compared = any(len(one) and one["change"].notna().any() for one in results.changes.values())
    return page(
        "page.html",
        experiment.name,
        synthetic=SYNTHETIC if how and synthetic(collected) else "",
        claims=results.claims,
        forests=[figure_html(block, fit=True) for block in results.answered if isinstance(block, Figure)],
        first=first_row(collected) if len(collected.stages) else "",
        numbers=to_html([block for block in results.answered if isinstance(block, Table)]),
        unstated="" if results.claims or not results.changes else UNSTATED,
        verdicts=[verdict(held_out, images, results.changes[held_out]) for held_out, images in _tested(collected)],
        rule=RULE if compared else "",
        results=to_html(results.sections),
        extremes=[(held_out, table_html(Table(table))) for held_out, table in _extremes(collected)],
        cases=shown,
        withheld=withheld,
        protocol=how,
        parts=table_html(Table(how.parts)) if how and len(how.parts) else "",
        differing=table_html(Table(how.differing)) if how and len(how.differing) else "",
        missing=missing(collected),
        command=command(experiment),
    )


def page(template: str, name: str, **content: Any) -> str:
    """A template of this folder as HTML; what is no Markup is escaped."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True,
                                     trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    digest = base64.b64encode(hashlib.sha256(SCRIPT.encode()).digest()).decode()
    return environment.get_template(template).render(name=name, script=Markup(SCRIPT), script_hash=digest, **content)


def _tested(collected: Collected) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each held-out site, in alphabetical order, with its test images."""
    for held_out, images in collected.images[collected.images["part"] == "test"].groupby("held_out"):
        yield str(held_out), images


def to_html(document: Document) -> Markup:
    """The blocks as HTML with every figure's PNG embedded; consecutive gaps become one list.

    A caption is told once: below further tables of the same caption it opens on demand.
    """
    html, told = [], set[str]()
    for are_gaps, blocks in groupby(document, lambda block: isinstance(block, Gap)):
        text = Markup("").join(_block_html(block, told) for block in blocks)
        html.append(Markup("<ul>\n{}</ul>\n").format(text) if are_gaps else text)
    return Markup("").join(html)


def _block_html(block: Block, told: set[str]) -> Markup:
    match block:
        case Heading():
            return Markup("<h{0}>{1}</h{0}>\n").format(block.level, block.text)
        case Table():
            return table_html(block) + _caption(block.caption, told)
        case Figure():
            return figure_html(block) + _caption(block.caption, told)
        case Note():
            return _paragraph(block.text)
        case Gap():
            command = Markup("<br>\n<code>{}</code>").format(block.command) if block.command else ""
            return Markup("<li>{}{}</li>\n").format(block.sentence, command)


def _caption(text: str, told: set[str]) -> Markup:
    if text not in told:
        told.add(text)
        return _paragraph(text)
    again = Markup("<details><summary>How to read it: as above</summary>{}</details>\n")
    return again.format(_paragraph(text)) if text else Markup("")


def _paragraph(text: str) -> Markup:
    return Markup("<p>{}</p>\n").format(text) if text else Markup("")


def figure_html(figure: Figure, *, fit: bool = False) -> Markup:
    """A figure with its title as alternative text; a notice where the file is missing or damaged.

    Unless it is to fit the page, it may be scrolled sideways rather than become too small to read.
    """
    file = figure.file.with_name(f"{figure.file.name}.png")
    try:
        source = embedded(file, "PNG")
        with open_picture(file) as picture:
            narrowest = 0 if fit else picture.width // 2
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # SyntaxError: a PNG that is cut short
        return Markup('<p class="notice">The figure "{}" is missing or damaged.</p>\n').format(figure.title)
    image = Markup('<img src="{}" alt="{}" style="min-width: {}px">').format(source, figure.title, narrowest)
    return Markup('<figure class="chart scroll" tabindex="0">{}</figure>\n').format(image)


def table_html(table: Table) -> Markup:
    """A table in a box that can be scrolled sideways."""
    header, *rows = cells_of(table)
    head = _row_html("th", header)
    body = Markup("").join(_row_html("td", row) for row in rows)
    text = Markup("<table>\n<thead>\n{}</thead>\n<tbody>\n{}</tbody>\n</table>").format(head, body)
    return Markup('<div class="scroll" tabindex="0">{}</div>\n').format(text)


def _row_html(tag: str, cells: list[str]) -> Markup:
    texts = [Markup(" <br>").join(cell.split("\n")) for cell in cells]
    row = Markup("").join(Markup("<{0}>{1}</{0}>").format(tag, text) for text in texts)
    return Markup("<tr>{}</tr>\n").format(row)


def _extremes(collected: Collected) -> Iterator[tuple[str, pd.DataFrame]]:
    """How far single test images lie apart: a row a method and metric, from the worst image to the best."""
    for held_out, images in _tested(collected):
        metrics = metrics_in(images)
        rows = [
            {"method": method, "metric": metric.title, **_range(images.loc[images["method"] == method, name], metric)}
            for method in methods_in(images)
            for name, metric in metrics.items()
        ]
        yield held_out, pd.DataFrame(rows)


def _range(values: pd.Series, metric: Metric) -> dict[str, Any]:
    sign = 1 if metric.better == "higher" else -1
    ordered = sign * values
    return {
        title: "n/a" if values.isna().all() else f"{sign * ordered.quantile(share) + 0.0:.{metric.digits}f}"
        for title, share in QUANTILES.items()
    }
