"""`python -m ushydra_lab.probes multirun/nt_phase2`: what the frozen encoders of finished runs know.

Writes RUN/probes.json, the scores of every stage and feature, and RUN/probes.csv, one row an image, stage and feature:
record numbers, no subjects. RUN/figures/interpolation.png shows what lies between the codes of two test images, whole
frames. What is there, is whole and belongs to the run's weights and images is not made again; the tables and figures of
all runs are made by `python -m ushydra_lab.report`. With `--against data=NAME data.root=...` the run's validation
images are told from another data set's, below RUN/external/.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import pandas as pd
from rich.console import Console
from rich.markup import escape
from rich.progress import track

from ushydra_lab import __version__
from ushydra_lab.config.schema import Experiment
from ushydra_lab.config.stored import AS_STORED, LOCAL_HELP, Local, chosen_data, folders_and_local, here
from ushydra_lab.errors import UserError, use_any_display
from ushydra_lab.files import DamagedFile
from ushydra_lab.probes import JSON
from ushydra_lab.probes.files import read, write
from ushydra_lab.probes.ood import Covariance
from ushydra_lab.runs.run import Run, runs_below
from ushydra_lab.runs.stored_experiment import check_stored
from ushydra_lab.runs.summary import FINISHED, UNVERIFIED

if TYPE_CHECKING:
    from ushydra_lab.data.datamodule import UltrasoundData
    from ushydra_lab.probes.features import Codes
    from ushydra_lab.tasks.base import Task

CALIPER = ["nt_abs_drift_px", "nt_lost"]
PARTS = ("train", "val", "test")
PICTURE = "interpolation"


def main() -> None:
    """The command line."""
    use_any_display()
    parser = argparse.ArgumentParser(prog="python -m ushydra_lab.probes", description=__doc__)
    parser.add_argument("words", nargs="+", metavar="FOLDER", help=f"runs, or experiments with runs; {LOCAL_HELP}")
    parser.add_argument("--covariance", choices=get_args(Covariance), default="ledoit_wolf", help="of Mahalanobis")
    parser.add_argument("--against", nargs="+", default=[], metavar="data=NAME", help="other images, and their keys")
    given = parser.parse_args()
    try:
        folders, local = folders_and_local(given.words)
        probes(folders, given.covariance, given.against, local)
    except UserError as error:
        sys.exit(str(error))


def probes(
    folders: list[Path],
    covariance: Covariance = "ledoit_wolf",
    against: list[str] | None = None,
    local: Local = AS_STORED,
) -> None:
    """Probe every finished run below the folders, or take what is there; print the scores.

    Raises:
        UserError: there is none; or, after the others, naming those with damage or other images than they had.
    """
    runs = dict.fromkeys(run for folder in folders for run in runs_below(folder))
    console = Console(width=None if sys.stdout.isatty() else 160)
    found, problems = 0, []
    for run in runs:
        try:
            content, note = probe(run, covariance, against or [], local)
        except UserError as error:
            problems.append(f"{run.path}: {error}")
            continue
        marked = "" if run.verified or content is None else f" ({UNVERIFIED})"
        console.print(f"{run.path}: {note}{marked}", markup=False, highlight=False, soft_wrap=True)
        if content:
            found += 1
            _show(console, content["stages"])
    if problems:
        raise UserError.listing("not probed", problems)
    if not found:
        where = ", ".join(map(str, folders))
        raise UserError(f"{where}: no finished run to probe. python -m ushydra_lab.runs lists runs.")


def probe(run: Run, covariance: Covariance, against: list[str], local: Local) -> tuple[dict[str, Any] | None, str]:
    """What probes.json holds, and where or whether it was made now; None and the reason for a run without probes.

    Raises:
        UserError: a file is damaged, the images are not those of the run, there are too few.
    """
    from ushydra_lab.files import disk_errors

    summary = run.summary
    if summary.status != FINISHED:
        return None, f"not probed, it is {summary.status}"
    experiment = here(check_stored(run, local.trust), local)
    stages = {name: stage.key for name, stage in summary.stages.items()}
    made_from = {"identity": summary.identity, "stages": stages, "covariance": covariance}
    made_from |= {"weights": run.sums, "ushydra_lab": __version__}
    other = _other(experiment, against, local) if against else None
    folder = run.path / "external" / other[0] if other else run.path
    known = _known(folder, made_from)
    picture = run.picture(PICTURE)
    drawn = bool(other) or picture.exists() or not _autoencoder(experiment)
    if known and drawn:
        return known, f"probed before: {folder / JSON}"
    print(f"{run.path}: probing ...", flush=True)
    opened = _open(run, experiment, other[1] if other else None)
    if isinstance(opened, str):
        return None, f"not probed, {opened}"
    tasks, data = opened
    with disk_errors(folder):
        if not drawn:
            _draw(list(tasks.values())[-1], data, picture)
        if known:
            return known, f"probed before: {folder / JSON}" + f"; drawn: {picture}" * picture.exists()
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
    from ushydra_lab.evaluation.external import with_external
    from ushydra_lab.training.assembly import build_data

    name, reader = chosen_data(overrides, experiment.scale, experiment.cache_dir, local.trust)
    images = build_data(replace(with_external(experiment, reader), stages={}))
    return f"{name}-{images.fingerprint(images.parts)[:8]}", images


def _open(
    run: Run, experiment: Experiment, other: UltrasoundData | None
) -> tuple[dict[str, Task], UltrasoundData] | str:
    """A run's stages with their tasks, and its images; a word on why not for a run that has no probes."""
    from ushydra_lab.evaluation.finished import own_images
    from ushydra_lab.training.stages import finished_tasks

    tasks = finished_tasks(run, experiment)
    data = own_images(run, experiment)
    if other is None and "test" not in data.parts:
        return "it has no unseen images; name some with --against data=NAME"
    return tasks, data


