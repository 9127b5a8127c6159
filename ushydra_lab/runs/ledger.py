"""What has become of the jobs, read from their directories: run.json and whether a process holds the lock."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.table import Table

from ushydra_lab.errors import UserError
from ushydra_lab.runs.directory import FAILED, FINISHED, INTERRUPTED, PLANNED, RUNNING, TIME, held
from ushydra_lab.runs.files import read_json

MISSING = "missing"
COLOURS = {FINISHED: "green", RUNNING: "cyan", INTERRUPTED: "yellow", FAILED: "red", MISSING: "yellow"}


@dataclass(frozen=True)
class Job:
    """state: a key of COLOURS; took: h:mm:ss of the last attempt; note: the error, or how far it is; sweep: its id."""

    run: Path
    state: str
    took: str = ""
    note: str = ""
    sweep: str | None = None


def job(run: Path, sweep: str | None = None) -> Job:
    """The state of one job. A killed one says it is running, but nobody holds its lock.

    sweep: who asks; a finished job that refused this sweep, for its data, counts as failed.
    """
    try:
        file = run / "run.json"
        summary: dict[str, Any] = read_json(file) if file.exists() else {"status": PLANNED}
        status: str = summary["status"]
        if status in (PLANNED, RUNNING) and held(run):
            state, note = RUNNING, _progress(run, summary)
        elif status == PLANNED:
            state, note = MISSING, "not started"
        elif status == RUNNING:
            state, note = INTERRUPTED, " ".join(["killed", _progress(run, summary)])
        else:
            refused = summary.get("refused", {})
            own = sweep is not None and refused.get("sweep") == sweep
            state, note = (FAILED, refused["error"]) if own else (status, summary.get("error", ""))
        return Job(run, state, _took(summary), _first_line(note), summary.get("sweep"))
    except (OSError, KeyError, ValueError, UserError) as error:
        return Job(run, FAILED, note=f"run.json cannot be used: {_first_line(str(error))}")


def below(folder: Path) -> dict[Path, list[Job]]:
    """Experiment directory -> its jobs, for all that lie below a folder, `multirun` or one experiment's or job's."""
    found: dict[Path, list[Job]] = {}
    for file in sorted(folder.resolve().rglob("seed*/*/run.json")) or sorted(folder.resolve().glob("run.json")):
        found.setdefault(file.parents[3], []).append(job(file.parent))
    return found


def failed_in(sweep: str, experiment: Path) -> list[Path]:
    """The jobs of a sweep that have failed so far."""
    jobs = (job(file.parent) for file in sorted(experiment.glob("*/seed*/*/run.json")))
    return [one.run for one in jobs if one.state == FAILED and one.sweep == sweep]


def table(jobs: Iterable[Job], experiment: Path) -> Table:
    """Job, status, time and reason; the caption counts the states."""
    jobs = list(jobs)
    counts = Counter(one.state for one in jobs)
    states = ", ".join(f"{counts[state]} {state}" for state in COLOURS if counts[state])
    caption = f"{len(jobs)} job{'s' * (len(jobs) != 1)}: {states}"
    shown = Table(title=f"{experiment.name}: jobs", caption=caption, title_justify="left", caption_justify="left")
    for column in ("job", "status", "time", "reason"):
        shown.add_column(column, overflow="fold", justify="right" if column == "time" else "left")
    for one in jobs:
        colour = COLOURS.get(one.state, "red")
        name = "/".join(one.run.parts[-3:])
        shown.add_row(name, f"[{colour}]{one.state}[/]", one.took, one.note.replace("[", "\\["))
    return shown


def _took(summary: dict[str, Any]) -> str:
    if "started" not in summary:
        return ""
    end = summary.get("ended") or (time.strftime(TIME) if summary["status"] == RUNNING else None)
    if end is None:
        return ""
    seconds = (datetime.strptime(end, TIME) - datetime.strptime(summary["started"], TIME)).total_seconds()
    return str(timedelta(seconds=round(seconds)))


def _progress(run: Path, summary: dict[str, Any]) -> str:
    """The stage and its epoch, from the curves that training writes."""
    if not (now := summary.get("now")):
        return ""
    history = run.resolve().parents[3] / ".stages" / now["folder"] / "history.csv"
    done = max(0, len(history.read_text().splitlines()) - 1) if history.exists() else 0
    return f"{now['stage']}, {done} of at most {now['max_epochs']} epochs done"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0]
