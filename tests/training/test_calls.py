"""A call in a process of its own: its environment, and its end, are told."""

import os
from pathlib import Path

from ushydra_lab.training.calls import start


def test_the_call_is_made_there_with_the_environment_given(tmp_path: Path) -> None:
    answer = tmp_path / "answer"

    def call() -> None:
        answer.write_text(f"{os.getpid()} {os.environ['WORD']}")

    process = start(call, tmp_path / "call", WORD="told")
    assert process.wait() == 0
    assert answer.read_text() == f"{process.pid} told"


def test_ctrl_c_and_a_failure_are_statuses_of_their_own(tmp_path: Path) -> None:
    def interrupted() -> None:
        raise KeyboardInterrupt  # as Ctrl-C does

    def failed() -> None:
        raise ValueError

    ended = [start(call, tmp_path / call.__name__) for call in (interrupted, failed)]
    assert [process.wait() for process in ended] == [130, 1]
