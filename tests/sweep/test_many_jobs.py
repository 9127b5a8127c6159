"""Many jobs in one process leave nothing behind: `USHYDRA_JOBS=200 pytest tests/sweep/test_many_jobs.py`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ushydra_lab import phantom

JOBS = int(os.environ.get("USHYDRA_JOBS", 0))
WARM = 20
"""Jobs after which the process has loaded what it needs."""

MEASURED = """
import gc, json, os, sys, threading
from ushydra_lab import __main__ as command, experiment

real, found = experiment.run, []

def run(config, path):
    real(config, path)
    gc.collect()
    resident = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    found.append({"mb": resident, "files": len(os.listdir("/proc/self/fd")), "threads": threading.active_count()})
    with open("found.json", "w") as file:
        json.dump(found, file)

experiment.run = run
command.main()
"""

TRIVIAL = [
    "+experiment=nt_phase2", "loss=roi", "scale=laptop", "network.widths=[2,4,4,8]", "canvas=[168,176]", "batch_size=4",
    "stages.phase1.max_epochs=1", "stages.phase2.max_epochs=1", "panel_images=1", "data=manifest",
    "data.path=images/manifest.csv", "held_out=hospital_c",
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(JOBS <= 2 * WARM, reason=f"takes minutes; USHYDRA_JOBS=200 (more than {2 * WARM}) runs it")
def test_a_sweep_of_many_jobs_grows_by_less_than_1_mb_a_job_and_leaves_no_file_open(tmp_path: Path) -> None:
    phantom.write(tmp_path / "images", "nt", 0, dict.fromkeys(phantom.SCENES["nt"].machines, 4))
    line = [sys.executable, "-c", MEASURED, *TRIVIAL, f"seed={','.join(map(str, range(JOBS)))}"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found) == JOBS
    memory = [job["mb"] for job in found]
    growth = float(np.polyfit(range(WARM, JOBS), memory[WARM:], 1)[0])
    print(f"{growth:.3f} MB a job; {memory[WARM]:.0f} MB after {WARM} jobs, {memory[-1]:.0f} MB after {JOBS}")
    assert growth < 1
    assert {job["files"] for job in found[WARM:]} == {found[1]["files"]}
    assert {job["threads"] for job in found[WARM:]} == {found[1]["threads"]}
