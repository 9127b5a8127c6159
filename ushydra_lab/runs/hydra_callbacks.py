"""What happens before the first job of a sweep and after its last."""

from __future__ import annotations

import functools
import gc
import importlib
import itertools
import sys
import time
import traceback
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf, open_dict
from rich.console import Console

from ushydra_lab.config.resolvers import run_path
from ushydra_lab.config.validation import check, explain
from ushydra_lab.errors import UserError
from ushydra_lab.runs.directory import SWEEP, RunDirectory
from ushydra_lab.runs.ledger import Job, job, table
from ushydra_lab.runs.run import Run
from ushydra_lab.runs.summary import FINISHED, RUNNING


class Sweep(Callback):
    """Validates every job before any directory is made; when all have ended shows the table, and fails if a job did."""

    def __init__(self) -> None:
        self.jobs: list[Path] = []
        self.sweep = uuid.uuid4().hex

    def on_multirun_start(self, config: DictConfig, **_: Any) -> None:
        try:
            drop_lost(config)
            jobs = expand(config)
        except UserError as error:
            _leave(str(error))
        except HydraException as error:
            _leave(explain(error))
        self._start(config, jobs)

    def on_run_start(self, config: DictConfig, **_: Any) -> None:
        self._start(config, [list(config.hydra.overrides.task)])

    def _start(self, config: DictConfig, jobs: list[list[str]]) -> None:
        try:
            scale = config.scale
            print(
                f"scale={scale}"
                + ("" if _given(config, "scale") else " (chosen for this machine; scale=... overrides)")
            )
            if not _given(config, "scale"):
                with open_dict(config):
                    config.hydra.overrides.task.append(f"scale={scale}")
            with open_dict(config):
                config.hydra.overrides.hydra.append(f"+hydra.job.env_set.{SWEEP}='{self.sweep}'")
            planned = validate(jobs)
            for directory in planned:
                directory.plan()
            self.jobs = [directory.path for directory in planned]
        except UserError as error:
            _leave(str(error))
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


def expand(config: DictConfig) -> list[list[str]]:
    """The overrides of every job of a sweep: the experiment's own sweep, then what was typed."""
    typed = [
        *(f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items()),
        *config.hydra.overrides.task,
    ]
    return [list(job) for job in itertools.product(*_choices(typed).values())]


def _choices(typed: Iterable[str]) -> dict[str, list[str]]:
    """Key -> the overrides that a sweep takes in turn; of a key that comes twice the last."""
    choices: dict[str, list[str]] = {}
    for override in OverridesParser.create().parse_overrides(list(typed)):
        if override.is_sweep_override():
            choices[override.key_or_group] = [
                f"{override.get_key_element()}={v}" for v in override.sweep_string_iterator()
            ]
        else:
            choices[override.key_or_group] = [str(override.input_line)]
    return choices


def drop_lost(config: DictConfig) -> None:
    """Leave out of an experiment's own sweep the keys that what was typed takes away: `split.fold` of split=random.

    Raises:
        UserError: only some of the typed choices have the key.
    """
    choices = _choices(config.hydra.overrides.task)
    for key in list(config.hydra.sweeper.params or {}):
        for typed in (typed for typed in choices if key.startswith(f"{typed}.") and key not in choices):
            firsts = [options[0] for name, options in choices.items() if name != typed]
            lost = [one for one in choices[typed] if not _has(compose("config", overrides=[*firsts, one]), key)]
            swept = f"{key}={config.hydra.sweeper.params[key]}, which the experiment sweeps over"
            if lost and len(lost) < len(choices[typed]):
                raise UserError(f"{swept}: {', '.join(lost)} has no such key; give it a command of its own")
            if lost:
                print(f"{swept}, is left out: {', '.join(lost)} has no such key")
                with open_dict(config):
                    del config.hydra.sweeper.params[key]
                break


def _has(cfg: DictConfig, key: str) -> bool:
    node, _, leaf = key.rpartition(".")
    found = OmegaConf.select(cfg, node)
    return isinstance(found, DictConfig) and leaf in found


def validate(jobs: list[list[str]]) -> list[RunDirectory]:
    """The directories of all jobs.

    Raises:
        UserError: a job's configuration or data cannot be used, two jobs share a directory, or one holds other results.
    """
    load_libraries()
    from ushydra_lab.assembly import rehearse

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


def _given(config: DictConfig, key: str) -> bool:
    return any(override.lstrip("+").startswith(f"{key}=") for override in config.hydra.overrides.task)


def _leave(message: str) -> None:
    """End the program with status 1; SystemExit, since Hydra turns a callback's exceptions into warnings."""
    print(message, file=sys.stderr, flush=True)
    sys.exit(1)
