"""Jobs in processes of their own: each knows its share of the cores."""

import os
from pathlib import Path

import pytest

from ushydra_lab.cores import usable_cores
from ushydra_lab.sweep.launchers import JoblibLauncher


class Job:
    """Writes the number of threads that its process may have."""

    def __init__(self, number: int, file: Path) -> None:
        self.number, self.file = number, file

    def __call__(self) -> None:
        self.file.write_text(os.environ["OMP_NUM_THREADS"])


def test_jobs_that_run_at_a_time_share_the_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    jobs = [Job(number, tmp_path / f"of_{number}") for number in range(2)]
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    assert [failure for _, failure in JoblibLauncher(2).run(jobs)] == [None, None]  # type: ignore[arg-type]
    assert {job.file.read_text() for job in jobs} == {str(max(1, usable_cores() // 2))}
