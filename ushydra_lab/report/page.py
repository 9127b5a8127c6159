"""The report as one page that needs nothing else: no network, no other file, no script."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pandas as pd
from markdown_it import MarkdownIt
from markupsafe import Markup, escape
from PIL import Image

from ushydra_lab.report.collect import Collected
from ushydra_lab.report.figures import BLOCKS, MARKDOWN, open_picture
from ushydra_lab.report.metrics import Metric
from ushydra_lab.report.missing import command, missing
from ushydra_lab.report.protocol import SYNTHETIC, protocol, synthetic
from ushydra_lab.report.tables import methods_in, metrics_in
from ushydra_lab.report.verdict import RULE, verdict
from ushydra_lab.runs.files import write_text
from ushydra_lab.runs.run import Run

PICTURES = {
    "hardest": "The test images with the worst results, the worst first. Above each: its record in per_image.csv and "
    "the score of the last stage that they are ordered by",
    "easiest": "The test images with the best results, the best first. Above each: its record in per_image.csv and the "
    "score of the last stage that they are ordered by",
    "test": "Some test images, chosen before any result was known; above each its record in per_image.csv",
    "interpolation": "Between two test images: what the decoder makes of evenly spaced points on the line between them",
}
"""Of a run's figures, in the order of the page."""
MOST_BYTES = 6_500_000
"""Of all pictures of images together; as text they take a third more."""
INTERVAL = re.compile(r"(<td>[+-][\d.]+\*?(?: %| dB)?) \[")
"""A change and its interval in a cell: one below the other, so that a table of many metrics fits the page."""
WIDTHS = (1600, 1400, 1200, 1000, 800, 640, 400)
QUANTILES = {"worst": 0.0, "worst 5 %": 0.05, "median": 0.5, "best 5 %": 0.95, "best": 1.0}


class Case(NamedTuple):
    """A picture of test images through one method; source: data URI."""

    title: str
    caption: str
    source: str


def write(found: Collected, texts: list[str], changes: dict[str, pd.DataFrame], experiment: Path) -> Path:
    """`report/index.html` of an experiment, whose tables and figures have been written beside it; returns its path.

    texts: the tables as Markdown, as in `tables.md`, without the title and without what is missing. changes: what was
    held out -> the comparisons on its test images.
    """
    page = experiment / "report" / "index.html"
    write_text(page, render(found, texts, changes, experiment))
    return page


def render(found: Collected, texts: list[str], changes: dict[str, pd.DataFrame], experiment: Path) -> str:
    """The page. Whatever comes from data, names of sites and methods too, is escaped."""
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True,
                                     trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    shown, withheld = _cases(found) if len(found.stages) else ([], [])
    how = protocol(found) if len(found.stages) else None
    compared = any(len(one) and one["change"].notna().any() for one in changes.values())
    return environment.get_template("page.html").render(
        name=experiment.name,
        synthetic=SYNTHETIC if how and synthetic(found) else "",
        verdicts=[verdict(held_out, images, changes[held_out]) for held_out, images in _tested(found)],
        rule=RULE if compared else "",
        results=to_html("\n".join(texts), experiment / "report"),
        extremes=[(held_out, table_html(table)) for held_out, table in _extremes(found)],
        cases=shown,
        withheld=withheld,
        protocol=how,
        parts=table_html(how.parts) if how and len(how.parts) else "",
        own=table_html(how.own) if how and len(how.own) else "",
        missing=missing(found),
        command=command(experiment),
    )


def _tested(found: Collected) -> Iterator[tuple[str, pd.DataFrame]]:
    """What was held out, in alphabetical order, and its images."""
    for held_out, images in found.images[found.images["part"] == "test"].groupby("held_out"):
        yield str(held_out), images


def to_html(text: str, folder: Path) -> Markup:
    """Markdown with tables and figures as HTML; every figure, a PNG of the folder, becomes part of it.

    Only headings, paragraphs, lists, tables and code: a link or HTML in someone's data stays the text that it is.
    """
    markdown = MarkdownIt("zero").enable([*BLOCKS])
    markdown.add_render_rule("table_open", lambda *_: '<div class="scroll" tabindex="0"><table>\n')
    markdown.add_render_rule("table_close", lambda *_: "</table></div>\n")
    pieces = re.split(f"(?m)^{MARKDOWN}$", text)
    html = [markdown.render(pieces[0])]
    for title, name, rest in zip(pieces[1::3], pieces[2::3], pieces[3::3], strict=True):
        html += [figure_html(folder / name, title), markdown.render(rest)]
    return Markup(INTERVAL.sub(r"\1 <br>[", "".join(html)))


def figure_html(file: Path, title: str) -> str:
    """A figure with its title for who cannot see it; text where the file is not there or damaged.

    It may be scrolled sideways rather than become too small to read.
    """
    try:
        source = _embedded(file, "PNG")
        with open_picture(file) as picture:
            readable = picture.width // 2
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # SyntaxError: a PNG that is cut short
        return f'<p class="notice">The figure "{escape(title)}" is missing or damaged.</p>\n'
    image = f'<img src="{source}" alt="{escape(title)}" style="min-width: {readable}px">'
    return f'<figure class="chart scroll" tabindex="0">{image}</figure>\n'


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


def table_html(table: pd.DataFrame) -> Markup:
    """A table of texts."""
    return Markup('<div class="scroll" tabindex="0">{}</div>').format(Markup(table.to_html(index=False, border=0)))


def _cases(found: Collected) -> tuple[list[Case], list[str]]:
    """Pictures of each method's first run, and the methods of whose images only the ROI may be passed on, or nothing.

    Whole frames are shown only of images declared free of burnt-in names (`deidentified`).
    """
    runs = found.stages.groupby("run", sort=False).last().reset_index().drop_duplicates(["held_out", "method"])
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


def _extremes(found: Collected) -> Iterator[tuple[str, pd.DataFrame]]:
    """How far single test images lie apart: a row a method and metric, from the worst image to the best."""
    for held_out, images in _tested(found):
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
