"""One wrong line and the tests: they run in a fork of a process that holds the libraries already, cheap files first."""

from __future__ import annotations

import functools
import importlib
import json
import os
import re
import resource
import signal
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

HELD = ("torch", "lightning", "pandas", "matplotlib.pyplot", "scipy.stats", "sklearn.linear_model", "hydra", "kornia",
        "monai.networks.nets", "pandera", "torchmetrics", "hypothesis.extra.numpy", "skimage.draw", "wandb",
        "rich.console", "joblib", "openpyxl", "pytorch_msssim", "statsmodels.api")  # fmt: skip
TRAINS = re.compile(r"experiment\.run\(|fork_server|train\(|subprocess|fit\(")
TRAINING_S = 30.0
"""What a test file that trains, or starts Python anew, is expected to take where nobody has measured it."""
CHEAP_S = 5.0
KILLED, SURVIVED, UNFINISHED = "killed", "survived", "survived the time"


def hold_libraries() -> None:
    """Import what the lab and its tests import from elsewhere, so that no fork has to."""
    for name in HELD:
        importlib.import_module(name)


@dataclass(eq=False)
class Trial:
    """A pytest plugin: the own file first, then those that are cheap, until one fails or the seconds are used up.

    But for the own one, no file is begun that is known, or because it trains expected, to take more seconds.
    """

    seconds: float
    known: dict[str, float]
    """CPU seconds that each test file took before."""
    failed: str = ""
    complete: bool = True
    taken: Counter[str] = field(default_factory=Counter)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        own = _file(items[0]) if items else ""
        begun = [item for item in items if _file(item) == own or self._expected(item) <= self.seconds]
        self.complete = len(begun) == len(items)
        items[:] = sorted(
            begun, key=lambda item: (_file(item) != own, self._expected(item) > CHEAP_S)
        )  # in order given

    def _expected(self, item: pytest.Item) -> float:
        return self.known.get(_file(item)) or (TRAINING_S if TRAINS.search(_text(item.path)) else 0.0)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
        before = _cpu_seconds()
        result = yield
        self.taken[_file(item)] += _cpu_seconds() - before
        if nextitem is not None and self.taken.total() > self.seconds:
            self.complete, item.session.shouldstop = False, "the seconds are used up"
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed = self.failed or report.nodeid * report.failed

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self.failed = self.failed or report.nodeid * report.failed


@functools.cache
def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8")


def _file(item: pytest.Item) -> str:
    return item.nodeid.partition("::")[0]


def _cpu_seconds() -> float:
    return sum(os.times()[:4])


def run(copy: Path, tests: list[str], seconds: float, known: dict[str, float]) -> dict[str, Any]:
    """{outcome, by: the test that failed, taken: CPU seconds of each file}; what never ends is killed by the clock."""
    answer = copy.parent / "answer.json"
    answer.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _test(copy, tests, Trial(seconds, known), answer)
    deadline = time.monotonic() + 20 * seconds
    while not os.waitpid(child, os.WNOHANG)[0]:
        time.sleep(0.05)
        if time.monotonic() > deadline:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            break
    if not answer.exists():
        return {"outcome": KILLED, "by": "the end of the process", "taken": {}}
    return json.loads(answer.read_text(encoding="utf-8"))


def _test(copy: Path, tests: list[str], trial: Trial, answer: Path) -> None:
    """What the fork does; it ends the process."""
    os.setsid()
    limit = int(3 * trial.seconds + 60)
    resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
    silent = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silent, 1)
    os.dup2(silent, 2)
    os.chdir(copy)
    sys.path[:] = [str(copy), *(path for path in sys.path if path not in ("", str(Path(__file__).parents[1])))]
    for name in [name for name in sys.modules if name.partition(".")[0] == "tests"]:
        del sys.modules[name]  # pytest finds those of the copy
    os.environ.update(PYTHONPATH=str(copy), OMP_NUM_THREADS="1")
    options = ["-x", "-q", "-n", "0", "-p", "no:cacheprovider", "--tb=no", f"--basetemp={copy.parent / 'tests_files'}"]
    code = pytest.main([*options, *tests], plugins=[trial])
    outcome = KILLED if trial.failed else SURVIVED if trial.complete else UNFINISHED
    outcome = outcome if code in (0, 1, 2, 5) else f"pytest ended with {int(code)}"
    answer.write_text(json.dumps({"outcome": outcome, "by": trial.failed, "taken": trial.taken}), encoding="utf-8")
    os._exit(0)
