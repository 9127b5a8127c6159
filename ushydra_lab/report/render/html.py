"""The report as one self-contained HTML page: no network, no other file, no script."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pandas as pd
from markupsafe import Markup
from PIL import Image

from ushydra_lab.figures.style import open_picture
from ushydra_lab.files import write_text
from ushydra_lab.report.document import Block, Document, Figure, Gap, Heading, Note, Table, cells_of
from ushydra_lab.report.missing import command, missing
from ushydra_lab.report.protocol import SYNTHETIC, protocol, synthetic
from ushydra_lab.report.sections.claim import FOREST, UNSTATED, Stated
from ushydra_lab.report.tables import methods_in, metrics_in
from ushydra_lab.report.verdict import RULE, verdict
from ushydra_lab.results.collect import Collected
from ushydra_lab.runs.run import Run
from ushydra_lab.tasks.columns import Metric

PICTURES = {
    "hardest": "The test images with the worst results, the worst first. Above each: its record in per_image.csv and "
    "the score of the last stage that they are ordered by",
    "easiest": "The test images with the best results, the best first. Above each: its record in per_image.csv and the "
    "score of the last stage that they are ordered by",
    "test": "Some test images, chosen before any result was known; above each its record in per_image.csv",
    "interpolation": "Between two test images: what the decoder makes of evenly spaced points on the line between them",
    "perturbation": "A test image whose code is moved along the directions in which the validation images' vary most",
}
"""The pictures of a run that the page shows, in its order, and their captions."""
MOST_BYTES = 6_500_000
"""The size of all pictures of images together; base64 takes a third more."""
WIDTHS = (1600, 1400, 1200, 1000, 800, 640, 400)
QUANTILES = {"worst": 0.0, "worst 5 %": 0.05, "median": 0.5, "best 5 %": 0.95, "best": 1.0}


class Case(NamedTuple):
    """A picture of test images through one method; source: data URI."""

    title: str
    caption: str
    source: str


def write(
    collected: Collected, claims: list[Stated], results: Document, changes: dict[str, pd.DataFrame], experiment: Path
) -> Path:
    """Write `report/index.html` of an experiment, whose figures lie beside it already, and return its path.

    results: without the report's title and the list of runs that are missing. changes: what was held out -> the
    comparisons on its test images.
    """
    page = experiment / "report" / "index.html"
    write_text(page, render(collected, claims, results, changes, experiment))
    return page


def render(
    collected: Collected, claims: list[Stated], results: Document, changes: dict[str, pd.DataFrame], experiment: Path
) -> str:
    """The page as HTML: the forest plot and the claim's answer, then everything else.

    Everything that comes from data, such as names of sites and methods, is escaped.
    """
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True,
                                     trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    shown, withheld = _cases(collected) if len(collected.stages) else ([], [])
    how = protocol(collected) if len(collected.stages) else None
    forest = next((block for block in results if isinstance(block, Figure) and block.title.startswith(FOREST)), None)
    compared = any(len(one) and one["change"].notna().any() for one in changes.values())
    return environment.get_template("page.html").render(
        name=experiment.name,
        synthetic=SYNTHETIC if how and synthetic(collected) else "",
        claims=claims,
        forest=figure_html(forest, fit=True) if forest else "",
        unstated="" if claims or not changes else UNSTATED,
        verdicts=[verdict(held_out, images, changes[held_out]) for held_out, images in _tested(collected)],
        rule=RULE if compared else "",
        results=to_html([block for block in results if block is not forest]),
        extremes=[(held_out, table_html(Table(table))) for held_out, table in _extremes(collected)],
        cases=shown,
        withheld=withheld,
        protocol=how,
        parts=table_html(Table(how.parts)) if how and len(how.parts) else "",
        differing=table_html(Table(how.differing)) if how and len(how.differing) else "",
        missing=missing(collected),
        command=command(experiment),
    )


def _tested(collected: Collected) -> Iterator[tuple[str, pd.DataFrame]]:
    """Each held-out site, in alphabetical order, with its test images."""
    for held_out, images in collected.images[collected.images["part"] == "test"].groupby("held_out"):
        yield str(held_out), images


def to_html(document: Document) -> Markup:
    """The blocks as HTML with every figure's PNG embedded; consecutive gaps become one list."""
    html = []
    for are_gaps, blocks in groupby(document, lambda block: isinstance(block, Gap)):
        text = Markup("").join(map(_block_html, blocks))
        html.append(Markup("<ul>\n{}</ul>\n").format(text) if are_gaps else text)
    return Markup("").join(html)


