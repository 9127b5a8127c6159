"""What a sweep does with its jobs: check them all, run each, report on their experiments."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from hydra import compose
from hydra.errors import HydraException
from omegaconf import DictConfig

from ushydra_lab import experiment as spine
from ushydra_lab.config.explain import explain
from ushydra_lab.config.resolvers import run_path
from ushydra_lab.config.validation import check
from ushydra_lab.errors import UserError
from ushydra_lab.report.build import NoFinishedRun, report
from ushydra_lab.report.drawn import is_drawn, remember
from ushydra_lab.runs.directory import SWEEP, Busy, RunDirectory
from ushydra_lab.runs.ledger import failed_in, job_state
from ushydra_lab.runs.summary import FINISHED
from ushydra_lab.sweep.forecast import Forecast, forecast
from ushydra_lab.training.assembly import rehearse, usable_sites
from ushydra_lab.training.memory import release_memory

log = logging.getLogger("ushydra_lab")
_complete: set[tuple[str, ...]] = set()
ALL = "all"
"""The value of held_out that stands for every site of the data."""


def validate(jobs: list[list[str]]) -> list[RunDirectory]:
    """The directories of all jobs.

    Raises:
        UserError: a job's configuration or data cannot be used, two jobs share a directory, or one holds other results.
    """
    _complete.clear()  # of an earlier command in this process
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
            if spine.nothing_to_do(experiment, directories[path]):
                _complete.add(tuple(overrides))
            paths.setdefault(path, []).append(" ".join(overrides))
        except UserError as error:
            problems[str(error)] = None
        except HydraException as error:
            problems[explain(error)] = None
    for path, same in paths.items():
        if len(same) > 1:
            remedy = "name them apart, 'variant=NAME${KEY}' with the key that is swept"
            problems[f"{len(same)} jobs share {path}: {remedy} ({'; '.join(same)})"] = None
    if problems:
        raise UserError("\n".join(problems))
    return list(directories.values())


def foretold(directories: Sequence[RunDirectory], here: bool) -> Forecast:
    """What those of the jobs that are not finished will take, in their order. here: they run in this process."""
    try:
        waiting = [one.experiment for one in directories if job_state(one.run).state != FINISHED]
        return forecast(waiting, here) if waiting else Forecast((), ())
    except Exception as error:  # what is wrong with a job, the job tells; it starts in any case
        return Forecast((f"time and disk: cannot be told ({type(error).__name__})",), ())


def complete(overrides: list[str]) -> bool:
    """Whether validation found nothing to do for a job."""
    return tuple(overrides) in _complete


def sites_to_hold_out(overrides: list[str]) -> list[str]:
    """The sites that a job with `held_out=all` stands for.

    Raises:
        UserError: its split holds out no site, a site has this very name, or its configuration or data cannot be used.
    """
    experiment = check(compose("config", overrides=overrides))
    if experiment.split.get("held_out") != ALL:
        raise UserError(f"held_out={ALL}: the split {experiment.split['_target_']} holds out no site")
    sites = usable_sites(experiment)
    if ALL in sites:
        raise UserError(f"held_out={ALL}: a site of the data has this name; name those you mean: {', '.join(sites)}")
    return sites


def run_job(cfg: DictConfig) -> None:
    """Run one job. A failure is recorded in its directory and printed; the others go on, unless with `fail_fast`."""
    path = run_path(cfg)
    try:
        experiment = check(cfg)
        if experiment.fail_fast and (failed := failed_in(os.environ.get(SWEEP, ""), path.parents[2])):
            log.warning("not started: %s, since %s failed (fail_fast=true)", path, failed[0].path)
            return
        spine.run(experiment, path)
    except Busy as busy:
        log.info("left out: %s", busy)
    except UserError as error:
        log.error("FAILED %s\n%s", path, error)
    except Exception:
        log.exception("FAILED %s", path)
    finally:
        release_memory()


def report_on(experiment: Path) -> bool:
    """Write an experiment's tables, if it has a finished run and they are not written yet; False where they could not
    be written in full.
    """
    if is_drawn(experiment):
        print(f"Nothing has changed since the report was written: {experiment / 'report' / 'index.html'}")
        return True
    try:
        report(experiment)
        remember(experiment)
    except NoFinishedRun as error:
        print(error, file=sys.stderr)
    except UserError as error:
        print(error, file=sys.stderr)
        return False
    except Exception:
        traceback.print_exc()
        return False
    return True
