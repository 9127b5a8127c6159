"""How far a sweep has come, in a line."""

from __future__ import annotations

from collections.abc import Sequence

from ushydra_lab.runs.ledger import JobState
from ushydra_lab.runs.summary import FAILED, FINISHED, INTERRUPTED


def at_start(jobs: Sequence[JobState]) -> str:
    """'6 jobs, 2 of them finished already'"""
    done = sum(one.state == FINISHED for one in jobs)
    return f"{len(jobs)} jobs" + (f", {done} of them finished already" if done else "")


def so_far(jobs: Sequence[JobState], sweep: str, seconds: float) -> str:
    """'3 of 6 jobs have ended, 1 failed; about 12 min left'.

    The time is what the jobs that this sweep has run so far took, `seconds` since its start, for those that are left:
    the first ones may have trained stages that later ones share.
    """
    run = [one for one in jobs if one.sweep == sweep and one.state in (FINISHED, FAILED, INTERRUPTED)]
    left = sum(one.state != FINISHED and one not in run for one in jobs)
    failed = sum(one.state == FAILED for one in run)
    ended = f"{len(jobs) - left} of {len(jobs)} jobs have ended" + (f", {failed} failed" if failed else "")
    return f"{ended}; about {minutes(seconds / len(run) * left)} left" if run and left else ended


def minutes(seconds: float) -> str:
    """'12 min', '3 h 5 min'"""
    hours, left = divmod(max(1, round(seconds / 60)), 60)
    return f"{hours} h {left} min" if hours else f"{left} min"
