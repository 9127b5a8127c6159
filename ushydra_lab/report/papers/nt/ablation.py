"""The NT paper's Tables 2 and 9: which terms help Phase 2, our rows beside the printed numbers."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pandas as pd

from ushydra_lab.files import write_csv
from ushydra_lab.report.document import Document, Heading, Table
from ushydra_lab.report.missing import expected_runs, gap_list, held_out_key, variant_gaps
from ushydra_lab.report.papers.nt.regions import FULL_CANVAS, REGION, Pair, disagreements
from ushydra_lab.report.tables import NOT_RUN, NOTHING, count_cell, spread_cell, with_printed
from ushydra_lab.results.collect import Collected
from ushydra_lab.tasks.columns import Metric

INIT = "init"
ROWS = {
    INIT: "Baseline (P1 init)",
    "global": "+ global only",
    "l1": "+ ROI-L1",
    "sobel": "+ ROI-Sobel (edge)",
    "dino": "+ ROI-DINO",
    "roi": "+ ROI-L1 + ROI-Sobel",
    "roi_dino": "+ ROI-L1 + ROI-Sobel + ROI-DINO",
}
"""Variant, or Phase 1 as all begin from it -> the row's name, in the paper's order and words where it has the row."""
COLUMNS = {
    **FULL_CANVAS,
    "roi_mae": Metric("ROI MAE", "lower", 5),
    "roi_edge_mae": Metric("ROI Edge-MAE", "lower", 5),
}
TABLES = {"val": ("Table 2", "validation images of the seen sites"), "test": ("Table 9", "images of the unseen site")}
"""Part of our images -> the table of the paper that has those rows on such images, and what they are."""
PAPER: dict[str, dict[str, tuple[str, str, str, str]]] = {
    "val": {
        INIT: ("37.37", "0.9987", "0.00566", "0.02961"),
        "l1": ("37.52", "0.9988", "0.00518", "0.02877"),
        "sobel": ("37.47", "0.9988", "0.00527", "0.02847"),
        "dino": ("37.41", "0.9987", "0.00568", "0.02982"),
        "roi_dino": ("37.43", "0.9988", "0.00522", "0.02884"),
    },
    "test": {
        INIT: ("35.08", "0.9965", "0.00964", "0.04320"),
        "l1": ("35.25", "0.9966", "0.00916", "0.04256"),
        "sobel": ("35.28", "0.9966", "0.00911", "0.04439"),
        "dino": ("35.13", "0.9965", "0.00963", "0.04305"),
        "roi_dino": ("35.22", "0.9965", "0.00920", "0.04445"),
    },
}
"""As printed in Table 2 (Hospital-1/2 validation) and Table 9 (Hospital-3), in the order of COLUMNS."""
PAPER_EPOCHS = 15
EPOCHS = {"phase2_last": "last", "phase2": "best"}
"""Stage -> which epoch of its Phase 2 it is; the paper's is the last."""
CAPTION = (
    "Mean ± SD over seeds (ddof 1) of the mean over images; n: seeds x images. {phase1} Phase 2: {epochs}; best: "
    "the epoch with the lowest validation loss of the row's own objective; last: the end of the same training. "
    "{region} Paper: {table} (Hospital-1/2 to Hospital-3, private images; the last epoch); {nothing} where it prints "
    "none."
)
SHARED = {
    True: "All rows begin from one Phase-1 checkpoint per split and seed.",
    False: "The rows do NOT begin from the same Phase-1 checkpoint; the baseline is that of the row run first.",
}


def section(collected: Collected, folder: Path) -> Document:
    """Tables 2 and 9 for every held-out site and what is missing from them; written as CSV into `folder` too."""
    blocks: Document = [Heading("Which terms help Phase 2", 2)]
    for held_out, images in collected.images.groupby("held_out", sort=False):
        stages = collected.stages[collected.stages["held_out"] == held_out]
        runs = expected_runs(stages, collected, list(ROWS)[1:])
        for part, (number, where) in TABLES.items():
            rows = table(images[images["part"] == part], part, runs)
            write_csv(folder / f"{held_out}_{part}_ablation.csv", rows)
            title = f"{number}: {where}, held out {held_out}"
            blocks += [Heading(title, 3), Table(rows, _caption(stages, number))]
        blocks += disagreements(_pairs(images))
        blocks += gap_list(variant_gaps(runs, ROWS, "loss", held_out_key(collected, str(held_out)), folder.parent))
    return blocks


def table(images: pd.DataFrame, part: str, runs: pd.DataFrame) -> pd.DataFrame:
    """The baseline, and each set of terms at the last and at the best epoch, each metric beside the printed one.

    runs: variant and reason why it is not finished ("" if it is), one row a run there should be.
    """
    rows, printed = [], PAPER[part]
    stages = _stages(images)
    for variant, name in ROWS.items():
        for stage in stages if variant != INIT else stages[-1:]:
            chosen = _images(images, variant, stage)
            cells = {
                metric.title: NOT_RUN if chosen.empty else spread_cell(chosen, column, metric.digits)
                for column, metric in COLUMNS.items()
            }
            own = runs[runs["variant"] == variant]
            count = {"n": count_cell(chosen, (own["reason"] != "").sum(), len(own))}
            beside = with_printed(cells, printed.get(variant) if variant == INIT or stage == stages[0] else None)
            rows.append({"Phase-2 added terms": name, "Epoch": EPOCHS[stage]} | beside | count)
    return pd.DataFrame(rows)


def _stages(images: pd.DataFrame) -> list[str]:
    """The kinds of Phase 2 that some run has; before 0.4.0 there was the best epoch alone."""
    there = set(images["stage"])
    return [stage for stage in EPOCHS if stage == "phase2" or stage in there]


def _pairs(images: pd.DataFrame) -> Iterator[Pair]:
    """Each row's images beside the baseline's, for each part."""
    for part, (number, _) in TABLES.items():
        chosen = images[images["part"] == part]
        for stage, (variant, name) in product(_stages(chosen), list(ROWS.items())[1:]):
            what = f"{number}, '{name}' ({EPOCHS[stage]} epoch) against the baseline"
            yield what, _images(chosen, INIT, stage), _images(chosen, variant, stage)


def _images(images: pd.DataFrame, variant: str, stage: str) -> pd.DataFrame:
    if variant != INIT:
        return images[(images["stage"] == stage) & (images["variant"] == variant)]
    first = images[images["stage"] == "phase1"]
    return first[first["method"] == first["method"].iloc[0]] if len(first) else first


def origin(stages: pd.DataFrame) -> str:
    """A sentence on whether all rows of one held-out site begin from the same Phase 1."""
    first = stages[stages["stage"] == "phase1"]
    return SHARED[bool((first.groupby(["fold", "seed"])["key"].nunique() == 1).all())]


def _caption(stages: pd.DataFrame, number: str) -> str:
    configs = [run.config for run in stages["run"].unique()]
    epochs = sorted({config["stages"]["phase2"]["max_epochs"] for config in configs})
    horizon = f"{' or '.join(map(str, epochs))} epoch{'s' * (epochs != [1])}" + (
        f" (paper: {PAPER_EPOCHS})" if epochs != [PAPER_EPOCHS] else ""
    )
    return CAPTION.format(region=REGION, phase1=origin(stages), epochs=horizon, table=number, nothing=NOTHING)
