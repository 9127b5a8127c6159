"""The main tables: every method's metrics on the images of one part, and the comparisons of methods."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ushydra_lab.data.vocabulary import SEEN_TEST
from ushydra_lab.files import write_csv
from ushydra_lab.report.comparisons import INTERVAL, comparison_cells
from ushydra_lab.report.document import Document, Heading, Note, Table
from ushydra_lab.report.tables import PART_TITLES, mean_cell, methods_in, metrics_in, plural, values_table
from ushydra_lab.report.verdict import summaries
from ushydra_lab.results.hospitals import is_hospital
from ushydra_lab.results.location import location

CAPTION = "Mean ± SD over seeds (ddof 1) of the mean over images; {}checkpoints selected on validation images."
TYPICAL_CAPTION = (
    "Median / mean without the tenth of the images at either end (from ten images on), the seeds of each "
    "averaged. A record that moves a mean by more than 10 % is named with the mean without it."
)
MOST_MOVERS = 5
"""Where more images move a mean, it is small or of few images, and no single label is to blame."""
CHANGE_CAPTION = (
    "Change from the method named last, on the images and seeds where both have a value, which may be fewer than the "
    f"means above rest on: % of its mean, or Δ the difference; {INTERVAL}. "
    "* p < 0.05, Holm-adjusted for all comparisons of the report on images of this part, of at least six subjects. One "
    "seed gives neither interval nor star."
)


def section(images: pd.DataFrame, changes: pd.DataFrame, held_out: str, part: str, file: Path) -> Document:
    """Two tables and one sentence per method. changes: `tables.comparisons` of these images."""
    blocks = main_tables(images, changes, held_out, part, file)
    blocks += [Note(sentence) for sentence in summaries(changes)]
    typical, moved = typical_values(images)
    return [*blocks, Table(typical, TYPICAL_CAPTION), *(Note(text) for text in moved)]


def main_tables(images: pd.DataFrame, changes: pd.DataFrame, held_out: str, part: str, file: Path) -> Document:
    """A heading, the values of every method and, where there are some, the comparisons; both tables as CSV besides."""
    counts = _counts(images)
    values = values_table(images)
    if counts.nunique().gt(1).any():
        values.insert(1, "images x seeds", [f"{n} x {seeds}" for n, seeds in counts.to_numpy()])
    file.with_name(f"{file.name}_changes.csv").unlink(missing_ok=True)
    write_csv(file.with_name(f"{file.name}_values.csv"), values)
    notes = dict.fromkeys(metric.note for metric in metrics_in(images).values() if metric.note)
    caption = CAPTION.format("".join(f"{note}; " for note in notes))
    blocks: Document = [Heading(_title(counts, held_out, part), 3), Table(values, caption)]
    if len(changes):
        write_csv(file.with_name(f"{file.name}_changes.csv"), changes)
        blocks.append(Table(comparison_cells(changes), CHANGE_CAPTION))
    return blocks


def typical_values(images: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Median and trimmed mean of every method and metric, and a sentence on images that move a mean by over a tenth."""
    rows, moved = [], []
    for method in methods_in(images):
        chosen, cells = images[images["method"] == method], {"method": method}
        for name, metric in metrics_in(images).items():
            found = location(chosen, name)
            values = (found.median, found.trimmed)
            cells[metric.title] = " / ".join(mean_cell(one, np.nan, metric.digits) for one in values)
            if 0 < len(found.movers) <= MOST_MOVERS:
                records = ", ".join(f"{record} ({mean:.{metric.digits}f})" for record, mean in found.movers.items())
                moved.append(f"{method}, {metric.label}: a single image moves the mean by over 10 %: record {records}.")
        rows.append(cells)
    return pd.DataFrame(rows), moved


def _counts(images: pd.DataFrame) -> pd.DataFrame:
    """images (most of any seed) and seeds of every method, in order."""
    of_method = [images[images["method"] == method] for method in methods_in(images)]
    return pd.DataFrame(
        {
            "images": [own.groupby("seed")["record"].nunique().max() for own in of_method],
            "seeds": [own["seed"].nunique() for own in of_method],
        }
    )


def _title(counts: pd.DataFrame, held_out: str, part: str) -> str:
    where = PART_TITLES[part]
    if not is_hospital(held_out) and part != SEEN_TEST:
        where = where.replace("sites", "subjects").replace("site", "subjects")
    images, seeds = counts["images"], counts["seeds"]
    least = f"{images.min()} to " if images.min() < images.max() else ""
    fewest = f"{seeds.min()} to " if seeds.min() < seeds.max() else ""
    return f"{where}, held out {held_out} ({least}{images.max()} images, {fewest}{plural(int(seeds.max()), 'seed')})"
