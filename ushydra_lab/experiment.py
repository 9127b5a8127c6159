"""One job from start to end: train the stages in order, evaluate them on validation and test images, write the run."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import lightning as L
import pandas as pd

from ushydra_lab.audit.landmarks import label_flags
from ushydra_lab.config.schema import Experiment
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.data.vocabulary import LABEL_FLAG
from ushydra_lab.evaluation.per_image import evaluate_stages, part_means
from ushydra_lab.evaluation.pictures import draw_extremes, draw_landmarks, draw_panels, draw_sites
from ushydra_lab.files import DamagedFile
from ushydra_lab.runs.directory import RunDirectory, job_identity
from ushydra_lab.runs.run import SUMMARY
from ushydra_lab.runs.summary import FINISHED
from ushydra_lab.runs.verified import is_unchanged
from ushydra_lab.training.assembly import data_fingerprint, job_data, open_logger
from ushydra_lab.training.stages import train_stages, work_of
from ushydra_lab.triage.files import write_triage
from ushydra_lab.triage.fit import fit_triage
from ushydra_lab.triage.images import judged_images

log = logging.getLogger(__name__)


def run(experiment: Experiment, path: Path) -> None:
    """Run one job, or the part of it that is missing.

    Raises:
        Busy: another process is running this job.
        UserError: bad input, a directory that holds other results, a full disk; nothing else is left half-written.
    """
    directory = RunDirectory(path, experiment)
    with directory.lock():
        directory.refuse_other_config()
        if directory.done:
            with directory.note_refusal():
                if not directory.made_of(data_fingerprint(experiment)):
                    directory.refuse_other_data(prepare(experiment)[1])
            directory.declare()
            log.info("already finished: %s", path)
            return
        with directory.recording():
            _run(experiment, directory)


def nothing_to_do(experiment: Experiment, directory: RunDirectory) -> bool:
    """Whether a job is finished with the data as they are now, its files being as large and old as when verified.

    False also where that is not known or a file is damaged: the job itself then compares checksums; and where it has to
    note that its images are free of burnt-in names, or not.
    """
    run = directory.run
    try:
        finished = (run.path / SUMMARY).exists() and run.summary.status == FINISHED
        if finished and run.deidentified is not (experiment.deidentified is True):
            return False
        return finished and is_unchanged(run) and directory.made_of(data_fingerprint(experiment))
    except DamagedFile:
        return False


def prepare(experiment: Experiment) -> tuple[UltrasoundData, str]:
    """Load a job's images into memory, and compute its identity.

    Raises:
        UserError: bad input.
    """
    L.seed_everything(experiment.seed, verbose=False)
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
        began = time.monotonic()
        table = evaluate_stages(experiment, tasks, data)
        draw_extremes(experiment, tasks, path, data, table)
        draw_sites(experiment, tasks, path, data)
        draw_landmarks(experiment, tasks, path, data)
        panels = draw_panels(experiment, tasks, data, path)
        last = list(tasks.values())[-1]
        triage = fit_triage(last, data)
        for shortage in triage.shortages:
            log.info("%s", shortage)
        judged = judged_images(triage, last, data)
        directory.note_pace(work_of(experiment, None), (time.monotonic() - began) / len(data.records))
        directory.write_results(
            {name: stage.summary for name, stage in trained.items()},
            {name: stage.folder for name, stage in trained.items()},
            _split(data),
            table,
            part_means(table),
            write_triage(path, triage, judged),
        )
        logger.finish(table, panels)


def _split(data: UltrasoundData) -> pd.DataFrame:
    """The split, with the labels that the audit flags; they take part in everything all the same."""
    flagged = {LABEL_FLAG: label_flags(data.manifest.table)} if "landmarks" in data.manifest.annotations else {}
    return data.split_table().assign(**flagged)
