"""A sweep through ray, two jobs at a time: what is killed is named and done by the same command again."""

import json
import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from ushydra_lab import phantom

REASON = "" if os.environ.get("USHYDRA_CLUSTERS") else "make test-ray runs it"
REASON = REASON or ("" if find_spec("ray") else "pip install 'ushydra_lab[ray]'")
pytestmark = [pytest.mark.ray, pytest.mark.skipif(bool(REASON), reason=REASON)]

SWEEP = [
    "+experiment=nt_phase2", "seed=1,2,3,4", "loss=roi", "hydra/launcher=ray", "hydra.launcher.num_cpus=0.5",
    "hydra.launcher.init.num_cpus=1", "hydra.launcher.max_retries=0", "scale=laptop", "network.widths=[2,4,4,8]",
    "canvas=[168,176]", "batch_size=4", "stages.phase1.max_epochs=4", "stages.phase1.patience=null",
    "stages.phase2.max_epochs=1", "panel_images=1", "logger.mode=disabled", "data=manifest",
    "data.path=images/manifest.csv", "held_out=hospital_c",
]  # fmt: skip
PATIENCE_S = 900


def start(folder: Path) -> "subprocess.Popen[str]":
    line = [sys.executable, "-m", "ushydra_lab", *SWEEP]
    busy = {**os.environ, "RAY_worker_niceness": "0"}  # ray's 15 lets jobs starve beside other tests
    return subprocess.Popen(line, cwd=folder, env=busy, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def holder(file: Path) -> int | None:
    """The process that has the file open."""
    for entry in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if entry.resolve() == file.resolve():
                return int(entry.parts[2])
        except OSError:
            continue
    return None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds the job's process in /proc")
def test_two_at_a_time_and_a_killed_job_is_done_by_the_same_command(tmp_path: Path) -> None:
    phantom.write(tmp_path / "images", "nt", 0, {"hospital_a": 8, "hospital_b": 8, "hospital_c": 3})
    runs = [tmp_path / f"multirun/nt_phase2/hospital_c/seed{seed}/roi" for seed in (1, 2, 3, 4)]
    first = start(tmp_path)
    deadline, together = time.monotonic() + PATIENCE_S, 0
    while together < 2:
        together = sum((run / "run.json").exists() and holder(run / ".lock") is not None for run in runs)
        assert first.poll() is None, first.communicate()[0]
        assert time.monotonic() < deadline, "two jobs never ran at a time"
        time.sleep(0.1)
    number, victim = next((n, pid) for n, run in enumerate(runs) if (pid := holder(run / ".lock")))
    os.kill(victim, signal.SIGKILL)
    output = first.communicate(timeout=PATIENCE_S)[0]
    assert first.returncode == 1, output
    assert f"FAILED #{number} " in output
    assert "1 of 4 jobs did not finish" in output
    done = {path: path.stat().st_mtime_ns for path in tmp_path.glob("multirun/.stages/*/stage.json")}
    done |= {run / "run.json": (run / "run.json").stat().st_mtime_ns for run in runs if run != runs[number]}
    again = start(tmp_path)
    output = again.communicate(timeout=PATIENCE_S)[0]
    assert again.returncode == 0, output
    assert done == {path: path.stat().st_mtime_ns for path in done}
    assert [json.loads((run / "run.json").read_text())["status"] for run in runs] == ["finished"] * 4
