"""The state of jobs, read from their directories: run.json, and whether a process holds the lock."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from filelock import FileLock, Timeout
from rich.markup import escape
from rich.table import Table

from ushydra_lab.files import DamagedFile
from ushydra_lab.runs.run import SUMMARY, Run, runs_below
from ushydra_lab.runs.summary import FAILED, FINISHED, INTERRUPTED, PLANNED, RUNNING, STORE, TIME, UNVERIFIED, Summary

MISSING = "missing"
COLOURS = {FINISHED: "green", RUNNING: "cyan", INTERRUPTED: "yellow", FAILED: "red", MISSING: "yellow"}


@dataclass(frozen=True)
class JobState:
    """A job's state (a key of COLOURS), h:mm:ss of its last attempt, its error or progress, and the id of its sweep."""

    run: Run
    state: str
    took: str = ""
    note: str = ""
    sweep: str | None = None


def job_state(run: Run, sweep: str | None = None, *, verify: bool = False) -> JobState:
    """The state of one job. A killed one is marked as running, but no process holds its lock.

    sweep: who asks; a finished job that refused this sweep, for its data, counts as failed.
    verify: a finished job whose files are missing or not as they were written counts as failed.
    """
    if not (run.path / SUMMARY).exists():
        return JobState(run, MISSING, note="not started")
    try:
        summary = run.summary
        if verify and summary.status == FINISHED:
            run.verify()
    except DamagedFile as error:
        return JobState(run, FAILED, note=_first_line(str(error)))
    if summary.status in (PLANNED, RUNNING) and is_running(run.path):
        state, note = RUNNING, _progress(run)
    elif summary.status == PLANNED:
        state, note = MISSING, "not started"
    elif summary.status == RUNNING:
        state, note = INTERRUPTED, " ".join(["killed", _progress(run)])
    elif sweep is not None and summary.refused.get("sweep") == sweep:
        state, note = FAILED, summary.refused.get("error", "")
    else:
        state, note = summary.status, summary.error if run.verified or summary.status != FINISHED else UNVERIFIED
    return JobState(run, state, _took(summary), _first_line(note), summary.sweep)


def failed_in(sweep: str, experiment: Path) -> list[Run]:
    """The jobs of a sweep that have failed so far."""
    return [one.run for one in map(job_state, runs_below(experiment)) if one.state == FAILED and one.sweep == sweep]


def table(jobs: Iterable[JobState], experiment: Path) -> Table:
    """A table of jobs with status, time and reason; its caption counts the states."""
    jobs = list(jobs)
    counts = Counter(one.state for one in jobs)
    states = ", ".join(f"{counts[state]} {state}" for state in COLOURS if counts[state])
    caption = f"{len(jobs)} job{'s' * (len(jobs) != 1)}: {states}"
    shown = Table(
        title=escape(f"{experiment.name}: jobs"), caption=caption, title_justify="left", caption_justify="left"
    )
    for column in ("job", "status", "time", "reason"):
        shown.add_column(column, overflow="fold", justify="right" if column == "time" else "left")
    for one in jobs:
        colour = COLOURS.get(one.state, "red")
        shown.add_row(escape(one.run.name), f"[{colour}]{one.state}[/]", one.took, escape(one.note))
    return shown


def is_running(run: Path) -> bool:
    """Whether a process, on this machine or on one that shares its file system's locks, is running the job."""
    file = run / ".lock"
    if not file.is_file():
        return False
    try:
        with FileLock(file, mode=0o666).acquire(timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # a read-only folder, or one without locks: nobody can be running a job in it
        return False


def _took(summary: Summary) -> str:
    """h:mm:ss from start to end, or until now; '' where the times are unknown."""
    end = summary.ended or (time.strftime(TIME) if summary.status == RUNNING else "")
    try:
        seconds = (datetime.strptime(end, TIME) - datetime.strptime(summary.started, TIME)).total_seconds()
    except ValueError:
        return ""
    return str(timedelta(seconds=round(seconds)))


def _progress(run: Run) -> str:
    """The stage and its epoch, from the curves that training writes."""
    now = run.summary.now
    if not {"stage", "folder", "max_epochs"} <= now.keys():
        return ""
    history = run.experiment.parent / STORE / Path(str(now["folder"])).name / "history.csv"
    done = max(0, len(history.read_bytes().splitlines()) - 1) if history.is_file() else 0
    return f"{now['stage']}, {done} of at most {now['max_epochs']} epochs done"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
