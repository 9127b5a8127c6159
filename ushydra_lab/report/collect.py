"""Run directories -> one table with a row for each image, stage and run."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ushydra_lab.errors import UserError
from ushydra_lab.runs.directory import FINISHED


@dataclass(frozen=True)
class Collected:
    """What was found below one experiment's directory.

    images: name, held_out, seed, variant, method, stage, part, record, site, subject and every metric.
    unfinished: run directory -> its status, or what is wrong with it.
    """

    images: pd.DataFrame
    unfinished: dict[str, str]


def collect(experiment: Path) -> Collected:
    """Read every run below an experiment's directory.

    Raises:
        UserError: there is no run.
    """
    tables: list[pd.DataFrame] = []
    unfinished: dict[str, str] = {}
    keys: list[dict[str, Any]] = []
    known: dict[Path, tuple[Path, str]] = {}
    for summary_file in sorted(experiment.rglob("run.json")):
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
            tables.append(_read_run(run, summary))
            keys += [_who(run, summary) | {"stage": s, "key": r["key"]} for s, r in summary["stages"].items()]
        except (OSError, KeyError, ValueError) as error:
            unfinished[str(run)] = f"damaged: {error!r}"
    if not tables:
        raise UserError.listing(f"No finished run below {experiment}.", [f"{k}: {v}" for k, v in unfinished.items()])
    images = pd.concat(tables, ignore_index=True).merge(_methods(pd.DataFrame(keys)))
    return Collected(images.drop_duplicates(["held_out", "seed", "method", "part", "record"]), unfinished)


def _who(run: Path, summary: dict[str, Any]) -> dict[str, Any]:
    held_out = re.sub(r"^fold\d+of(\d+)$", r"each of \1 folds", run.parent.parent.name)
    return {"held_out": held_out, "seed": summary["seed"], "variant": summary["variant"]}


def _read_run(run: Path, summary: dict[str, Any]) -> pd.DataFrame:
    """One run's images; subjects come from split.csv, since the per-image table does not name them."""
    subjects = pd.read_csv(run / "split.csv", converters={"subject": str})[["record", "subject"]]
    images = pd.read_csv(run / "per_image.csv", converters={"site": str})
    return images.merge(subjects, how="left", on="record").assign(**_who(run, summary))


def _methods(keys: pd.DataFrame) -> pd.DataFrame:
    """Name each (variant, stage): by the stage alone where all variants share it, else by both."""
    shared = keys.groupby(["stage", "held_out", "seed"])["key"].nunique().groupby("stage").max() == 1
    several = keys.groupby("stage")["variant"].nunique() > 1
    alone = {stage for stage in shared.index if shared[stage] or not several[stage]}
    names = [s if s in alone else f"{s} {v}" for s, v in zip(keys["stage"], keys["variant"], strict=True)]
    return keys.assign(method=names).drop(columns="key")
