"""A sweep's line of progress counts what has ended and tells the time that is left."""

from pathlib import Path

import pytest

from ushydra_lab.runs.ledger import MISSING, JobState
from ushydra_lab.runs.run import Run
from ushydra_lab.runs.summary import FAILED, FINISHED, INTERRUPTED, RUNNING
from ushydra_lab.sweep.progress import at_start, so_far

BEFORE, NOW = "before", "now"


def jobs(*states: tuple[str, str]) -> list[JobState]:
    return [JobState(Run(Path(f"exp/site/seed{n}/a")), state, sweep=sweep) for n, (state, sweep) in enumerate(states)]


def test_what_was_finished_before_is_told_at_the_start() -> None:
    assert (
        at_start(jobs((FINISHED, BEFORE), (MISSING, ""), (INTERRUPTED, BEFORE))) == "3 jobs, 1 of them finished already"
    )
    assert at_start(jobs((MISSING, ""), (FAILED, BEFORE))) == "2 jobs"


@pytest.mark.parametrize(
    ("states", "seconds", "words"),
    [
        ([(FINISHED, NOW), (MISSING, ""), (MISSING, "")], 120, "1 of 3 jobs have ended; about 4 min left"),
        ([(FINISHED, BEFORE), (FINISHED, NOW), (RUNNING, NOW)], 60, "2 of 3 jobs have ended; about 1 min left"),
        (
            [(FINISHED, NOW), (FAILED, NOW), (FAILED, BEFORE)],
            7200,
            "2 of 3 jobs have ended, 1 failed; about 1 h 0 min left",
        ),
        ([(FINISHED, NOW), (INTERRUPTED, NOW)], 60, "2 of 2 jobs have ended"),
        ([(FINISHED, BEFORE), (MISSING, "")], 60, "1 of 2 jobs have ended"),
    ],
)
def test_the_time_left_follows_from_what_this_sweep_has_run(
    states: list[tuple[str, str]], seconds: float, words: str
) -> None:
    assert so_far(jobs(*states), NOW, seconds, {}) == words


def test_jobs_that_are_left_take_as_much_longer_than_foretold_as_those_that_have_ended() -> None:
    states = jobs((FINISHED, NOW), (MISSING, ""), (MISSING, ""), (FINISHED, BEFORE))
    paths = [one.run.path for one in states]
    first_trains_more = dict(zip(paths, [100.0, 30.0, 120.0], strict=False))
    assert so_far(states, NOW, 200, first_trains_more) == "2 of 4 jobs have ended; about 5 min left"
    of_one_nothing = first_trains_more | {paths[2]: 0.0}
    assert so_far(states, NOW, 200, of_one_nothing) == so_far(states, NOW, 200, {})
