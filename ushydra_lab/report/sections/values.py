"""The main tables: every method's metrics on the images of one part, and the comparisons of methods."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ushydra_lab.files import write_csv
from ushydra_lab.report.comparisons import INTERVAL, comparison_cells
from ushydra_lab.report.document import Document, Heading, Note, Table
from ushydra_lab.report.tables import PART_TITLES, metrics_in, plural, values_table
from ushydra_lab.report.verdict import held_out_subjects, summaries

CAPTION = "Mean ± SD over seeds (ddof 1) of the mean over images; {}checkpoints selected on validation images."
CHANGE_CAPTION = (
    f"Change from the method named last, on the same images and seeds: % of its mean, or Δ the difference; {INTERVAL}. "
    "* p < 0.05, Holm-adjusted for all comparisons of the report on images of this part, of at least six subjects. One "
    "seed gives neither interval nor star."
)


def section(images: pd.DataFrame, changes: pd.DataFrame, held_out: str, part: str, file: Path) -> Document:
    """Two tables and one sentence per method. changes: `tables.comparisons` of these images."""
    values = values_table(images)
    file.with_name(f"{file.name}_changes.csv").unlink(missing_ok=True)
    write_csv(file.with_name(f"{file.name}_values.csv"), values)
    notes = dict.fromkeys(metric.note for metric in metrics_in(images).values() if metric.note)
    caption = CAPTION.format("".join(f"{note}; " for note in notes))
    blocks: Document = [Heading(_title(images, held_out, part), 3), Table(values, caption)]
    if len(changes):
        write_csv(file.with_name(f"{file.name}_changes.csv"), changes)
        blocks.append(Table(comparison_cells(changes), CHANGE_CAPTION))
    return blocks + [Note(sentence) for sentence in summaries(changes)]


def _title(images: pd.DataFrame, held_out: str, part: str) -> str:
    where = PART_TITLES[part]
    if held_out_subjects(held_out):
        where = where.replace("sites", "subjects").replace("site", "subjects")
    seeds, count = images["seed"].nunique(), images.groupby(["seed", "method"])["record"].nunique().max()
    return f"{where}, held out {held_out} ({count} images, {plural(seeds, 'seed')})"
