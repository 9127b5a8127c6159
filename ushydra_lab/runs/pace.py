"""How long work took in the runs below a folder, so that the next sweep can tell what it will cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from statistics import median

from ushydra_lab.files import DamagedFile
from ushydra_lab.runs.run import runs_below


@dataclass(frozen=True)
class Pace:
    """How long a piece of work takes: the median over `jobs` jobs.

    seconds: of one image in one epoch; for a stage of a training image, with the epoch's validation. epochs: after
    which the stages ended.
    """

    seconds: float
    epochs: float
    jobs: int


def recorded(root: Path) -> dict[str, Pace]:
    """Pace of each piece of work, by its hash, that a run below `root`, a folder of experiments, has noted."""
    found: dict[str, list[list[float]]] = {}
    for run in runs_below(root):
        try:
            noted = run.summary.pace
        except DamagedFile:  # its own command tells
            continue
        for work, numbers in noted.items():
            if len(numbers) == 2:
                found.setdefault(work, []).append(numbers)
    return {
        work: Pace(median(each[0] for each in numbers), median(each[1] for each in numbers), len(numbers))
        for work, numbers in found.items()
    }
