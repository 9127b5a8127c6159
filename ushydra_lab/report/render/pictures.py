"""Pictures of test images on a report's page: as large as its size allows, and none that may show a name."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup
from PIL import Image

from ushydra_lab.figures.panels import FIRST_ROW
from ushydra_lab.figures.style import open_picture
from ushydra_lab.results.collect import Collected
from ushydra_lab.runs.run import Run

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


class Case(NamedTuple):
    """A picture of test images through one method; source: data URI."""

    title: str
    caption: str
    source: str


def first_row(collected: Collected) -> Markup | str:
    """One test image through the last method: the first row of its picture, which `figures.panels` has marked."""
    last = collected.stages.iloc[-1]["run"]
    file = _picture(last, "test", last.deidentified)
    try:
        with open_picture(file) as picture:
            height = round(float(picture.info[FIRST_ROW]) * picture.height)
            out = io.BytesIO()
            picture.convert("RGB").crop((0, 0, picture.width, height)).save(out, "WEBP", quality=80)
    except (OSError, SyntaxError, ValueError, KeyError, Image.DecompressionBombError):
        return ""  # none, damaged, or of a version that did not mark it; the cases below tell
    return Markup('<img src="data:image/webp;base64,{}" alt="A test image through the last method">').format(
        base64.b64encode(out.getvalue()).decode()
    )


def cases(collected: Collected) -> tuple[list[Case], list[str]]:
    """Pictures of each method's first run, and the methods of whose images only the ROI may be passed on, or nothing.

    Whole frames are shown only of images declared free of burnt-in names (`deidentified`).
    """
    runs = collected.stages.groupby("run", sort=False).last().reset_index().drop_duplicates(["held_out", "method"])
    last = runs.sort_values("held_out", kind="stable")
    free = [run.deidentified for run in last["run"]]
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
            source = embedded(file, "WebP", width)
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):
            return ""
        if _bytes(source) <= size:
            break
    return source


def embedded(file: Path, kind: str, width: int | None = None) -> str:
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
