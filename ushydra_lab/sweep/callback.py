"""The Hydra callback around a sweep: validation before the first job, tables after the last."""

from __future__ import annotations

import sys
import time
import traceback
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict

from ushydra_lab.config.explain import explain
from ushydra_lab.errors import UserError
from ushydra_lab.report.render.terminal import new_console
from ushydra_lab.runs.directory import SWEEP
from ushydra_lab.runs.ledger import JobState, job_state, table
from ushydra_lab.runs.plan import write_plans
from ushydra_lab.runs.run import Run
from ushydra_lab.runs.summary import FINISHED, RUNNING
from ushydra_lab.sweep.libraries import import_jobs
from ushydra_lab.sweep.notice import notify, refuse_command_of_a_file
from ushydra_lab.sweep.progress import at_start, so_far
from ushydra_lab.sweep.sweeper import JobSweeper, drop_missing_keys, expand, typed_words


class Sweep(Callback):
    """Validates every job before any directory is made; when all have ended shows the table, and fails if a job did."""

    def __init__(self) -> None:
        self.jobs: list[Path] = []
        self.sweep = uuid.uuid4().hex
        self.began, self.told = time.time(), ""
        self.first_job, self.expected = self.began, dict[Path, float]()
        Plugins.instance().class_name_to_class["hydra_plugins.ushydra_lab.sweeper"] = JobSweeper  # Hydra finds no other

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        def jobs() -> list[list[str]]:
            drop_missing_keys(config)
            return expand(config)

        self._start(config, jobs)

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        self._start(config, lambda: [typed_words(config)])

    def _start(self, config: DictConfig, jobs: Callable[[], list[list[str]]]) -> None:
        try:
            with open_dict(config):
                config.hydra.overrides.hydra.append(f"+hydra.job.env_set.{SWEEP}='{self.sweep}'")
            refuse_command_of_a_file(config, sys.argv[1:])
            planned = import_jobs().validate(jobs())
            write_plans({directory.path: directory.experiment for directory in planned})
            for directory in planned:
                directory.plan()
            self.jobs = [directory.path for directory in planned]
            states = self._states()
            self._tell(at_start(states))
            foretold = import_jobs().foretold(planned, here=runs_here(config))
            waiting = [one.run.path for one in states if one.state != FINISHED]
            self.expected = dict(zip(waiting, foretold.of_jobs, strict=False))  # of none where nothing could be told
            for line in foretold.lines:
                print(line, flush=True)
            self.first_job = time.time()
        except UserError as error:
            _leave(str(error))
        except HydraException as error:
            _leave(explain(error))
        except Exception:  # Hydra would turn it into a warning and start the jobs
            traceback.print_exc()
            _leave("The jobs could not be checked; none was started.")

    def on_job_end(self, config: DictConfig, job_return: JobReturn, **_: Any) -> None:
        """Called in the job's process; of jobs that were finished before it says nothing."""
        self._tell(so_far(self._states(), self.sweep, time.time() - self.first_job, self.expected))

    def on_multirun_end(self, config: DictConfig, **_: Any) -> None:
        self._end(config)

    def on_run_end(self, config: DictConfig, **_: Any) -> None:
        self._end(config)

    def _end(self, config: DictConfig) -> None:
        """Tables of every experiment that has one of the jobs: a sweep's jobs may go to several (hydra_baselines)."""
        jobs, reported = self._settled(), True
        for experiment in dict.fromkeys(one.run.experiment for one in jobs):
            reported &= import_jobs().report_on(experiment)
            own = [one for one in jobs if one.run.experiment == experiment]
            new_console().print(table(own, experiment))
        notify(config.get("at_end"), jobs, reported, time.time() - self.began)
        if unfinished := [one for one in jobs if one.state != FINISHED]:
            _leave(f"{len(unfinished)} of {len(jobs)} jobs did not finish. The same command starts those again.")
        if not reported:
            _leave("All jobs finished, but the tables could not be written, or not in full: see above.")

    def _states(self) -> list[JobState]:
        return [job_state(Run(path), self.sweep) for path in self.jobs]

    def _tell(self, words: str) -> None:
        if len(self.jobs) > 1 and words != self.told:
            print(words, flush=True)
        self.told = words

    def _settled(self) -> list[JobState]:
        """The jobs, once no other process is running one of them."""
        jobs = self._states()
        if running := [str(one.run.path) for one in jobs if one.state == RUNNING]:
            print(
                f"Another process is running {', '.join(running)}; waiting for it. Ctrl-C leaves it alone.", flush=True
            )
        while any(one.state == RUNNING for one in jobs):
            time.sleep(1)
            jobs = self._states()
        return jobs


def runs_here(config: DictConfig) -> bool:
    """Whether Hydra's own launcher runs the jobs, in this process."""
    return str(config.hydra.launcher._target_).startswith("hydra.")


def _leave(message: str) -> None:
    """End the program with status 1; SystemExit, since Hydra turns a callback's exceptions into warnings."""
    print(message, file=sys.stderr, flush=True)
    sys.exit(1)
