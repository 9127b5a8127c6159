"""Reading the runs of an experiment into one table with a row for each image, stage and run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pandas as pd

from ushydra_lab.data.vocabulary import LABEL_FLAG, PUBLISHED, groups
from ushydra_lab.files import DamagedFile
from ushydra_lab.runs.ledger import job_state
from ushydra_lab.runs.run import CONFIG, Run, runs_below
from ushydra_lab.runs.summary import FINISHED
from ushydra_lab.tasks.columns import ColumnConflict, declare


@dataclass(frozen=True)
class Reason:
    """Why a run is not in the tables.

    text: for the terminal, it may name paths. public: for pages and files that are passed on. damaged: whether a file
    of it is. quoted: what may be said of the error that ended it, if anything.
    """

    text: str
    public: str
    damaged: bool = False
    quoted: str = ""


@dataclass(frozen=True)
class Collected:
    """The finished and unfinished runs below one experiment's directory.

    images: held_out (sorted by it), fold, seed, variant, method, stage, part, record, site, subject, every metric and
        the groups of the data (`group_NAME`, texts); PUBLISHED and LABEL_FLAG where the splits have them.
        A method that has fewer folds or seeds than the others says so, 'train scratch (3 of 5 folds)': `method` is
        `method_name`, 'train scratch', and `missing_runs`, ' (3 of 5 folds)' or '' where none are missing.
    stages: held_out, fold, seed, variant, stage, method, run, key (of its weights), task (its
        settings), init (the stage it began from, or ""), pretrained (whether the network began with weights from
        elsewhere; "" for networks that cannot) and sites (all of the data, in alphabetical order), one row a run's
        stage.
    unfinished: run -> why it is not in the tables.
    inner: finished inner folds, in no table: they calibrate intervals for a new hospital (`results.intervals`).
    """

    images: pd.DataFrame
    stages: pd.DataFrame
    unfinished: dict[Run, Reason]
    inner: tuple[Run, ...] = ()


OTHER_DATA = "put the runs with the new ones elsewhere (run_root=FOLDER)"
ID_COLUMNS = ["held_out", "fold", "seed", "variant", "method", "method_name", "missing_runs", "stage"]
IMAGE_COLUMNS = [*ID_COLUMNS, "part", "record", "site", "subject"]
STAGE_COLUMNS = [*ID_COLUMNS, "run", "key", "task", "init", "pretrained", "sites"]


def collect(experiment: Path) -> Collected:
    """Read every run below an experiment's directory; the tables have no rows where none has finished."""
    tables: list[pd.DataFrame] = []
    unfinished: dict[Run, Reason] = {}
    inner: list[Run] = []
    keys: list[dict[str, Any]] = []
    known: dict[Path, tuple[Run, str]] = {}
    of_data: dict[str, tuple[Run, str]] = {}
    for run in sorted(runs_below(experiment), key=_sweep_order):
        try:
            summary = run.summary
            if summary.status != FINISHED:
                unfinished[run] = Reason(summary.error or summary.status, job_state(run).state, quoted=summary.public)
                continue
            run.refuse_misplaced()
            declare(*summary.columns)
            if run.inner:
                run.images  # noqa: B018  damaged ones leave the run out
                inner.append(run)
                continue
            first, settings = known.setdefault(run.path.parent.parent / run.path.name, (run, summary.settings))
            if settings != summary.settings:
                text = f"other settings than {first.name}; name one of them variant=..."
                unfinished[run] = Reason(text, text)
                continue
            held_out, data = _run_cells(run)["held_out"], summary.data
            if data and (before := of_data.setdefault(held_out, (run, data)))[1] != data:
                text = f"other images or labels than {before[0].name}; to keep both: {OTHER_DATA}"
                unfinished[run] = Reason(text, text)
                continue
            of_run, images = _stages(run), _images(run)
            sites = tuple(sorted(set(run.split["site"])))
            keys += [stage | {"sites": sites} for stage in of_run]
            tables.append(images)
        except DamagedFile as error:
            unfinished[run] = Reason(str(error), error.fault, damaged=True)
        except ColumnConflict as error:
            unfinished[run] = Reason(str(error), str(error))
    if not tables:
        return Collected(
            pd.DataFrame(columns=IMAGE_COLUMNS), pd.DataFrame(columns=STAGE_COLUMNS), unfinished, tuple(inner)
        )
    stages = _with_methods(pd.DataFrame(keys))
    images = pd.concat(tables, ignore_index=True).merge(
        stages.drop(columns=["run", "key", "task", "init", "pretrained", "sites"])
    )
    own = images.drop_duplicates(["fold", "seed", "method", "part", "record"])
    inits = stages.groupby("stage", sort=False)["init"].agg(lambda each: sorted(set(filter(None, each)))).to_dict()
    order = list(TopologicalSorter(inits).static_order())
    own = own.assign(stage=pd.Categorical(own["stage"], order, ordered=True)).sort_values("held_out", kind="stable")
    return Collected(own, stages, unfinished, tuple(inner))


