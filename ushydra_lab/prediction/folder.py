"""The folder of a prediction: predictions.csv, masks, overlays, index.html, problems.csv and predict.json."""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import jinja2
from PIL import Image

from ushydra_lab.files import atomic, inert, write_text
from ushydra_lab.prediction.answer import WHERE, Prediction
from ushydra_lab.prediction.inputs import Item
from ushydra_lab.prediction.progress import Progress
from ushydra_lab.prediction.systems.base import Cells
from ushydra_lab.prediction.systems.segmentation import PALETTE
from ushydra_lab.triage.rules import STATUSES

OVERLAY = "overlay"
"""The key of a row's picture; it is no column."""
NOT_JUDGED = "not judged"
QUALITY = 85
DOUBT = ("ofd_sd_mm", "ofd_sd_px", "sd_between_members", "entropy", "-confidence", "-route_margin", "-ms_ssim")
"""By which of these, if it is a column and nothing was judged, the page begins; - is for a smaller value."""


def write_pictures(folder: Path, item: Item, prediction: Prediction, overlay: bool) -> Cells:
    """Write a frame's mask and overlay; return its row, with the overlay's path below the folder."""
    frame = prediction.shown.frame
    name = f"{item.stem}{frame.part}"
    if (mask := prediction.mask) is not None:
        image = Image.fromarray(mask, "P")
        image.putpalette(PALETTE.tobytes())
        with atomic(folder / "masks" / f"{name}.png") as temporary:
            image.save(temporary, "PNG", compress_level=1)
    if not overlay:
        return prediction.cells
    with atomic(folder / "overlays" / f"{name}.jpg") as temporary:
        prediction.overlay.save(temporary, "JPEG", quality=QUALITY)
    return prediction.cells | {OVERLAY: f"overlays/{name}.jpg"}


def write_tables(
    progress: Progress, columns: list[str], legend: Mapping[int, str], members: Sequence[str], notices: Sequence[str]
) -> dict[str, Any]:
    """The tables and the page of all batches that are done; how many frames, also by status, and problems there are.

    Rows are written one after another: there may be more than memory holds. members, notices: told on the page.
    """
    folder, frames, problems, shown, statuses = progress.folder, 0, [], [], Counter[str]()
    with _table(folder / "predictions.csv") as table:
        table.writerow(columns)
        for rows, failed in progress.batches():
            problems += failed
            for row in rows:
                frames += 1
                statuses[row["status"] or NOT_JUDGED] += 1
                table.writerow([_cell(row.get(column)) for column in columns])
                shown += [row] * (OVERLAY in row)
    with _table(folder / "problems.csv") as table:
        table.writerows([("image", "reason"), *(map(_cell, problem) for problem in problems)])
    if legend:
        write_text(folder / "masks" / "labels.json", json.dumps(legend, indent=2) + "\n")
    write_text(folder / "index.html", _page(shown, columns, len(problems), members, notices))
    counts = {status: statuses[status] for status in (*reversed(STATUSES), NOT_JUDGED) if statuses[status]}
    return {"frames": frames, "not_read": len(problems), "statuses": counts}


@contextmanager
def _table(path: Path) -> Iterator[Any]:
    """The writer of a CSV file; a name that is no UTF-8 is written with backslashes."""
    with (
        atomic(path) as temporary,
        temporary.open("w", encoding="utf-8", newline="", errors="backslashreplace") as file,
    ):
        yield csv.writer(file, lineterminator="\n")


def _cell(value: Any) -> Any:
    if isinstance(value, float):
        return f"{value:.9g}"
    return "" if value is None else inert(value)


def _page(rows: list[Cells], columns: list[str], problems: int, members: Sequence[str], notices: Sequence[str]) -> str:
    own = [column for column in columns if column not in WHERE]
    filled = [column for column in own if any(row.get(column) is not None for row in rows)]
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    rows = sorted(rows, key=lambda row: (*STATUSES, None).index(row.get("status")))
    cards = [
        {"row": row, "name": _name(row), "link": _link(row[OVERLAY]), "cells": list(_shown(row, filled))}
        for row in rows
    ]
    doubt = "" if "status" in filled else next((word for word in DOUBT if word.lstrip("-") in filled), "")
    return environment.get_template("page.html").render(
        cards=cards, columns=[c for c in filled if any(isinstance(row.get(c), float) for row in rows)], doubt=doubt,
        problems=problems, judged="status" in filled, members=members, notices=notices,
    )  # fmt: skip


def _name(row: Cells) -> str:
    parts = [str(row["image"]), *(f"{what} {row[what]}" for what in ("frame", "region") if row[what] is not None)]
    return ", ".join(parts)


def _link(file: str) -> str:
    return quote(os.fsencode(file))


def _shown(row: Cells, columns: list[str]) -> Iterator[tuple[str, str]]:
    for column in columns:
        value = row.get(column)
        if value is not None:
            yield column, f"{value:.4g}" if isinstance(value, float) else str(value)
