"""What `runs` says of each job: its state, how long it has taken, how far it is and why it ended."""

from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from rich.console import Console

from ushydra_lab.files import sha256, write_json
from ushydra_lab.runs import ledger
from ushydra_lab.runs.ledger import JobState, failed_in, job_state, table
from ushydra_lab.runs.run import Run

START = "2025-01-01T00:00:00+0000"
NOW = {"stage": "phase1", "folder": "abc", "max_epochs": 9}


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    (tmp_path / ".stages" / "abc").mkdir(parents=True)
    (tmp_path / ".stages" / "abc" / "history.csv").write_text("epoch,train/loss\n0,1\n1,1\n")
    return tmp_path / "nt"


def recorded(experiment: Path, seed: int = 0, **summary: Any) -> Run:
    run = Run(experiment / "site" / f"seed{seed}" / "v")
    write_json(run.path / "run.json", summary)
    return run


def finished(experiment: Path, seed: int = 0, **more: Any) -> Run:
    run = recorded(experiment, seed)
    (run.path / "config.yaml").write_text("name: nt\n")
    sums = {"config.yaml": sha256(run.path / "config.yaml")}
    whole = {"status": "finished", "seed": seed, "variant": "v", "stages": {"phase1": {"key": "k"}}, "files": sums}
    write_json(run.path / "run.json", whole | more)
    return run


def test_a_running_job_says_how_long_it_has_run_and_how_far_it_is(
    experiment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = recorded(experiment, status="running", started=START, now=NOW)
    monkeypatch.setattr(ledger.time, "strftime", lambda _: "2025-01-01T11:02:03+0200")
    with FileLock(run.path / ".lock"):
        assert job_state(run) == JobState(run, "running", "9:02:03", "phase1, 2 of at most 9 epochs done", "")
    killed = job_state(run)
    assert (killed.state, killed.note) == ("interrupted", "killed phase1, 2 of at most 9 epochs done")


@pytest.mark.parametrize("lost", ["stage", "folder", "max_epochs"])
def test_progress_that_is_not_known_is_not_told(experiment: Path, lost: str) -> None:
    known = {key: value for key, value in NOW.items() if key != lost}
    assert job_state(recorded(experiment, status="running", now=known)).note.strip() == "killed"
    elsewhere = recorded(experiment, 1, status="running", now=NOW | {"folder": "other"})
    assert job_state(elsewhere).note == "killed phase1, 0 of at most 9 epochs done"


def test_a_job_that_ended_took_from_start_to_end_and_one_without_times_says_none(experiment: Path) -> None:
    ended = finished(experiment, started=START, ended="2025-01-01T01:02:03+0000")
    assert (job_state(ended).took, job_state(ended).note) == ("1:02:03", "")
    assert job_state(recorded(experiment, 1, status="failed", started=START, error="why\nmore")).took == ""
    assert job_state(recorded(experiment, 1, status="failed", started=START, error="why\nmore")).note == "why"


def test_what_is_planned_or_not_there_is_missing(experiment: Path) -> None:
    for run in (recorded(experiment, status="planned"), Run(experiment / "site" / "seed7" / "v")):
        assert (job_state(run).state, job_state(run).note) == ("missing", "not started")


def test_a_finished_job_that_refused_a_sweep_has_failed_for_that_sweep_alone(experiment: Path) -> None:
    run = finished(experiment, sweep="a", refused={"sweep": "b", "error": "other images"})
    assert [job_state(run, sweep).state for sweep in (None, "a", "b")] == ["finished", "finished", "failed"]
    assert job_state(run, "b").note == "other images"


def test_files_are_compared_with_their_sums_only_when_asked(experiment: Path) -> None:
    run = finished(experiment)
    assert job_state(run, verify=True).state == "finished"
    (run.path / "config.yaml").write_text("name: tn\n")
    assert [job_state(run, verify=verify).state for verify in (False, True)] == ["finished", "failed"]
    assert "config.yaml is damaged" in job_state(run, verify=True).note


def test_a_finished_run_without_sums_is_unverified(experiment: Path) -> None:
    run = finished(experiment, files=None, versions={"ushydra_lab": "0.2.0"})
    assert job_state(run).note.startswith("unverified")


def test_only_jobs_of_the_sweep_have_failed_in_it(experiment: Path) -> None:
    recorded(experiment, 0, status="failed", sweep="a")
    mine = recorded(experiment, 1, status="failed", sweep="b")
    recorded(experiment, 2, status="interrupted", sweep="b")
    assert failed_in("b", experiment) == [mine]


def test_the_table_counts_the_states_and_shows_brackets_as_they_are(experiment: Path) -> None:
    def shown(*jobs: JobState) -> str:
        console = Console(width=120, force_terminal=False)
        with console.capture() as said:
            console.print(table(jobs, experiment))
        return said.get()

    one = JobState(Run(experiment / "a" / "seed0" / "v[red]"), "failed", "0:00:09", "refuses [x]")
    assert "1 job: 1 failed" in shown(one)
    assert all(text in shown(one) for text in ("nt: jobs", "a/seed0/v[red]", "0:00:09", "refuses [x]"))
    two = JobState(Run(experiment / "a" / "seed1" / "v"), "finished")
    assert "3 jobs: 1 finished, 2 failed" in shown(one, two, one)
