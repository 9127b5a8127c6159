"""The finished runs that answer together: the last stage of each, on one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ushydra_lab.config.stored import AS_STORED, Local, on_this_machine
from ushydra_lab.errors import UserError
from ushydra_lab.prediction.intervals import Interval, intervals
from ushydra_lab.prediction.systems.base import System
from ushydra_lab.prediction.systems.registry import system_of
from ushydra_lab.runs.run import Run, runs_below
from ushydra_lab.runs.stored_experiment import check_stored
from ushydra_lab.runs.summary import FINISHED
from ushydra_lab.tasks.base import Answer, Batch, Task
from ushydra_lab.training.stages import finished_tasks


@dataclass(frozen=True)
class Member:
    """One finished run: the task of its last stage, and what it was made from."""

    run: Run
    task: Task
    canvas: tuple[int, int]
    batch_size: int

    @property
    def made_from(self) -> dict[str, object]:
        """What predict.json says of it; no name of a place."""
        summary = self.run.summary
        return {
            "experiment": self.run.experiment.name,
            "variant": summary.variant,
            "seed": summary.seed,
            "weights": self.run.weight_checksums,
        }


@dataclass(frozen=True)
class Ensemble:
    """Members of one system and canvas that answer together, or one alone; intervals: of their measures in mm."""

    members: tuple[Member, ...]
    system: System
    device: torch.device
    intervals: Mapping[str, Interval] = field(default_factory=dict)

    @property
    def canvas(self) -> tuple[int, int]:
        return self.members[0].canvas

    def answers(self, batch: Batch) -> list[Answer]:
        """Each member's answer to the images of a batch."""
        return [member.task.answer(batch["image"], batch["content"]) for member in self.members]


def load_ensemble(folders: Sequence[Path], device: str = "auto", local: Local = AS_STORED) -> Ensemble:
    """The finished runs at or below these folders.

    Args:
        folders: run directories, or folders that hold several: seeds or folds.
        device: auto, cpu, cuda or cuda:N; auto is the first GPU, if there is one.

    Raises:
        UserError: there is none, they do not answer the same question, or one cannot be asked about unlabelled images.
    """
    runs = [run for folder in folders for run in (runs_below(folder) or [Run(folder)])]
    finished = [run for run in runs if len(runs) == 1 or run.summary.status == FINISHED]
    if not finished:
        raise UserError(f"{', '.join(map(str, folders))}: none of {len(runs)} runs is finished")
    place = _device(device)
    members = tuple(_member(run, place, local) for run in finished)
    systems = [system_of(member.task) for member in members]
    asked = [(member.canvas, system.question) for member, system in zip(members, systems, strict=True)]
    if different := [member.run.path for member, one in zip(members, asked, strict=True) if one != asked[0]]:
        raise UserError.listing(
            f"Runs that answer together need the same canvas and the same question as {members[0].run.path}; not so",
            [str(path) for path in different],
        )
    return Ensemble(members, systems[0], place, intervals(finished))


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"--device {name}: cannot be used here ({str(error).splitlines()[0]})") from error
    return device


def _member(run: Run, device: torch.device, local: Local) -> Member:
    experiment = on_this_machine(check_stored(run, local.trust), local)
    task = list(finished_tasks(run, experiment).values())[-1].to(device).eval()
    rows, columns = experiment.canvas
    return Member(run, task, (rows, columns), experiment.batch_size)
