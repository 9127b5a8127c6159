"""The finished runs that answer together: the last stage of each, on one device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from ushydra_lab.config.stored import AS_STORED, Local, on_this_machine
from ushydra_lab.errors import UserError
from ushydra_lab.prediction.intervals import intervals
from ushydra_lab.prediction.systems.base import System
from ushydra_lab.prediction.systems.registry import system_of
from ushydra_lab.results.intervals import Interval
from ushydra_lab.runs.run import Run, runs_below
from ushydra_lab.runs.stored_experiment import check_stored
from ushydra_lab.runs.summary import FINISHED
from ushydra_lab.runs.triage_files import kept
from ushydra_lab.tasks.base import Answer, Batch, Task
from ushydra_lab.training.stages import finished_tasks
from ushydra_lab.triage.files import read_triage
from ushydra_lab.triage.rules import Judgement, Triage, together
from ushydra_lab.triage.scores import rows, scores_of


@dataclass(frozen=True)
class Member:
    """One finished run: the task of its last stage, and what it was made from.

    triage: its rules; None of a version that fixed none.
    """

    run: Run
    task: Task
    canvas: tuple[int, int]
    batch_size: int
    triage: Triage | None = None

    def answer(self, batch: Batch) -> tuple[Answer, list[dict[str, float]]]:
        """The answer to a batch's images, and of each image the scores that triage compares, none without triage."""
        answer, code = self.task.answer_with_code(batch["image"], batch["content"])
        if self.triage is None:
            return answer, []
        return answer, rows(scores_of(self.task, answer, code, batch, self.triage.known), len(batch["image"]))

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
    """Members of one system and canvas that answer together, or one alone; intervals: of their measures in mm;
    unfinished: runs beside them that do not answer.
    """

    members: tuple[Member, ...]
    system: System
    device: torch.device
    intervals: Mapping[str, Interval] = field(default_factory=dict)
    unfinished: tuple[Run, ...] = ()

    @property
    def canvas(self) -> tuple[int, int]:
        return self.members[0].canvas

    @property
    def triages(self) -> list[Triage]:
        """The triage of each member that has one."""
        return [member.triage for member in self.members if member.triage]

    @property
    def notices(self) -> list[str]:
        """What the user should know: runs that do not answer, members of several variants or without triage, rules
        without a threshold.
        """
        left = [f"{run.path}: is not finished and does not answer" for run in self.unfinished]
        variants = sorted({f"{one.run.experiment.name}/{one.run.summary.variant}" for one in self.members})
        mixed = [f"Variants that answer together: {', '.join(variants)}"] * (len(variants) > 1)
        without = [f"{one.run.path}: no triage, train again to have one" for one in self.members if not one.triage]
        return [*left, *mixed, *without, *dict.fromkeys(one for triage in self.triages for one in triage.shortages)]

    def judge(self, refused: tuple[str, ...], scores: Sequence[Mapping[str, float]]) -> Judgement | None:
        """The judgement of one image; None where no member has a triage.

        refused: why its raw pixels are refused; scores: by each member that has a triage.
        """
        judged = [triage.judge(refused, own) for triage, own in zip(self.triages, scores, strict=True)]
        return together(judged) if judged else None


def load_ensemble(folders: Sequence[Path], device: str = "auto", local: Local = AS_STORED) -> Ensemble:
    """The finished runs at or below these folders.

    Args:
        folders: run directories, or folders that hold several: seeds or folds; a run that is named twice answers once.
        device: auto, cpu, cuda or cuda:N; auto is the first GPU, if there is one.

    Raises:
        UserError: there is none, they do not answer the same question, or one cannot be asked about unlabelled images.
    """
    named = [run for folder in folders for run in (runs_below(folder) or [Run(folder)])]
    runs = list({run.path.resolve(): run for run in named}.values())
    finished = [run for run in runs if len(runs) == 1 or run.summary.status == FINISHED]
    if not runs:
        raise UserError("name at least one finished run, or a folder of several")
    if not finished:
        raise UserError(f"{', '.join(map(str, folders))}: none of {len(runs)} runs is finished")
    place = _device(device)
    members = tuple(_member(run, place, local) for run in finished)
    systems = [_system(member) for member in members]
    asked = [(member.canvas, system.question) for member, system in zip(members, systems, strict=True)]
    if different := [member.run.path for member, one in zip(members, asked, strict=True) if one != asked[0]]:
        raise UserError.listing(
            f"Runs that answer together need the same canvas and the same question as {members[0].run.path}: "
            "name the runs of one variant; others are",
            [str(path) for path in different],
        )
    unfinished = tuple(run for run in runs if run not in finished)
    return Ensemble(members, systems[0], place, intervals(finished), unfinished)


def _system(member: Member) -> System:
    try:
        return system_of(member.task)
    except UserError as error:
        raise UserError(f"{member.run.path}: {error}") from error


def _device(name: str) -> torch.device:
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        if device.type not in ("cpu", "cuda"):
            raise RuntimeError("auto, cpu and cuda are known")
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError) as error:
        raise UserError(f"device {name}: cannot be used here ({str(error).splitlines()[0]})") from error
    return device


def _member(run: Run, device: torch.device, local: Local) -> Member:
    experiment = on_this_machine(check_stored(run, local.trust), local)
    task = list(finished_tasks(run, experiment).values())[-1].to(device).eval()
    height, width = experiment.canvas
    return Member(run, task, (height, width), experiment.batch_size, read_triage(run) if kept(run) else None)