def _autoencoder(experiment: Experiment) -> bool:
    from ushydra_lab.tasks.reconstruction import Reconstruction
    from ushydra_lab.training.assembly import task_class

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
    from ushydra_lab.probes.measure import Parts, measure

    scores: dict[str, Any] = {}
    tables = []
    for name, task in track(list(tasks.items()), escape(run.name), transient=True):
        parts = Parts(*(_codes(task, part, data, other) for part in PARTS))
        caliper = None if other else _caliper(run, name)
        for feature in parts.features:
            values, table = measure(parts, feature, seed, covariance, caliper)
            rounded = {key: None if np.isnan(value) else round(value, 9) for key, value in values.items()}
            scores.setdefault(name, {})[feature] = rounded
            tables.append(table.assign(stage=name, feature=feature))
    images = {name: len(codes.record) for name, codes in zip(PARTS, (parts.train, parts.val, parts.test), strict=True)}
    joined = pd.concat(tables, ignore_index=True)
    front = ["stage", "feature"]
    return {"images": images, "stages": scores}, joined[[*front, *(c for c in joined if c not in front)]]


def _draw(task: Any, data: UltrasoundData, file: Path) -> None:
    """Between pairs of unseen images, as the last stage decodes it; nothing where there is but one image."""
    from ushydra_lab.files import atomic
    from ushydra_lab.probes.interpolation import chosen, draw, interpolate, title

    unseen: Any = data.part_loader("test").dataset
    if not (rows := chosen(len(unseen))):
        return
    images = unseen.__getitems__(rows)["image"]
    steps = interpolate(task.network.cpu(), images)
    figure = draw(images[:, 0].numpy(), steps.numpy(), title(task.network))
    with atomic(file) as temporary:
        figure.savefig(temporary, format="png", dpi=110)


def _codes(task: Any, part: str, data: UltrasoundData, other: UltrasoundData | None) -> Codes:
    import torch

    from ushydra_lab.probes.features import extract, extract_any
    from ushydra_lab.tasks.reconstruction import Reconstruction

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
    chosen = images[(images["stage"] == stage) & (images["part"] == "test")].set_index("record")
    return chosen[CALIPER] if set(CALIPER) <= set(chosen) else None


def _show(console: Console, stages: dict[str, dict[str, dict[str, float | None]]]) -> None:
    from ushydra_lab.report.render.terminal import rich_table

    rows = {f"{stage}, {feature}": values for stage, found in stages.items() for feature, values in found.items()}
    table = pd.DataFrame(rows).map(lambda value: "n/a" if pd.isna(value) else f"{value:.3f}")
    caption = "AUROC of OOD: validation images of the seen sites against the unseen ones."
    console.print(rich_table(table.rename_axis("score").reset_index(), "", caption))


if __name__ == "__main__":
    main()
