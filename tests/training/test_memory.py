"""A job's memory: no new pages for every step, and back to the system after the job."""

from __future__ import annotations

import platform
import subprocess
import sys
from pathlib import Path

import pytest

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="its allocator is meant")
PROGRAM = """
import resource, torch
from ushydra_lab.training.memory import release_memory, keep_freed
def pages():
    return int(open("/proc/self/statm").read().split()[1])
def step():
    blocks = [torch.ones(2**24) for _ in range(2)]
    return sum(float(block[0]) for block in blocks)
KEEP
before = pages()
for _ in range(20): step()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10): step()
faults = resource.getrusage(resource.RUSAGE_SELF).ru_minflt - faults
held = pages() - before
release_memory()
print(faults, held, pages() - before)
"""


def measured(program: str, tmp_path: Path) -> list[int]:
    """Page faults of ten steps of 128 MiB; pages held after them, and after giving back.

    The first steps may still ask for pages: an aligned block of the same size does not fit into the one just freed
    until freed neighbours have grown together, after five to seven steps.
    """
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    return [int(word) for word in done.stdout.split()]


@glibc
def test_the_same_step_again_asks_the_system_for_no_memory_and_a_job_that_ended_holds_none(tmp_path: Path) -> None:
    usual, *_ = measured(PROGRAM.replace("KEEP", ""), tmp_path)
    faults, held, after = measured(PROGRAM.replace("KEEP", "keep_freed()"), tmp_path)
    assert faults < usual / 20
    assert after < held / 10
