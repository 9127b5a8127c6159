"""What a sweep has yet to do: its stages that are found or missing, each counted once, and jobs to be evaluated."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from math import ceil, prod
from pathlib import Path

from ushydra_lab.config.identity import digest
from ushydra_lab.config.schema import Experiment
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.runs.stage_store import stage_folder
from ushydra_lab.runs.summary import STORE
from ushydra_lab.training.assembly import build_data, job_data
from ushydra_lab.training.stages import stage_key, work_of


@dataclass(frozen=True)
class MissingStage:
    """A stage that is yet to be trained.

    job: the number of the first job that needs it; experiment: with what the stage has of its own; work: hash of
    `work_of`.
    """

    job: int
    experiment: Experiment
    name: str
    data: UltrasoundData
    work: str

    @property
    def images(self) -> int:
        """How many it trains on."""
        return int((self.data.part == "train").sum())

    @property
    def most_epochs(self) -> int:
        return self.experiment.stages[self.name].max_epochs

    @property
    def most_steps(self) -> int:
        return ceil(self.images / self.experiment.batch_size) * self.most_epochs

    @property
    def canvases(self) -> tuple[str, int]:
        """Which stack of canvases it is trained on, and its bytes, with those of label maps."""
        manifest = self.data.manifest
        masks = sum(annotation.kind == "mask" for annotation in manifest.annotations.values())
        stack = digest([manifest.fingerprint(), self.data.canvas])
        return stack, len(manifest.table) * prod(self.data.canvas) * (1 + masks)


@dataclass
class MissingWork:
    """found: stages that were trained before; evaluations: a job's hash of `work_of`, and its images."""

    found: int = 0
    stages: list[MissingStage] = field(default_factory=list)
    evaluations: list[tuple[str, int]] = field(default_factory=list)


@dataclass(frozen=True)
class Unread:
    """Stands for images of which no pixel has been read: equal where manifest and split are."""

    data: UltrasoundData

    def fingerprint(self, parts: Sequence[str]) -> str:
        """Hash of the manifest and of which images the parts have."""
        return digest([self.data.manifest.fingerprint(), [list(self.data.part == part) for part in parts]])


def missing_work(jobs: Sequence[Experiment], known: Collection[str]) -> MissingWork:
    """What these jobs have to do.

    known: work that was done before. Only of that a stage can be in the store, and only then images are read, out of
    the cache into which the stage put them.
    """
    work = MissingWork()
    seen: set[str] = set()
    for number, job in enumerate(jobs):
        with contextlib.redirect_stdout(io.StringIO()):  # what is left out has been told before
            data = job_data(job)
        work.evaluations.append((work_of(job, None), int(data.part.isin(data.wanted).sum())))
        keys: dict[str, str] = {}
        for name, settings in job.stages.items():
            own = job.with_own(settings)
            images = build_data(own) if settings.instead.given else data
            stage = MissingStage(number, own, name, images, work_of(own, name))
            keys[name] = stage_key(own, name, images if stage.work in known else Unread(images), keys)
            if keys[name] in seen:
                continue
            seen.add(keys[name])
            if stage_folder(Path(job.run_root) / STORE, keys[name]).done:
                work.found += 1
            else:
                work.stages.append(stage)
    return work
