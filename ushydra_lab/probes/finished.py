"""Probing a finished run once, on its own images or on others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from ushydra_lab import __version__
from ushydra_lab.config.schema import Experiment
from ushydra_lab.config.stored import Local, chosen_data, on_this_machine
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.data.vocabulary import PARTS, SITE, SUBJECT
from ushydra_lab.evaluation.external import with_external
from ushydra_lab.evaluation.finished import own_images
from ushydra_lab.files import DamagedFile, atomic, disk_errors
from ushydra_lab.probes import JSON
from ushydra_lab.probes.features import Codes, extract, extract_any
from ushydra_lab.probes.files import read, write
from ushydra_lab.probes.pictures import PICTURES
from ushydra_lab.probes.scores import PartCodes, probe_feature
from ushydra_lab.runs.run import Run
from ushydra_lab.runs.stored_experiment import check_stored
from ushydra_lab.runs.summary import FINISHED
from ushydra_lab.tasks.base import Task
from ushydra_lab.tasks.reconstruction import Reconstruction
from ushydra_lab.training.assembly import build_data
from ushydra_lab.training.stage_tasks import task_class
from ushydra_lab.training.stages import finished_tasks
from ushydra_lab.triage import Covariance
from ushydra_lab.waiting import followed

CALIPER = ["nt_abs_drift_px", "nt_lost"]


def probe(
    run: Run, covariance: Covariance, against: list[str], local: Local, perturbation: float | None = None
) -> tuple[dict[str, Any] | None, str]:
    """The content of probes.json and a word on its origin; None and the reason for a run without probes.

    perturbation: draws figures/perturbation.png again, of this size in SD; None: only if it is not there.

    Raises:
        UserError: a file is damaged, the images are not those of the run, there are too few.
    """
    summary = run.summary
    if summary.status != FINISHED:
        return None, f"not probed, it is {summary.status}"
    experiment = on_this_machine(check_stored(run, local.trust), local)
    stages = {name: stage.key for name, stage in summary.stages.items()}
    made_from = {"identity": summary.identity, "stages": stages, "covariance": covariance}
    made_from |= {"weights": run.weight_checksums, "ushydra_lab": __version__}
    other = _other(experiment, against, local) if against else None
    folder = run.path / "external" / other[0] if other else run.path
    known = _known(folder, made_from)
    lacking = [] if other or not _autoencoder(experiment) else _lacking_pictures(run, perturbation)
    if known and not lacking:
        return known, f"probed before: {folder / JSON}"
    print(f"{run.path}: probing ...", flush=True)
    opened = _open(run, experiment, other[1] if other else None)
    if isinstance(opened, str):
        return None, f"not probed, {opened}"
    tasks, data = opened
    with disk_errors(folder):
        drawn = _draw(run, lacking, list(tasks.values())[-1], data, perturbation)
        if known:
            return known, f"probed before: {folder / JSON}" + f"; drawn: {', '.join(drawn)}" * bool(drawn)
        measured, images = _measure(run, tasks, data, experiment.seed, covariance, other[1] if other else None)
        content = write(folder, {"made_from": made_from, **measured}, images)
    return content, f"probed: {folder / JSON}"


def _known(folder: Path, made_from: dict[str, Any]) -> dict[str, Any] | None:
    """What is there already; None where it is not whole, or was made from something else."""
    try:
        content, _ = read(folder)
    except DamagedFile:
        return None
    return content if content["made_from"] == made_from else None


def _other(experiment: Experiment, overrides: list[str], local: Local) -> tuple[str, UltrasoundData]:
    """Another data set, all of it, whatever annotations it has; its name and the first digits of its fingerprint."""
    name, reader = chosen_data(overrides, experiment.scale, experiment.cache_dir, local.trust)
    images = build_data(replace(with_external(experiment, reader), stages={}))
    return f"{name}-{images.fingerprint(images.parts)[:8]}", images


def _open(
    run: Run, experiment: Experiment, other: UltrasoundData | None
) -> tuple[dict[str, Task], UltrasoundData] | str:
    """A run's stages with their tasks, and its images; a word on why not for a run that has no probes."""
    tasks = finished_tasks(run, experiment)
    data = own_images(run, experiment)
    if other is None and "test" not in data.parts:
        return "it has no unseen images; name some with --against data=NAME"
    return tasks, data


