"""The cores that this process may use, and how the threads of torch share them with other processes."""

from __future__ import annotations

import os
import time
from pathlib import Path

POLITE = {"GOMP_SPINCOUNT": "1000"}
"""A thread of GNU OpenMP waits in a loop, of up to 300,000 turns, for the others of its process; with 1,000 it sleeps
soon. Two processes of two threads on two busy cores then make 7.8 times as many steps, 83 % of what two processes of
one thread make; alone on idle cores a process makes 6 to 9 % fewer (`docs/speed.md`). No result depends on it.
"""
ASKED = ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
"""Whoever sets one of these is not overruled."""
BUSY = 0.2
"""Of the time of the usable cores: more than this is work of others, not the start of this process."""
WATCHED_S = 0.1


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(_usable())


def threads_of_each(jobs: int) -> dict[str, str]:
    """The environment of one of `jobs` processes that run at a time: threads for its share of the cores, at least one.

    Whoever set OMP_NUM_THREADS is not overruled.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, usable_cores() // max(1, jobs)))}


def share_busy_cores() -> None:
    """Where other processes use the cores now, let torch's threads sleep soon; it must not have been loaded before."""
    if not any(name in os.environ for name in ASKED) and busy() > BUSY:
        os.environ.update(POLITE)


def busy() -> float:
    """The share of the usable cores' time that is used, in a tenth of a second; 0 where the system does not tell."""
    idle, total = _times()
    time.sleep(WATCHED_S)
    idle_then, total_then = _times()
    return max(0.0, 1 - (idle_then - idle) / (total_then - total)) if total_then > total else 0.0


def _usable() -> set[int]:
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def _times() -> tuple[int, int]:
    """Idle time and all time of the usable cores since the system started; 0 where it does not tell."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except (OSError, UnicodeDecodeError):  # not Linux
        return 0, 0
    named = {f"cpu{number}" for number in _usable()}
    cores = [[int(word) for word in line.split()[1:9]] for line in lines if line.split(" ", 1)[0] in named]
    return sum(times[3] + times[4] for times in cores), sum(map(sum, cores))
