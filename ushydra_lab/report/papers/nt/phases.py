"""The NT paper's Tables 1, 3 and 10: splits, Phase 1 and Phase 2 on unseen sites, and what Phase 2 gains."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ushydra_lab.files import write_csv
from ushydra_lab.report.document import Document, Gap, Heading, Table
from ushydra_lab.report.missing import command, data_sets, gap_list, held_out_key, sites_with, splits_to_run
from ushydra_lab.report.papers.nt.ablation import ROWS
from ushydra_lab.report.papers.nt.printed import DIFFER, TABLE_1, TABLE_3, TABLE_10
from ushydra_lab.report.papers.nt.regions import FULL_CANVAS, REGION, Pair, disagreements
from ushydra_lab.report.tables import NOT_RUN, NOTHING, count_cell, spread_cell, with_printed
from ushydra_lab.results.collect import Collected
from ushydra_lab.results.crossed import effect
from ushydra_lab.tasks.columns import Metric

COLUMNS = {
    **FULL_CANVAS,
    "roi_mae": Metric("ROI-MAE", "lower", 5),
    "roi_ms_ssim": Metric("ROI MS-SSIM", "higher", 5, "difference"),
    "roi_edge_mae": Metric("ROI Edge-MAE", "lower", 5),
}
"""In the order of Tables 3 and 10."""
ALL = {"": Metric("all", "higher", 0)}
"""One row for all metrics where there is nothing to show."""
PROTOCOLS = ("H1", "H2", "H3")
"""The paper's hospitals, by which of them is held out; our sites in alphabetical order stand for them."""
FIRST, FINAL, CONTROL = "phase1", "roi", "global"
PHASES = {FIRST: "Phase 1", FINAL: "Phase 2", CONTROL: "Phase 2, global only (control)"}
"""Phase 1, or Phase 2's variant -> the row's name; the paper has no control."""
COLUMN_OF_PART = {"val": "Validation", "test": "Test"}
NO_IMAGES = "no such images"
SITES = (
    "Paper: private images of hospitals H1, H2 and H3, for which our sites stand in alphabetical order; – where it "
    "prints none."
)
SELECTION = "Weights of each phase: the epoch with the lowest validation loss of its own objective."
CAPTIONS = {
    "nt_table1": f"Images; 'or' where they differ between seeds. {SITES}",
    "nt_table3": "Mean ± SD over seeds (ddof 1) of the mean over images of the unseen site; n: seeds x images. "
    f"{SELECTION} {REGION} {SITES}",
    "nt_table10": "Change from Phase 1 on the same images and seeds, with its own 95 % interval from seeds crossed "
    f"with subjects: ROI-MAE and ROI Edge-MAE in % of Phase 1's mean, the others the difference. n: seeds x images. "
    f"{SELECTION} {REGION} {SITES} It prints the averages of its development split, H1 + H2 to H3. {DIFFER}",
}


def section(collected: Collected, folder: Path) -> Document:
    """Tables 1, 3 and 10 over all held-out sites and what is missing from them; written as CSV into `folder` too."""
    tables = {
        "nt_table1": ("Table 1: the splits", splits_table(collected)),
        "nt_table3": ("Table 3: Phase 1 and Phase 2 on the unseen site", unseen_table(collected)),
        "nt_table10": ("Table 10: what Phase 2 changes", gains_table(collected)),
    }
    blocks: Document = [Heading("The two phases beside the paper's", 2)]
    for name, (title, table) in tables.items():
        write_csv(folder / f"{name}.csv", table.replace("\n", " ", regex=True))
        blocks += [Heading(title, 3), Table(table, CAPTIONS[name])]
    blocks += disagreements(_pairs(collected))
    return blocks + gap_list([*splits_to_run(collected, folder.parent), *_lacking(collected, folder.parent)])


def held_out_sites(collected: Collected) -> list[str]:
    """The sites that the tables have rows for: all of the data in alphabetical order, held out so far or not.

    Where something else than a site is held out, just that.
    """
    return [one for sites, done in data_sets(collected).items() for one in (sites if set(done) <= set(sites) else done)]


