"""The command at the end of a sweep is told how it ended, and cannot change that."""

import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ushydra_lab.errors import UserError
from ushydra_lab.runs.ledger import JobState
from ushydra_lab.runs.run import Run
from ushydra_lab.runs.summary import FAILED, FINISHED
from ushydra_lab.sweep import notice
from ushydra_lab.sweep.notice import notify, outcome, refuse_command_of_a_file


def jobs(*states: str) -> list[JobState]:
    runs = [Run(Path(f"/home/someone/nt_phase2/st_anna/seed{n}/roi")) for n in range(len(states))]
    return [JobState(run, state, note="/home/someone/subject_17.png") for run, state in zip(runs, states, strict=True)]


def test_the_outcome_counts_jobs_and_names_neither_paths_nor_errors() -> None:
    told = outcome(jobs(FINISHED, FINISHED, FAILED), reported=True, seconds=600)
    assert told["USHYDRA_OUTCOME"] == "failed"
    assert told["USHYDRA_TEXT"] == "nt_phase2: 2 of 3 jobs finished, 1 failed after 10 min"
    assert (told["USHYDRA_JOBS"], told["USHYDRA_FINISHED"], told["USHYDRA_FAILED"]) == ("3", "2", "1")
    assert not any("home" in value or "subject" in value for value in told.values())
    assert outcome(jobs(FINISHED), reported=True, seconds=1)["USHYDRA_OUTCOME"] == "finished"
    assert outcome(jobs(FINISHED), reported=False, seconds=1)["USHYDRA_OUTCOME"] == "failed"


def test_the_command_gets_the_outcome(tmp_path: Path) -> None:
    notify(f'echo "$USHYDRA_TEXT" > "{tmp_path}/told"', jobs(FINISHED), True, 60)
    assert (tmp_path / "told").read_text() == "nt_phase2: 1 of 1 jobs finished after 1 min\n"
    notify(None, jobs(FINISHED), True, 60)


SLEEP = f"{sys.executable} -c 'import time; time.sleep(9)'"


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("exit 3", "ended with status 3"),
        (SLEEP, "did not end within 0.2 s"),
    ],
)
def test_that_it_fails_is_said_and_nothing_else_happens(
    command: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(notice, "MOST_S", 0.2)
    notify(command, jobs(FINISHED), True, 60)
    assert said in capsys.readouterr().err


def test_a_command_is_typed_and_no_file_names_one() -> None:
    pretended = {"overrides": {"task": ["at_end='rm x'"]}}  # a file may fill what Hydra keeps of the command line
    config = OmegaConf.create({"at_end": "rm x", "hydra": pretended})
    refuse_command_of_a_file(config, ["+experiment=nt_phase2", "at_end='rm x'"])
    with pytest.raises(UserError, match="type it on the command line"):
        refuse_command_of_a_file(config, ["+experiment=nt_phase2"])