def _autoencoder(experiment: Experiment) -> bool:
    return all(issubclass(task_class(stage), Reconstruction) for stage in experiment.stages.values())


def _measure(
    run: Run,
    tasks: dict[str, Task],
    data: UltrasoundData,
    seed: int,
    covariance: Covariance,
    other: UltrasoundData | None,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """The scores and the images of every stage and feature."""
    scores: dict[str, Any] = {}
    tables = []
    for name, task in followed(tasks.items(), run.name, len(tasks)):
        parts = PartCodes(*(_codes(task, part, data, other) for part in PARTS))
        caliper = None if other else _caliper(run, name)
        for feature in parts.features:
            values, table = probe_feature(parts, feature, seed, covariance, caliper)
            rounded = {key: None if np.isnan(value) else round(value, 9) for key, value in values.items()}
            scores.setdefault(name, {})[feature] = rounded
            tables.append(table.assign(stage=name, feature=feature, unit=_units(table, data, other)))
    images = {name: len(codes.record) for name, codes in zip(PARTS, (parts.train, parts.val, parts.test), strict=True)}
    joined = pd.concat(tables, ignore_index=True)
    front = ["stage", "feature"]
    return {"images": images, "stages": scores}, joined[[*front, *(c for c in joined if c not in front)]]


def _units(table: pd.DataFrame, data: UltrasoundData, other: UltrasoundData | None) -> pd.Series:
    """The number of each image's subject, from 0, which tells nothing but which images are of one; site by site."""
    keys = pd.Series(index=table.index, dtype=object)
    for source, rows in ((data, table["part"] != "test"), (other or data, table["part"] == "test")):
        of = source.manifest.table.loc[table.loc[rows, "record"], [SITE, SUBJECT]]
        keys[rows] = [(source is data, *key) for key in of.itertuples(index=False)]
    return pd.Series(pd.factorize(keys)[0], table.index)


def _lacking_pictures(run: Run, perturbation: float | None) -> list[str]:
    """Names of the pictures of decoded codes to draw: what is not there, and the perturbation where a size is given."""
    asked = {"perturbation"} if perturbation else set()
    return [name for name in PICTURES if name in asked or not run.picture(name).exists()]


def _draw(run: Run, names: list[str], task: Any, data: UltrasoundData, perturbation: float | None) -> list[str]:
    """Draw pictures of codes as the last stage decodes them, where there are images enough; the files drawn."""
    files = []
    for name in names:
        if figure := PICTURES[name](task.network.cpu(), data, perturbation):
            files.append(str(run.picture(name)))
            with atomic(run.picture(name)) as temporary:
                figure.savefig(temporary, format="png", dpi=110)
    return files


def _codes(task: Any, part: str, data: UltrasoundData, other: UltrasoundData | None) -> Codes:
    source = other if other and part == "test" else data
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    task.to(device)
    images, sites = source.part_loader(part), source.manifest.sites
    if isinstance(task, Reconstruction):
        return extract(task.network, images, task.roi, sites)  # type: ignore[arg-type]
    return extract_any(task, images, sites, device, judged=source is data)


def _caliper(run: Run, stage: str) -> pd.DataFrame | None:
    """What the run measured of each unseen image's NT, by record; None for another ROI."""
    images = run.images
    pair_indices = images[(images["stage"] == stage) & (images["part"] == "test")].set_index("record")
    return pair_indices[CALIPER] if set(CALIPER) <= set(pair_indices) else None