def hospital_of_site(collected: Collected) -> dict[str, str]:
    """Map each held-out site to the hospital of the paper that it stands for; the first three if there are more."""
    return {site: hospital for sites in data_sets(collected) for site, hospital in zip(sites, PROTOCOLS, strict=False)}


def splits_table(collected: Collected) -> pd.DataFrame:
    """Table 1: images of each part, one row per held-out site."""
    protocols, rows = hospital_of_site(collected), []
    for held_out in held_out_sites(collected):
        runs = collected.stages[collected.stages["held_out"] == held_out].drop_duplicates(["fold", "seed"])["run"]
        splits = [run.split for run in runs]
        cells = {
            f"# {title}": " or ".join(map(str, sorted({int((split["part"] == part).sum()) for split in splits})))
            or NOT_RUN
            for part, title in {"train": "Train", **COLUMN_OF_PART}.items()
        }
        row = {"Held out": held_out, "Training sites": _training_sites(splits, held_out, collected)}
        rows.append(row | with_printed(cells, TABLE_1.get(protocols.get(held_out, ""))))
    return pd.DataFrame(rows)


def _training_sites(splits: list[pd.DataFrame], held_out: str, collected: Collected) -> str:
    seen = sorted({site for split in splits for site in split.loc[split["part"] == "train", "site"]})
    others = next((sites for sites in data_sets(collected) if held_out in sites), ())
    return " + ".join(seen or [site for site in others if site != held_out])


def unseen_table(collected: Collected) -> pd.DataFrame:
    """Table 3: one row per held-out site and phase, each metric beside the printed one."""
    protocols, rows = hospital_of_site(collected), []
    for held_out, phase, images in _phases(collected):
        chosen = images[images["part"] == "test"]
        cells = {
            metric.title: spread_cell(chosen, column, metric.digits) if len(chosen) else _why_empty(images)
            for column, metric in COLUMNS.items()
        }
        printed = TABLE_3.get((protocols.get(held_out, ""), phase))
        row = {"Held out": held_out, "Phase": _name(phase)}
        rows.append(row | with_printed(cells, printed) | {"n": _count(chosen, collected)})
    return pd.DataFrame(rows)


def gains_table(collected: Collected) -> pd.DataFrame:
    """Table 10: one row per held-out site, kind of Phase 2 and metric, for validation and for test images."""
    protocols, rows = hospital_of_site(collected), []
    for held_out, phase, images in _phases(collected):
        if phase == FIRST:
            continue
        first = _of(collected, held_out, FIRST, phase)
        printed = TABLE_10 if phase == FINAL and protocols.get(held_out) == "H3" else {}
        for column, metric in (COLUMNS if len(images) or printed else ALL).items():
            row = {"Held out": held_out, "Phase": _name(phase), "Metric": metric.label}
            for (part, title), paper in zip(COLUMN_OF_PART.items(), printed.get(column, (NOTHING,) * 2), strict=True):
                chosen = images[images["part"] == part]
                row[title] = _change(first, chosen, column, metric) if len(chosen) else _why_empty(images)
                row |= {f"{title} paper": paper, f"n {title.lower()}": _count(chosen, collected)}
            rows.append(row)
    return pd.DataFrame(rows)


def _pairs(collected: Collected) -> Iterator[Pair]:
    """The images of every kind of Phase 2 beside those of its Phase 1, for each part."""
    for held_out, phase, images in _phases(collected):
        if phase != FIRST:
            first = _of(collected, held_out, FIRST, phase)
            for part, title in COLUMN_OF_PART.items():
                name = f"held out {held_out}, {_name(phase)} against Phase 1, {title.lower()}"
                yield name, first, images[images["part"] == part]


def _phases(collected: Collected) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """(held-out site, phase, its images), Phase 1 before the kinds of Phase 2; no images where it was not run.

    Phase 1 is that from which the final objective begins, where it was run.
    """
    kinds = _variants(collected)
    for held_out in held_out_sites(collected):
        there = set(collected.stages.loc[collected.stages["held_out"] == held_out, "variant"])
        begins = next((kind for kind in kinds if kind in there), FINAL)
        yield held_out, FIRST, _of(collected, held_out, FIRST, begins)
        for kind in kinds:
            yield held_out, kind, _of(collected, held_out, "phase2", kind)


