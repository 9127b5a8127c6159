"""A sweep on a real SLURM: what is killed is named and done by the same command again; what is preempted continues."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from ushydra_lab import phantom
from ushydra_lab.files import read_json

from .cluster import cluster, missing

REASON = "" if os.environ.get("USHYDRA_CLUSTERS") else "make test-slurm runs it"
REASON = REASON or missing() or ("" if find_spec("submitit") else "pip install 'ushydra_lab[slurm]'")
pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(REASON), reason=REASON)]

SWEEP = [
    "+experiment=nt_phase2", "seed=1,2,3,4", "loss=roi", "hydra/launcher=slurm", "hydra.launcher.partition=short",
    "+hydra.launcher.poll_s=0.5", "scale=laptop", "network.widths=[2,4,4,8]", "canvas=[168,176]", "batch_size=4",
    "stages.phase1.max_epochs=12", "stages.phase1.patience=null", "stages.phase2.max_epochs=1", "panel_images=1",
    "logger.mode=disabled", "data=manifest", "data.path=images/manifest.csv", "held_out=hospital_c",
]  # fmt: skip
PATIENCE_S = 900


@contextmanager
def sweep(folder: Path, environment: dict[str, str]) -> Iterator["subprocess.Popen[str]"]:
    line, pipe = [sys.executable, "-m", "ushydra_lab", *SWEEP], subprocess.PIPE
    process = subprocess.Popen(line, cwd=folder, env=environment, stdout=pipe, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()


def run_of(folder: Path, seed: int) -> Path:
    return folder / f"multirun/nt_phase2/hospital_c/seed{seed}/roi"


def status(folder: Path, seed: int) -> str:
    file = run_of(folder, seed) / "run.json"
    return str(read_json(file)["status"]) if file.exists() else "missing"


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.1)


def saved_states(folder: Path) -> int:
    return len(list(folder.glob("multirun/.stages/*/last.ckpt")))


def test_a_killed_job_is_named_and_a_preempted_one_continues(tmp_path: Path) -> None:
    phantom.write(tmp_path / "images", "nt", 0, {"hospital_a": 8, "hospital_b": 8, "hospital_c": 3})
    with cluster(tmp_path / "cluster") as environment:

        def slurm(*command: str) -> str:
            return subprocess.run(command, env=environment, capture_output=True, text=True, check=False).stdout

        with sweep(tmp_path, environment) as first:
            until(lambda: saved_states(tmp_path) == 2 or first.poll() is not None, "two jobs train")
            assert first.poll() is None, first.communicate()[0]
            array = slurm("squeue", "-h", "-o", "%A").split()[0]
            slurm("scancel", "--signal=KILL", f"{array}_1")
            slurm("scancel", "--signal=USR2", f"{array}_0")
            until(lambda: status(tmp_path, 1) == "interrupted", "the preempted job stops")
            output = first.communicate(timeout=PATIENCE_S)[0]
        assert first.returncode == 1, output
        assert "FAILED #1" in output
        assert "1 of 4 jobs did not finish" in output
        assert [status(tmp_path, seed) for seed in (1, 3, 4)] == ["finished"] * 3, output
        assert "phase1: continuing" in (run_of(tmp_path, 1) / "run.log").read_text()

        results = [
            *tmp_path.glob("multirun/.stages/*/stage.json"),
            *(run_of(tmp_path, n) / "run.json" for n in (1, 3, 4)),
        ]
        done = {path: path.stat().st_mtime_ns for path in results}
        with sweep(tmp_path, environment) as again:
            output = again.communicate(timeout=PATIENCE_S)[0]
        assert again.returncode == 0, output
        assert "phase1: continuing" in (run_of(tmp_path, 2) / "run.log").read_text()
        assert done == {path: path.stat().st_mtime_ns for path in done}
        assert [status(tmp_path, seed) for seed in (1, 2, 3, 4)] == ["finished"] * 4
        assert len(list(tmp_path.glob("multirun/.stages/*/stage.json"))) == 8
