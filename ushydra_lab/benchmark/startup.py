"""How long the command line takes to say something: the help of each verb, beside Python alone."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from functools import partial

from ushydra_lab.benchmark.lab import Lab
from ushydra_lab.benchmark.rows import Row, longer
from ushydra_lab.benchmark.timing import Work, interleaved

PART = "startup"
PYTHON, TORCH = "python -c pass", "python -c 'import torch'"
VERBS = (
    "train", "import", "check", "runs", "report", "evaluate", "predict", "probes", "robustness", "boxes", "claims",
    "dashboard", "doctor", "benchmark",
)  # fmt: skip
FEW = {"tiny": ("claims",)}
"""Verbs that are started at a scale, in place of all."""


def rows(lab: Lab) -> Iterator[Row]:
    """Each in a process of its own, which the page cache knows from the first call."""
    verbs = FEW.get(lab.scale, VERBS)
    works: dict[str, Work] = {PYTHON: partial(_start, "-c", "pass"), TORCH: partial(_start, "-c", "import torch")}
    works |= {f"{verb} --help": partial(_start, "-m", "ushydra_lab", verb, "--help") for verb in verbs}
    times = interleaved(works, lab.repeats, lab.device)
    for name in list(works)[1:]:
        yield longer(PART, name, "", times[name], PYTHON, times[PYTHON])


def _start(*arguments: str) -> None:
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
