"""The user's own command at the end of a sweep, `at_end`: a message to a phone, a mail, a copy to a server."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from omegaconf import DictConfig

from ushydra_lab.errors import UserError
from ushydra_lab.runs.ledger import JobState
from ushydra_lab.runs.summary import FAILED, FINISHED
from ushydra_lab.sweep.progress import minutes

MOST_S = 300
"""A command that takes longer is ended: it must not keep the sweep's own command from ending."""


def refuse_command_of_a_file(config: DictConfig, typed: Sequence[str]) -> None:
    """typed: the words of the command line itself; those that Hydra keeps, a file may have put there.

    Raises:
        UserError: `at_end` comes from a configuration file: who shares one must not run commands elsewhere.
    """
    if config.get("at_end") is not None and not any(word.lstrip("+").startswith("at_end=") for word in typed):
        raise UserError("at_end: type it on the command line; no configuration file may name a command to be run")


def outcome(jobs: Sequence[JobState], reported: bool, seconds: float) -> dict[str, str]:
    """Environment variables that tell how a sweep ended; no path, subject or error, which may name some, is in them."""
    finished, failed = (sum(one.state == state for one in jobs) for state in (FINISHED, FAILED))
    names = ", ".join(dict.fromkeys(one.run.experiment.name for one in jobs))
    whole = finished == len(jobs) and reported
    text = f"{names}: {finished} of {len(jobs)} jobs finished" + (f", {failed} failed" if failed else "")
    text += f" after {minutes(seconds)}" + ("" if reported else "; the report is not complete")
    values = {"OUTCOME": "finished" if whole else "failed", "TEXT": text, "EXPERIMENT": names, "JOBS": len(jobs)}
    values |= {"FINISHED": finished, "FAILED": failed, "SECONDS": round(seconds)}
    return {f"USHYDRA_{name}": str(value) for name, value in values.items()}


def notify(command: str | None, jobs: Sequence[JobState], reported: bool, seconds: float) -> None:
    """Run the user's command, if there is one; that it failed is said, and changes nothing else."""
    if command is None:
        return
    environment = {**os.environ, **outcome(jobs, reported, seconds)}
    try:
        done = subprocess.run(str(command), shell=True, env=environment, timeout=MOST_S, check=False)
        problem = f"ended with status {done.returncode}" if done.returncode else ""
    except subprocess.TimeoutExpired:
        problem = f"did not end within {MOST_S} s"
    if problem:
        print(f"at_end: your command {problem}; the jobs and tables are as told above", file=sys.stderr, flush=True)
