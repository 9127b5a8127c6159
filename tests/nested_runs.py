"""Finished runs of landmark networks that hold out new sites, and their inner folds, with chosen errors."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ushydra_lab.data.split import LeaveSitesOut
from ushydra_lab.runs.run import Run

from . import fake_runs

TRAINING = [f"site{number:02d}" for number in range(10)]
NEW = ["new1", "new2"]


def write(root: Path, split: LeaveSitesOut, sites: list[str], seed: int = 1, noise: float = 1.0, **config: Any) -> Run:
    """A run with ten images a site, 4 of them validating; noise: factor of the errors at new1 and new2."""
    table = pd.DataFrame({"site": np.repeat(sites, 10), "subject": [f"{n:03d}" for n in range(10 * len(sites))]})
    table = table.assign(record=range(len(table)))
    held_out = {split.held_out} if isinstance(split.held_out, str) else {*split.held_out}
    left_out = held_out if split.inner is None else {split.inner}
    unused = held_out - left_out
    validates = table.groupby("site").cumcount() < 4
    part = np.where(validates, "val", "train")
    part = np.where(table["site"].isin(left_out), "test", np.where(table["site"].isin(unused), "unused", part))
    table = table.assign(part=part)
    images = table[table["part"].isin(["val", "test"])].drop(columns="subject")
    rng = np.random.default_rng([seed, *split.name.encode()])
    for measure in ("ofd", "bpd", "hc"):
        error = rng.exponential(size=len(images)) * np.where(images["site"].isin(NEW), noise, 1)
        images = images.assign(**{f"{measure}_abs_error_mm": error, f"{measure}_percent_error": 0.0})
    own = {"split": {"held_out": split.held_out, "inner": split.inner}, "seed": seed} | config
    place = root / split.name / f"seed{seed}" / "default"
    return Run(fake_runs.write(place, {"train": "key"}, images, table, own))


def nested(root: Path, training: list[str], noise: float = 1.0, seed: int = 1) -> list[Run]:
    """A run that holds out the new sites, then its inner folds."""
    splits = [LeaveSitesOut(NEW), *(LeaveSitesOut(NEW, inner=site) for site in training)]
    return [write(root, split, [*training, *NEW], seed, noise) for split in splits]
