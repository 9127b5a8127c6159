"""Loading the images of a finished run, and listing the sites that it has seen."""

from __future__ import annotations

from collections.abc import Iterator

from ushydra_lab.config.schema import Experiment
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.errors import UserError
from ushydra_lab.runs.pack import without_names
from ushydra_lab.runs.run import Run
from ushydra_lab.training.assembly import build_data

COMPARED = ["record", "site", "subject", "part"]


def own_images(run: Run, experiment: Experiment) -> UltrasoundData:
    """The images of a finished run, in memory.

    Raises:
        UserError: they are no longer those that it was trained, selected and tested on.
    """
    data = build_data(experiment)
    data.setup("fit")
    if reasons := list(_changes(run, data)):
        remedy = "Give the data back as they were, or train again elsewhere: run_root=FOLDER"
        raise UserError.listing(f"these are not the images of the run. {remedy}", reasons)
    return data


def _changes(run: Run, data: UltrasoundData) -> Iterator[str]:
    then, now = run.split[COMPARED].astype(str), data.split_table()
    if run.summary.packed:
        now = without_names(now)
    now = now[COMPARED].astype(str)
    if len(then) != len(now):
        yield f"its split.csv has {len(then)} images, now there are {len(now)}"
    elif changed := (then != now).any(axis=1).sum():
        yield f"{changed} of {len(now)} have another site, subject or part than in its split.csv"
    elif run.summary.data and run.summary.data != data.manifest.fingerprint():
        yield "images or annotations are not those that run.json stands for"


def seen_sites(run: Run, experiment: Experiment) -> set[str]:
    """Sites with images that the run was trained or selected on, those of a stage's own images (`instead`) too.

    Raises:
        UserError: a stage's own images are no longer there.
    """
    if run.summary.packed:
        return set(run.summary.seen_sites)
    tables = [run.split]
    for stage in experiment.stages.values():
        if stage.instead.given:
            other = build_data(experiment.with_own(stage))
            tables.append(other.manifest.table.assign(part=other.part))
    return {site for table in tables for site in table.loc[table["part"].isin(["train", "val"]), "site"]}
