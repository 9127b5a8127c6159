"""Expanding a command line into jobs: what was typed and what the experiment sweeps, each with its variant."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.errors import HydraException
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from ushydra_lab.config.resolvers import run_path
from ushydra_lab.config.typed import as_text
from ushydra_lab.errors import UserError
from ushydra_lab.sweep.libraries import import_jobs


class JobSweeper(Sweeper):
    """Hands every job to the launcher, max_batch_size at a time; what to sweep stands in the configuration."""

    def __init__(self, max_batch_size: int | None = None, params: dict[str, str] | None = None) -> None:
        self.max_batch_size = max_batch_size

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.config = config
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> list[JobReturn]:
        assert self.config is not None
        assert self.launcher is not None
        folder = Path(self.config.hydra.sweep.dir)
        folder.mkdir(parents=True, exist_ok=True)
        OmegaConf.save(self.config, folder / "multirun.yaml")
        jobs = [job for job in expand(self.config) if not import_jobs().complete(job)]
        ended: list[JobReturn] = []
        size = self.max_batch_size or max(1, len(jobs))
        for first in range(0, len(jobs), size):
            ended += self.launcher.launch(jobs[first : first + size], initial_job_idx=first)
            for job in ended[first:]:
                _ = job.return_value  # raises what the job raised
        return ended


def expand(config: DictConfig) -> list[list[str]]:
    """The overrides of every job of a sweep: what the experiment sweeps by itself, then what was typed.

    Where components are swept that the variant does not name, they are added to it: `weighting=calibrated,unit` makes
    `roi-calibrated` and `roi-unit`. A key of the experiment's own sweep that is empty is
    not swept. `held_out=all` is a job for every site of the data.

    Raises:
        UserError: `held_out=all` where the sites cannot be told.
    """
    own = [f"{key}={value}" for key, value in (config.hydra.sweeper.params or {}).items() if value]
    choices = _choices([*own, *typed_words(config)])
    jobs = [one for job in product(*choices.values()) for one in _at_every_site(list(job))]
    return _with_variants([list(job) for job in dict.fromkeys(map(tuple, jobs))])


def typed_words(config: DictConfig) -> list[str]:
    """The overrides as they were typed; `variant=lr${...}` is resolved in each job; here all would be one."""
    words: Any = OmegaConf.to_container(config.hydra.overrides.task, resolve=False)
    return [str(word) for word in words]


def _at_every_site(job: list[str]) -> list[list[str]]:
    places = [place for place, word in enumerate(job) if word.replace("'", "") == "held_out=all"]
    if not places:
        return [job]
    sites = import_jobs().sites_to_hold_out(job)
    return [[*job[: places[0]], f"held_out={as_text(site)}", *job[places[0] + 1 :]] for site in sites]


def _choices(words: list[str]) -> dict[str, list[str]]:
    """Key -> the overrides that a sweep takes in turn; of a key that comes twice the last."""
    choices: dict[str, list[str]] = {}
    for override in OverridesParser.create(GlobalHydra.instance().config_loader()).parse_overrides(words):
        key, swept = override.get_key_element(), override.is_sweep_override()
        choices[key] = [f"{key}={v}" for v in override.sweep_string_iterator()] if swept else [str(override.input_line)]
    return choices


def drop_missing_keys(config: DictConfig) -> None:
    """Leave out of an experiment's own sweep the keys that what was typed takes away: `split.fold` of split=random.

    Raises:
        UserError: only some of the typed choices have the key.
    """
    choices = _choices(typed_words(config))
    for key in list(config.hydra.sweeper.params or {}):
        for typed in (typed for typed in choices if key.startswith(f"{typed.lstrip('+~')}.") and key not in choices):
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


def _with_variants(jobs: list[list[str]]) -> list[list[str]]:
    if any(word.startswith("variant=") for word in jobs[0]):
        return jobs
    swept = [place for place, words in enumerate(zip(*jobs, strict=True)) if len(set(words)) > 1 and _component(words)]
    unnamed = _unnamed(jobs, swept)
    return [[*job, f"variant={_variant(job, [job[place] for place in unnamed])}"] for job in jobs] if unnamed else jobs


def _component(words: Sequence[str]) -> bool:
    """Whether words choose an option of a group: `weighting=unit`, `optimizer@stages.train.task.optimizer=adam`."""
    group = words[0].partition("=")[0].lstrip("+").partition("@")[0]
    return bool(GlobalHydra.instance().config_loader().get_group_options(group))


def _unnamed(jobs: list[list[str]], swept: list[int]) -> list[int]:
    """Which of the swept components differ between jobs that would share a run directory."""
    jobs_by_choice: dict[tuple[str, ...], list[str]] = {}
    for job in jobs:
        jobs_by_choice.setdefault(tuple(job[place] for place in swept), job)
    if len(jobs_by_choice) == 1:
        return []
    paths = {choice: _path(job) for choice, job in jobs_by_choice.items()}
    shared = [(one, other) for one, other in combinations(paths, 2) if paths[one] and paths[one] == paths[other]]
    return [place for index, place in enumerate(swept) if any(one[index] != other[index] for one, other in shared)]


def _path(job: list[str]) -> Path | None:
    """The run directory; None of a job that cannot be composed: validation, which comes next, tells why."""
    try:
        return run_path(compose("config", overrides=job))
    except (HydraException, OmegaConfBaseException, UserError):
        return None


def _variant(job: list[str], chosen: list[str]) -> str:
    names = [word.partition("=")[2].strip("'\"").rpartition("/")[2] for word in chosen]
    return "-".join([str(compose("config", overrides=job).variant), *names])