def _block_html(block: Block) -> Markup:
    match block:
        case Heading():
            return Markup("<h{0}>{1}</h{0}>\n").format(block.level, block.text)
        case Table():
            return table_html(block) + _paragraph(block.caption)
        case Figure():
            return figure_html(block) + _paragraph(block.caption)
        case Note():
            return _paragraph(block.text)
        case Gap():
            command = Markup("<br>\n<code>{}</code>").format(block.command) if block.command else ""
            return Markup("<li>{}{}</li>\n").format(block.sentence, command)


def _paragraph(text: str) -> Markup:
    return Markup("<p>{}</p>\n").format(text) if text else Markup("")


def figure_html(figure: Figure, *, fit: bool = False) -> Markup:
    """A figure with its title as alternative text; a notice where the file is missing or damaged.

    Unless it is to fit the page, it may be scrolled sideways rather than become too small to read.
    """
    file = figure.file.with_name(f"{figure.file.name}.png")
    try:
        source = _embedded(file, "PNG")
        with open_picture(file) as picture:
            narrowest = 0 if fit else picture.width // 2
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # SyntaxError: a PNG that is cut short
        return Markup('<p class="notice">The figure "{}" is missing or damaged.</p>\n').format(figure.title)
    image = Markup('<img src="{}" alt="{}" style="min-width: {}px">').format(source, figure.title, narrowest)
    return Markup('<figure class="chart scroll" tabindex="0">{}</figure>\n').format(image)


def _embedded(file: Path, kind: str, width: int | None = None) -> str:
    """A picture as data URI: WebP, at most so many px wide, or PNG of at most 256 colours."""
    out = io.BytesIO()
    with open_picture(file) as picture:
        colours = picture.convert("RGB")
    if width and colours.width > width:
        colours = colours.resize((width, round(colours.height * width / colours.width)), Image.Resampling.LANCZOS)
    if kind == "PNG":
        colours.quantize(256).save(out, kind, optimize=True)
    else:
        colours.save(out, kind, quality=80)
    return f"data:image/{kind.lower()};base64,{base64.b64encode(out.getvalue()).decode()}"


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


def _cases(collected: Collected) -> tuple[list[Case], list[str]]:
    """Pictures of each method's first run, and the methods of whose images only the ROI may be passed on, or nothing.

    Whole frames are shown only of images declared free of burnt-in names (`deidentified`).
    """
    runs = collected.stages.groupby("run", sort=False).last().reset_index().drop_duplicates(["held_out", "method"])
    last = runs.sort_values("held_out", kind="stable")
    free = [run.config.get("deidentified") is True for run in last["run"]]
    files = [
        (f"{row['method']}, held out {row['fold']}, seed {row['seed']}", _picture(row["run"], kind, whole), caption)
        for row, whole in zip(last.to_dict("records"), free, strict=True)
        for kind, caption in PICTURES.items()
    ]
    first = last["run"].iloc[0]
    files[:0] = [
        ("Sites", _picture(first, "sites", free[0]), "Some images of each site as the networks see them"),
        ("Landmarks", _picture(first, "density", True), "Where in the frame each landmark lies, site by site"),
        ("Labels", _picture(first, "flagged", free[0]), "Training images with the least plausible landmarks, and why"),
    ]
    sources = _sources([file for _, file, _ in files if file.is_file()])
    shown = [Case(title, caption, sources[file]) for title, file, caption in files if sources.get(file)]
    return shown, last.loc[[not one for one in free], "method"].drop_duplicates().tolist()


def _picture(run: Run, kind: str, whole: bool) -> Path:
    return run.picture(kind if whole else f"{kind}_roi")


def _sources(files: list[Path]) -> dict[Path, str]:
    """The pictures, together within MOST_BYTES: what a small one leaves of its share is there for larger ones."""
    found: dict[Path, str] = {}
    rest = MOST_BYTES
    for left, file in zip(range(len(files), 0, -1), sorted(files, key=_weight), strict=True):
        found[file] = _within(file, rest // left)
        rest -= _bytes(found[file])
    return found


def _weight(file: Path) -> tuple[int, Path]:
    return file.stat().st_size, file


def _bytes(source: str) -> int:
    return len(source) * 3 // 4


def _within(file: Path, size: int) -> str:
    """A picture as wide as fits into so many bytes, or as narrow as there is; nothing of a damaged one."""
    source = ""
    for width in WIDTHS:
        try:
            source = _embedded(file, "WebP", width)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            return ""
        if _bytes(source) <= size:
            break
    return source


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