def _of(collected: Collected, held_out: str, stage: str, variant: str) -> pd.DataFrame:
    """The images of one variant's stage."""
    stages, images = collected.stages, collected.images
    own = stages[(stages["held_out"] == held_out) & (stages["stage"] == stage) & (stages["variant"] == variant)]
    return images[(images["held_out"] == held_out) & images["method"].isin(own["method"])]


def _variants(collected: Collected) -> list[str]:
    """The final objective, the control where there is one, then whatever else was run or is to be."""
    finished = collected.stages.loc[collected.stages["stage"] == "phase2", "variant"]
    there = dict.fromkeys([*finished, *(run.path.name for run in collected.unfinished)])
    return list(dict.fromkeys([FINAL, *({CONTROL} & there.keys()), *there]))


def _name(phase: str) -> str:
    return PHASES.get(phase, f"Phase 2, {phase}")


def _why_empty(images: pd.DataFrame) -> str:
    return NOT_RUN if images.empty else NO_IMAGES


def _change(first: pd.DataFrame, second: pd.DataFrame, column: str, metric: Metric) -> str:
    relative = metric.change == "%"
    found = effect(first, second, column, relative, metric.most)
    if np.isnan(found.change):
        return "n/a"
    low, high = found.interval()
    digits, unit = (2, " %") if relative else (metric.digits, " dB" if column == "psnr" else "")
    interval = "no interval" if np.isnan(low) else f"{low:+.{digits}f}, {high:+.{digits}f}"
    return f"{found.change:+.{digits}f}{unit}\n[{interval}]"


def _count(images: pd.DataFrame, collected: Collected) -> str:
    """Seeds x images, and what is missing of the runs that others have."""
    if images.empty:
        return count_cell(images)
    planned = _planned(collected, str(images["held_out"].iloc[0]))
    lacking = len(planned - set(images[["fold", "seed"]].itertuples(index=False, name=None)))
    return count_cell(images, lacking, len(planned)) + ("" if lacking else str(images["missing_runs"].iloc[0]))


def _planned(collected: Collected, held_out: str) -> set[tuple[str, int]]:
    """(fold, seed) of all runs that there are or should be of what was held out, going by its data set's others."""
    done = next(done for done in data_sets(collected).values() if held_out in done)
    stages = collected.stages[collected.stages["held_out"].isin(done)]
    folds = set(stages.loc[stages["held_out"] == held_out, "fold"])
    unfinished = {int(run.path.parent.name.removeprefix("seed")) for run in collected.unfinished if run.fold in done}
    seeds = set(stages["seed"]) | unfinished
    return {(fold, seed) for fold in folds for seed in seeds}


def _lacking(collected: Collected, experiment: Path) -> list[Gap]:
    """The runs that a held-out site's phases lack, although others have them."""
    gaps, last = [], str(collected.stages["held_out"].iloc[-1])
    for held_out, stages in collected.stages.groupby("held_out", sort=False):
        sites = sites_with(collected, str(held_out))
        where = held_out_key(collected, str(held_out))
        for variant in _variants(collected) if sites == sites_with(collected, last) else ():
            own = stages.loc[stages["variant"] == variant, ["fold", "seed"]]
            lacking = _planned(collected, str(held_out)) - set(own.itertuples(index=False, name=None))
            if not lacking:
                continue
            seeds = ",".join(map(str, sorted({seed for _, seed in lacking})))
            numbers = [number[1] for fold, _ in sorted(lacking) if (number := re.match(r"fold(\d+)of", fold))]
            folds = {"split.fold": ",".join(dict.fromkeys(numbers))} if numbers else {}
            loss = {"loss": variant} if variant in ROWS else {"variant": variant}
            what = f"Held out {held_out}, {_name(variant)}"
            fill = command(experiment, **where, **folds, seed=seeds, **loss)
            gaps.append(Gap(what, f"not run (seed {seeds})", fill))
    return gaps
