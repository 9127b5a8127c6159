"""Jobs in processes of their own: each knows its share of the cores."""

import os
import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace

import pytest

from ushydra_lab.cores import usable_cores
from ushydra_lab.sweep import launchers
from ushydra_lab.sweep.launchers import SLURM_THREADS, JoblibLauncher, RayLauncher, SlurmLauncher


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


def test_slurm_gets_the_settings_and_each_job_s_end_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a scheduler of which job 1 writes no result, and which does not answer at first."""
    given, asked = dict[str, object](), iter([None, {"0", "1"}, {"1"}, set[str]()])

    class Executor:
        def __init__(self, folder: str, max_num_timeout: int) -> None:
            given.update(folder=folder, max_num_timeout=max_num_timeout)

        def update_parameters(self, **parameters: object) -> None:
            given.update(parameters)

        def batch(self) -> AbstractContextManager[None]:
            return nullcontext()

        def submit(self, job: Job) -> SimpleNamespace:
            result, log = tmp_path / f"{job.number}_result", tmp_path / f"{job.number}_log"
            result.write_text("") if job.number == 0 else None
            return SimpleNamespace(job_id=str(job.number), paths=SimpleNamespace(result_pickle=result, stderr=log))

    def squeue(*_: object, **__: object) -> SimpleNamespace:
        answer = next(asked)
        return SimpleNamespace(
            returncode=int(answer is None), stdout="" if answer is None else " ".join([*answer, "77"])
        )

    monkeypatch.setattr("submitit.SlurmExecutor", Executor)
    monkeypatch.setattr(launchers.subprocess, "run", squeue)
    launcher = SlurmLauncher("folder", 3, poll_s=0, cpus_per_task=4, partition=None, setup=["module load x"])
    jobs = [Job(number, tmp_path / "unused") for number in range(2)]
    ended = [(job.number, failure) for job, failure in launcher.run(jobs)]  # type: ignore[arg-type]
    assert given == {
        "folder": "folder", "max_num_timeout": 3, "cpus_per_task": 4, "setup": ["module load x", SLURM_THREADS],
    }  # fmt: skip
    assert ended == [(0, None), (1, f"SLURM job 1 was killed or cancelled; see {tmp_path / '1_log'}")]


@pytest.mark.parametrize(
    ("asked", "there", "expected"), [(None, 4.0, 1.0), (None, 0.5, 0.5), (None, None, 0), (0.5, 4.0, 0.5), (0, 4.0, 0)]
)
def test_a_job_on_ray_has_the_gpu_that_was_asked_for_or_one_where_there_is_any(
    asked: float | None, there: float | None, expected: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a ray that runs nothing, and of which job 1 dies."""
    given, ended = list[dict[str, object]](), list[bool]()

    def get(job: Job) -> None:
        if job.number == 1:
            raise ChildProcessError("The worker died.\nTraceback")

    ray = SimpleNamespace(
        init=lambda **settings: given.append(settings),
        cluster_resources=lambda: {"CPU": 8.0} | ({"GPU": there} if there else {}),
        remote=lambda **settings: lambda _: given.append(settings) or SimpleNamespace(remote=lambda job: job),
        wait=lambda waiting, num_returns: (waiting[:num_returns], waiting[num_returns:]),
        get=get,
        exceptions=SimpleNamespace(RayError=ChildProcessError),
        shutdown=lambda: ended.append(True),
    )
    monkeypatch.setitem(sys.modules, "ray", ray)  # type: ignore[arg-type]
    jobs = [Job(number, tmp_path) for number in range(3)]
    found = [(job.number, failure) for job, failure in RayLauncher(2, asked, 3, {"address": "a"}).run(jobs)]  # type: ignore[arg-type]
    assert found == [(0, None), (1, "The worker died."), (2, None)]
    connected, settings = given
    assert connected["address"] == "a"
    assert settings == {"num_cpus": 2, "num_gpus": expected, "max_calls": 1, "max_retries": 3}
    assert ended == [True]


@pytest.mark.parametrize(("answer", "left"), [("exit 1", {"7", "8"}), ("echo 8; echo 99", {"8"})])
def test_jobs_are_taken_to_be_queued_where_slurm_does_not_answer(
    answer: str, left: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    squeue = tmp_path / "squeue"
    squeue.write_text(f"#!/bin/sh\n{answer}\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert launchers._queued({"7", "8"}) == left