def _sweep_order(run: Run) -> tuple[str, Run]:
    """Sort key: the order in which a sweep planned its runs, since later variants are compared with the first one."""
    try:
        return run.summary.planned or run.summary.started, run
    except DamagedFile:
        return "", run


def _run_cells(run: Run) -> dict[str, Any]:
    held_out = re.sub(r"^fold\d+of(\d+)$", r"each of \1 folds", run.fold)
    return {"held_out": held_out, "fold": run.fold, "seed": run.summary.seed, "variant": run.summary.variant}


def _stages(run: Run) -> list[dict[str, Any]]:
    network, configured = run.config["network"], run.config["stages"]
    run.curves  # noqa: B018  damaged ones leave the run out, too
    if lost := sorted(run.summary.stages.keys() - configured.keys()):
        raise DamagedFile(run.path / CONFIG, f"is damaged (no stages.{lost[0]})", run.remedy)
    pretrained = network["weights"] is not None if "weights" in network else ""
    who = _run_cells(run) | {"run": run, "pretrained": pretrained}
    return [
        who
        | {"stage": name, "key": stage.key, "task": json.dumps(configured[name]["task"], sort_keys=True, default=str)}
        | {"init": configured[name].get("init") or ""}
        for name, stage in run.summary.stages.items()
    ]


def _images(run: Run) -> pd.DataFrame:
    """One run's images; what the per-image table does not name comes from its split."""
    besides = [column for column in (PUBLISHED, LABEL_FLAG) if column in run.split]
    of_split = run.split[["record", "subject", *besides, *groups(run.split)]]
    return run.images.merge(of_split, how="left", on="record").assign(**_run_cells(run))


def _with_methods(stages: pd.DataFrame) -> pd.DataFrame:
    """Name each (variant, stage): by the stage alone where all variants share it, else by both.

    Variants share a stage that has the same weights and settings wherever both ran, and it is named by the first of
    them; the same weights may be evaluated in several ways.
    """
    names = {
        key: name for stage, own in stages.groupby("stage", sort=False) for key, name in _method_names(str(stage), own)
    }
    pairs = zip(stages["stage"], stages["variant"], strict=True)
    named = stages.assign(method=[names[stage, variant] for stage, variant in pairs])
    missing = pd.concat([_missing_runs(group) for _, group in named.groupby("held_out")])
    return named.assign(method_name=named["method"], missing_runs=missing, method=named["method"] + missing)


def _method_names(stage: str, own: pd.DataFrame) -> Iterator[tuple[tuple[str, str], str]]:
    """(stage, variant) -> method, of all runs of one stage."""
    different: dict[str, dict[tuple[str, int], str]] = {}
    same: dict[str, str] = {}
    for variant, runs in own.groupby("variant", sort=False):
        what = dict(zip(zip(runs["fold"], runs["seed"], strict=True), runs["key"] + runs["task"], strict=True))
        alike = (
            other
            for other, whats in different.items()
            if (both := what.keys() & whats.keys()) and all(what[run] == whats[run] for run in both)
        )
        same[str(variant)] = first = next(alike, str(variant))
        different[first] = what | different.get(first, {})
    for variant, first in same.items():
        yield (stage, variant), stage if len(different) == 1 else f"{stage} {first}"


def _missing_runs(stages: pd.DataFrame) -> pd.Series:
    """How many of the folds and seeds below one held-out site each method has: ' (1 of 2 seeds)', '' for all."""
    of_folds = re.fullmatch(r"each of (\d+) folds", stages["held_out"].iloc[0])
    folds, seeds = int(of_folds[1]) if of_folds else 1, stages["seed"].nunique()
    runs = stages.drop_duplicates(["method", "fold", "seed"]).groupby("method").size()
    unit = "seeds" if folds == 1 else "folds" if seeds == 1 else "runs"
    notes = runs.map(lambda count: f" ({count} of {folds * seeds} {unit})" if count < folds * seeds else "")
    return stages["method"].map(notes)
