"""How far a sweep has come, in a line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ushydra_lab.runs.ledger import JobState
from ushydra_lab.runs.summary import FAILED, FINISHED, INTERRUPTED


def at_start(jobs: Sequence[JobState]) -> str:
    """'6 jobs, 2 of them finished already'"""
    done = sum(one.state == FINISHED for one in jobs)
    return f"{len(jobs)} jobs" + (f", {done} of them finished already" if done else "")


def so_far(jobs: Sequence[JobState], sweep: str, seconds: float, expected: Mapping[Path, float]) -> str:
    """'3 of 6 jobs have ended, 1 failed; about 12 min left'.

    seconds: what the jobs that this sweep has run so far took. expected: what was foretold of each job, by its path;
    the jobs that are left take as much longer or shorter than foretold as those did. Where nothing was foretold of a
    job, all count alike.
    """
    run = [one for one in jobs if one.sweep == sweep and one.state in (FINISHED, FAILED, INTERRUPTED)]
    left = [one for one in jobs if one.state != FINISHED and one not in run]
    failed = sum(one.state == FAILED for one in run)
    ended = f"{len(jobs) - len(left)} of {len(jobs)} jobs have ended" + (f", {failed} failed" if failed else "")
    known = all(expected.get(one.run.path, 0) > 0 for one in [*run, *left])
    done, to_do = (sum(expected[one.run.path] if known else 1 for one in some) for some in (run, left))
    return f"{ended}; about {minutes(seconds / done * to_do)} left" if run and left else ended


def minutes(seconds: float) -> str:
    """'12 min', '3 h 5 min'"""
    hours, left = divmod(max(1, round(seconds / 60)), 60)
    return f"{hours} h {left} min" if hours else f"{left} min"
