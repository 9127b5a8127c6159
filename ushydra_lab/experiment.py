"""The spine: stages in order, then every stage on the validation and the test images, into one run directory."""

from __future__ import annotations

import logging
from pathlib import Path

import lightning as L
import pandas as pd
import torch

from ushydra_lab.config.schema import Experiment
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.evaluation.pictures import draw_extremes, draw_landmarks, draw_panels, draw_sites
from ushydra_lab.runs.directory import RunDirectory, job_identity
from ushydra_lab.tasks.base import Task
from ushydra_lab.training.assembly import build_trainer, job_data, open_logger
from ushydra_lab.training.stages import ctrl_c, train_stages

log = logging.getLogger(__name__)


def run(experiment: Experiment, path: Path) -> None:
    """Do one job, or what is missing of it.

    Raises:
        Busy: another process is running this job.
        UserError: bad input, a directory that holds other results, a full disk; nothing else is left half-written.
    """
    directory = RunDirectory(path, experiment)
    with directory.hold():
        directory.refuse_other_config()
        if directory.done:
            with directory.note_refusal():
                directory.refuse_other_data(prepare(experiment)[1])
            log.info("already finished: %s", path)
            return
        with directory.record():
            _run(experiment, directory)


def prepare(experiment: Experiment) -> tuple[UltrasoundData, str]:
    """A job's images in memory, and its identity.

    Raises:
        UserError: bad input.
    """
    L.seed_everything(experiment.seed, workers=True, verbose=False)
    data = job_data(experiment)
    data.setup("fit")
    return data, job_identity(experiment, data.fingerprint(data.parts))


def _run(experiment: Experiment, directory: RunDirectory) -> None:
    data, identity = prepare(experiment)
    directory.note(identity=identity, data=data.manifest.fingerprint())
    path = directory.path
    with open_logger(experiment, path, identity) as logger:
        trained = train_stages(experiment, directory, data, logger)
        tasks = {name: stage.task for name, stage in trained.items()}
        table = evaluate_stages(experiment, tasks, data)
        draw_extremes(experiment, tasks, path, data, table)
        draw_sites(experiment, tasks, path, data)
        draw_landmarks(experiment, tasks, path, data)
        panels = draw_panels(experiment, tasks, data, path)
        directory.keep(
            {name: stage.summary for name, stage in trained.items()},
            {name: stage.folder for name, stage in trained.items()},
            data.split_table(),
            table,
            part_means(table),
        )
        logger.finish(table, panels)


def evaluate_stages(experiment: Experiment, tasks: dict[str, Task], data: UltrasoundData) -> pd.DataFrame:
    """stage, part, record, site and every metric, one row an image, for the parts there are."""
    tables = []
    trainer = build_trainer(experiment.trainer, [])
    for name, task in tasks.items():
        for part in (part for part in data.parts if part != "train"):
            with ctrl_c():
                batches = trainer.predict(task, data.part_loader(part))
            assert batches
            columns = {key: torch.cat([batch[key] for batch in batches]).cpu().numpy() for key in batches[0]}
            table = pd.DataFrame(columns).assign(site=lambda t: [data.manifest.sites[i] for i in t["site"]])
            tables.append(table.assign(stage=name, part=part))
    joined = pd.concat(tables, ignore_index=True)
    return joined[["stage", "part", *(c for c in joined if c not in ("stage", "part"))]]


def part_means(table: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """stage -> part -> metric -> mean over the images that have it."""
    result: dict[str, dict[str, dict[str, float]]] = {}
    for keys, rows in table.groupby(["stage", "part"], sort=False):
        stage, part = map(str, keys)
        means = rows.drop(columns=["stage", "part", "record", "site"]).mean().dropna()
        result.setdefault(stage, {})[part] = {str(metric): round(float(mean), 9) for metric, mean in means.items()}
    return result
