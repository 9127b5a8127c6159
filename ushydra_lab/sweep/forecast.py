"""What a sweep will take, in words, before its first job: stages, time and disk, and what the numbers rest on."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ushydra_lab.config.schema import Experiment
from ushydra_lab.cores import BUSY, busy
from ushydra_lab.runs.pace import Pace, recorded
from ushydra_lab.sweep.missing_work import MissingStage, MissingWork, missing_work
from ushydra_lab.sweep.progress import minutes
from ushydra_lab.training.memory import release_memory
from ushydra_lab.training.stage_tasks import build_task
from ushydra_lab.training.trial import Trial

log = logging.getLogger(__name__)
WORTH_A_TRIAL = 300
"""Training steps below which a sweep is not tried first: a trial of six steps would be a share of it."""
MOST_TRIALS = 4
GIGABYTE = 1e9
BYTES = 4
STATE = 4
"""How many times the weights' size a training keeps to go on from: weights, two moments of Adam, and the best ones."""
JOB_BYTES = 10e6
"""Figures, tables and curves of a job, as the experiments of the lab leave them."""


@dataclass(frozen=True)
class Duration:
    """Seconds that are to be expected of each job, and of all at most, as far as the pace of the work is known.

    A stage's seconds are those of the first job that needs it. trials: stages timed just now;
    known: jobs that the paces come from; unknown: stages of unknown pace; evaluated: whether evaluations are in it;
    shared: whether other processes used the cores during the trials.
    """

    of_jobs: tuple[float, ...]
    most: float
    trials: tuple[str, ...]
    known: int
    unknown: tuple[str, ...]
    evaluated: bool
    shared: bool = False

    @property
    def expected(self) -> float:
        return sum(self.of_jobs)


@dataclass(frozen=True)
class Forecast:
    """lines: stages, time, disk, for whoever started the sweep; of_jobs: seconds of each job, 0 where unknown."""

    lines: tuple[str, ...]
    of_jobs: tuple[float, ...]


def forecast(jobs: Sequence[Experiment], here: bool) -> Forecast:
    """What the jobs of a sweep will take.

    jobs: those that are not finished; here: whether they run in this process, so that a trial of its stages holds.
    """
    root = Path(jobs[0].run_root)
    known = recorded(root)
    work = missing_work(jobs, known)
    stages = f"{len(work.stages)} to train" + (f", {work.found} found" if work.found else "")
    time = duration(work, known, here)
    return Forecast((f"stages: {stages}", time_in_words(time), disk_in_words(work, root)), time.of_jobs)


def duration(work: MissingWork, known: Mapping[str, Pace], here: bool) -> Duration:
    """Time by what was recorded of the same settings, else by a trial."""
    shared = busy() > BUSY  # before a trial makes it so
    tried = _trials(work, known) if here else {}
    paces, later = {**tried, **known}, 0.0
    of_jobs = [known[key].seconds * images if key in known else 0.0 for key, images in work.evaluations]
    for stage in work.stages:
        if pace := paces.get(stage.work):
            epochs, epoch = min(pace.epochs, stage.most_epochs), pace.seconds * stage.images
            of_jobs[stage.job] += epoch * epochs
            later += epoch * (stage.most_epochs - epochs)
    used = {one.work: one for one in work.stages}
    return Duration(
        tuple(of_jobs),
        sum(of_jobs) + later,
        tuple(dict.fromkeys(one.name for key, one in used.items() if key in tried)),
        max((known[key].jobs for key in used if key in known), default=0),
        tuple(dict.fromkeys(one.name for key, one in used.items() if key not in paces)),
        all(key in known for key, _ in work.evaluations),
        shared and bool(tried),
    )


def _trials(work: MissingWork, known: Mapping[str, Pace]) -> dict[str, Pace]:
    """Pace of stages that were never trained before, where a trial is a small part of the work."""
    new = {stage.work: stage for stage in work.stages if stage.work not in known}
    if sum(stage.most_steps for stage in work.stages) < WORTH_A_TRIAL or len(new) > MOST_TRIALS:
        return {}
    return {key: pace for key, stage in new.items() if (pace := _trial(stage))}


def _trial(stage: MissingStage) -> Pace | None:
    try:
        seconds = Trial(stage.experiment, stage.name, stage.data).epoch_seconds()
        return Pace(seconds / stage.images, stage.most_epochs, 0)
    except Exception as error:  # the job will meet it, too, and tell where
        log.warning("%s: a trial of a few steps failed (%s)", stage.name, type(error).__name__)
        return None
    finally:
        release_memory()


def time_in_words(time: Duration) -> str:
    """'time: about 4 min, by a few steps of phase1, phase2 just now; ...'"""
    if not time.most:
        return "time: not known yet; the first job that ends will tell"
    about = f"about {minutes(time.expected)}"
    if minutes(time.most) != minutes(time.expected):
        about += f", at most {minutes(time.most)}"
    grounds = "; ".join(_grounds(time))
    return f"time: {about} for one job after another" + (f", {grounds}" if grounds else "")


def _grounds(time: Duration) -> Iterator[str]:
    if time.known:
        yield f"as {time.known} job{'s' * (time.known > 1)} with these settings took"
    if time.trials:
        yield f"by a few steps of {', '.join(time.trials)} just now; early stopping may end them sooner"
    if time.shared:
        yield "other programs use the cores now, without them it takes less"
    if time.unknown:
        yield f"without {', '.join(time.unknown)}, of which nothing is known yet"
    if not time.evaluated:
        yield "evaluation and figures come on top"


def disk_in_words(work: MissingWork, root: Path) -> str:
    """'disk: about 0.3 GB, 46 GB are free'"""
    place = next(one for one in (root.absolute(), *root.absolute().parents) if one.exists())
    free, need = shutil.disk_usage(place).free / GIGABYTE, bytes_needed(work) / GIGABYTE
    words = f"disk: about {_gigabytes(max(need, 0.01))}"
    return f"{words}, {_gigabytes(free)} are free" if need < free else f"{words}, BUT ONLY {_gigabytes(free)} ARE FREE"


def _gigabytes(size: float) -> str:
    return f"{size:.0f} GB" if size >= 10 else f"{size:.2g} GB"


def bytes_needed(work: MissingWork) -> float:
    """Bytes of checkpoints, of canvases that may not be cached yet, and of what each job leaves besides."""
    weights: dict[str, float] = {}
    for stage in work.stages:
        if stage.work not in weights:
            with torch.device("meta"):
                task = build_task(stage.experiment, stage.name)
            weights[stage.work] = BYTES * sum(p.numel() for p in task.parameters())
    kept = sum(weights[one.work] * (1 if one.experiment.stages[one.name].patience else 2) for one in work.stages)
    canvases = sum(dict(stage.canvases for stage in work.stages).values())
    return kept + STATE * max(weights.values(), default=0) + canvases + JOB_BYTES * len(work.evaluations)
