"""What happens before the first job of a sweep and after its last."""

from __future__ import annotations

import functools
import gc
import importlib
import sys
import time
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.plugins import Plugins
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict
from rich.console import Console

from ushydra_lab.config.resolvers import run_path
from ushydra_lab.config.validation import check, explain
from ushydra_lab.errors import UserError
from ushydra_lab.runs.directory import SWEEP, RunDirectory
from ushydra_lab.runs.ledger import Job, job, table
from ushydra_lab.runs.run import Run
from ushydra_lab.runs.summary import FINISHED, RUNNING
from ushydra_lab.sweep.sweeper import JobSweeper, drop_lost, expand


class Sweep(Callback):
    """Validates every job before any directory is made; when all have ended shows the table, and fails if a job did."""

    def __init__(self) -> None:
        self.jobs: list[Path] = []
        self.sweep = uuid.uuid4().hex
        Plugins.instance().class_name_to_class["hydra_plugins.ushydra_lab.sweeper"] = JobSweeper  # Hydra finds no other

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        def jobs() -> list[list[str]]:
            drop_lost(config)
            return expand(config)

        self._start(config, jobs)

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        self._start(config, lambda: [list(config.hydra.overrides.task)])

    def _start(self, config: DictConfig, jobs: Callable[[], list[list[str]]]) -> None:
        try:
            with open_dict(config):
                config.hydra.overrides.hydra.append(f"+hydra.job.env_set.{SWEEP}='{self.sweep}'")
            planned = validate(jobs())
            for directory in planned:
                directory.plan()
            self.jobs = [directory.path for directory in planned]
        except UserError as error:
            _leave(str(error))
        except HydraException as error:
            _leave(explain(error))
        except Exception:  # Hydra would turn it into a warning and start the jobs
            traceback.print_exc()
            _leave("The jobs could not be checked; none was started.")

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        self._end()

    def on_run_end(self, config: DictConfig, **_: Any) -> None:
        self._end()

    def _end(self) -> None:
        """Tables of every experiment that has one of the jobs: a sweep's jobs may go to several (hydra_baselines)."""
        jobs, reported = self._settled(), True
        for experiment in dict.fromkeys(one.run.experiment for one in jobs):
            reported &= _report(experiment)
            own = [one for one in jobs if one.run.experiment == experiment]
            Console(width=None if sys.stdout.isatty() else 160).print(table(own, experiment))
        if unfinished := [one for one in jobs if one.state != FINISHED]:
            _leave(f"{len(unfinished)} of {len(jobs)} jobs did not finish. The same command starts those again.")
        if not reported:
            _leave("All jobs finished, but the tables could not be written, or not in full: see above.")

    def _settled(self) -> list[Job]:
        """The jobs, once no other process is running one of them."""
        jobs = [job(Run(path), self.sweep) for path in self.jobs]
        if running := [str(one.run.path) for one in jobs if one.state == RUNNING]:
            print(
                f"Another process is running {', '.join(running)}; waiting for it. Ctrl-C leaves it alone.", flush=True
            )
        while any(one.state == RUNNING for one in jobs):
            time.sleep(1)
            jobs = [job(Run(path), self.sweep) for path in self.jobs]
        return jobs


def _report(experiment: Path) -> bool:
    """Whether the tables could be written in full; where no run has finished there are none to write."""
    from ushydra_lab.report.build import NoFinishedRun, report

    try:
        report(experiment)
    except NoFinishedRun as error:
        print(error, file=sys.stderr)
    except UserError as error:
        print(error, file=sys.stderr)
        return False
    except Exception:
        traceback.print_exc()
        return False
    return True


@functools.cache
def load_libraries() -> None:
    """Import what a job needs, without garbage collection, which takes seconds amid imports and finds nothing."""
    gc.disable()
    try:
        importlib.import_module("ushydra_lab.experiment")
    finally:
        gc.freeze()  # nor need it look at the libraries after every job
        gc.enable()


def validate(jobs: list[list[str]]) -> list[RunDirectory]:
    """The directories of all jobs.

    Raises:
        UserError: a job's configuration or data cannot be used, two jobs share a directory, or one holds other results.
    """
    load_libraries()
    from ushydra_lab.training.assembly import rehearse

    problems: dict[str, None] = {}
    paths: dict[Path, list[str]] = {}
    directories: dict[Path, RunDirectory] = {}
    for overrides in jobs:
        try:
            cfg = compose("config", overrides=overrides)
            experiment = check(cfg)
            path = run_path(cfg)
            rehearse(experiment)
            directories[path] = RunDirectory(path, experiment)
            directories[path].refuse_other_config()
            paths.setdefault(path, []).append(" ".join(overrides))
        except UserError as error:
            problems[str(error)] = None
        except HydraException as error:
            problems[explain(error)] = None
    for path, same in paths.items():
        if len(same) > 1:
            problems[f"{len(same)} jobs share {path}: add variant=... to the sweep ({'; '.join(same)})"] = None
    if problems:
        raise UserError("\n".join(problems))
    return list(directories.values())


def _leave(message: str) -> None:
    """End the program with status 1; SystemExit, since Hydra turns a callback's exceptions into warnings."""
    print(message, file=sys.stderr, flush=True)
    sys.exit(1)
