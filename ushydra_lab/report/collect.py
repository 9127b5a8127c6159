"""Run directories -> one table with a row for each image, stage and run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import pandas as pd

from ushydra_lab.errors import UserError
from ushydra_lab.runs.directory import FINISHED, read_config


@dataclass(frozen=True)
class Collected:
    """What was found below one experiment's directory.

    images: held_out (sorted by it), fold, seed, variant, method, stage, part, record, site, subject and every metric.
        A method that has fewer folds or seeds than the others says so in its name: 'train scratch (3 of 5 folds)'.
    stages: held_out, fold, seed, variant, stage, method, run (its directory), key (of its weights), task (its
        settings), init (the stage it began from, or ""), pretrained (whether the network began with weights from
        elsewhere; "" for networks that cannot) and sites (all of the data, in alphabetical order), one row a run's
        stage.
    unfinished: run directory -> its status, or what is wrong with it.
    """

    images: pd.DataFrame
    stages: pd.DataFrame
    unfinished: dict[str, str]


OTHER_DATA = "put the runs with the new ones elsewhere (run_root=FOLDER)"
IMAGES = ["held_out", "fold", "seed", "variant", "method", "stage", "part", "record", "site", "subject"]
STAGES = ["held_out", "fold", "seed", "variant", "stage", "method", "run", "key", "task", "init", "pretrained", "sites"]


def collect(experiment: Path) -> Collected:
    """Read every run below an experiment's directory; tables without rows where none has finished."""
    tables: list[pd.DataFrame] = []
    unfinished: dict[str, str] = {}
    keys: list[dict[str, Any]] = []
    known: dict[Path, tuple[Path, str]] = {}
    of_data: dict[str, tuple[Path, str]] = {}
    for summary_file in sorted(experiment.rglob("run.json"), key=_planned):
        run = summary_file.parent
        try:
            summary = json.loads(summary_file.read_text(encoding="utf-8"))
            if summary["status"] != FINISHED:
                unfinished[str(run)] = summary.get("error", summary["status"])
                continue
            first, settings = known.setdefault(run.parent.parent / run.name, (run, summary["settings"]))
            if settings != summary["settings"]:
                unfinished[str(run)] = f"other settings than {first}; name one of them variant=..."
                continue
            held_out, data = _who(run, summary)["held_out"], summary.get("data")
            if data and (before := of_data.setdefault(held_out, (run, data)))[1] != data:
                unfinished[str(run)] = f"other images or labels than {before[0]}; to keep both: {OTHER_DATA}"
                continue
            split = pd.read_csv(run / "split.csv", converters={"subject": str, "site": str})
            of_run, images = _stages(run, summary), _read_run(run, summary, split)
            sites = tuple(sorted(set(split.get("site", ()))))
            keys += [stage | {"sites": sites} for stage in of_run]
            tables.append(images)
        except (OSError, KeyError, ValueError, TypeError, AttributeError, UserError) as error:
            unfinished[str(run)] = f"damaged: {error!r}"
    if not tables:
        return Collected(pd.DataFrame(columns=IMAGES), pd.DataFrame(columns=STAGES), unfinished)
    stages = _methods(pd.DataFrame(keys))
    images = pd.concat(tables, ignore_index=True).merge(
        stages.drop(columns=["run", "key", "task", "init", "pretrained", "sites"])
    )
    own = images.drop_duplicates(["fold", "seed", "method", "part", "record"])
    inits = stages.groupby("stage", sort=False)["init"].agg(lambda each: sorted(set(filter(None, each)))).to_dict()
    order = list(TopologicalSorter(inits).static_order())
    own = own.assign(stage=pd.Categorical(own["stage"], order, ordered=True)).sort_values("held_out", kind="stable")
    return Collected(own, stages, unfinished)


def _planned(summary_file: Path) -> tuple[str, Path]:
    """The order of a sweep, whichever job ended first: the variant named first is what the others are compared with."""
    try:
        summary = json.loads(summary_file.read_text(encoding="utf-8"))
        return str(summary.get("planned", summary.get("started", ""))), summary_file
    except (OSError, ValueError, AttributeError):
        return "", summary_file


def _who(run: Path, summary: dict[str, Any]) -> dict[str, Any]:
    fold = run.parent.parent.name
    held_out = re.sub(r"^fold\d+of(\d+)$", r"each of \1 folds", fold)
    return {"held_out": held_out, "fold": fold, "seed": summary["seed"], "variant": summary["variant"]}


def _stages(run: Path, summary: dict[str, Any]) -> list[dict[str, Any]]:
    config = read_config(run / "config.yaml")
    network, configured = config["network"], config["stages"]
    pretrained = network["weights"] is not None if "weights" in network else ""
    who = _who(run, summary) | {"run": run, "pretrained": pretrained}
    return [
        who
        | {"stage": name, "key": stage["key"], "task": json.dumps(configured[name]["task"], sort_keys=True)}
        | {"init": configured[name].get("init") or ""}
        for name, stage in summary["stages"].items()
    ]


def _read_run(run: Path, summary: dict[str, Any], split: pd.DataFrame) -> pd.DataFrame:
    """One run's images; subjects come from split.csv, since the per-image table does not name them.

    Raises:
        ValueError: rows of the table are missing.
    """
    images = pd.read_csv(run / "per_image.csv", converters={"site": str})
    if lost := lost_rows(split, images, summary):
        raise ValueError(lost)
    return images.merge(split[["record", "subject"]], how="left", on="record").assign(**_who(run, summary))


def lost_rows(split: pd.DataFrame, images: pd.DataFrame, summary: dict[str, Any]) -> str:
    """A table cut short is still a table: it should have a row for each stage and evaluated image."""
    expected = int(split["part"].isin(["val", "test"]).sum()) * len(summary["stages"])
    return f"per_image.csv has {len(images)} of {expected} rows" if len(images) < expected else ""


def _methods(stages: pd.DataFrame) -> pd.DataFrame:
    """Name each (variant, stage): by the stage alone where all variants share it, else by both.

    Variants share a stage that has the same weights and settings wherever both ran, and it is named by the first of
    them; the same weights may be evaluated in several ways.
    """
    names = {key: name for stage, own in stages.groupby("stage", sort=False) for key, name in _named(str(stage), own)}
    pairs = zip(stages["stage"], stages["variant"], strict=True)
    named = stages.assign(method=[names[stage, variant] for stage, variant in pairs])
    missing = pd.concat([_missing(group) for _, group in named.groupby("held_out")])
    return named.assign(method=named["method"] + missing)


def _named(stage: str, own: pd.DataFrame) -> Iterator[tuple[tuple[str, str], str]]:
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


def _missing(stages: pd.DataFrame) -> pd.Series:
    """What each method lacks of the folds and seeds below one held-out site: ' (1 of 2 seeds)', or nothing."""
    of_folds = re.fullmatch(r"each of (\d+) folds", stages["held_out"].iloc[0])
    folds, seeds = int(of_folds[1]) if of_folds else 1, stages["seed"].nunique()
    runs = stages.drop_duplicates(["method", "fold", "seed"]).groupby("method").size()
    unit = "seeds" if folds == 1 else "folds" if seeds == 1 else "runs"
    notes = runs.map(lambda count: f" ({count} of {folds * seeds} {unit})" if count < folds * seeds else "")
    return stages["method"].map(notes)
