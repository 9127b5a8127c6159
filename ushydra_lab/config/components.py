"""The classes and functions that a configuration may name in a `_target_`.

A run that somebody passed on has a configuration that somebody wrote, and whatever that names would be imported and
called. So only components are found here: those of the lab, torch's optimizers and schedulers, the Trainer; and what
modules hold that the person at the command line trusts by name (`trust=[my_package]`), which no file can add to.
"""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
from collections.abc import Sequence
from functools import cache
from typing import Any

from hydra.utils import get_object

PACKAGES = (
    "ushydra_lab.audit.landmarks",
    "ushydra_lab.training.callbacks",
    "ushydra_lab.data.augment",
    "ushydra_lab.data.readers",
    "ushydra_lab.data.sampler",
    "ushydra_lab.data.seen_split",
    "ushydra_lab.data.split",
    "ushydra_lab.geometry.heatmaps",
    "ushydra_lab.losses",
    "ushydra_lab.metrics.postprocessing",
    "ushydra_lab.networks",
    "ushydra_lab.tasks",
)
"""Modules, and packages of modules, all of whose public classes and functions are components."""
SINGLE = {
    "lightning.Trainer": "lightning.pytorch",
    "lightning.pytorch.Trainer": "lightning.pytorch",
    "ushydra_lab.training.wandb_logger.open_run": "ushydra_lab.training.wandb_logger",
}
"""Components of modules that hold others, and the module to import."""
OPTIMIZERS, SCHEDULERS = "torch.optim", "torch.optim.lr_scheduler"


def find(target: Any, trusted: Sequence[str] = ()) -> Any:
    """The class or function that a `_target_` names.

    Raises:
        ValueError: it is no component, or there is no such thing; saying which.
    """
    if not isinstance(target, str):
        raise ValueError("a _target_ is the dotted name of a class or function")
    if any(target.startswith(f"{module}.") for module in trusted):
        try:
            return get_object(target)
        except Exception as error:  # whatever importing somebody's own module raises
            raise ValueError(str(error)) from error
    module, _, name = target.rpartition(".")
    if target in SINGLE:
        return getattr(importlib.import_module(SINGLE[target]), name)
    if module in (OPTIMIZERS, SCHEDULERS):
        return _of_torch(module, name)
    if module not in _modules():
        raise ValueError(f"no component of the lab; your own is used with trust=[{target.partition('.')[0]}]")
    found = getattr(importlib.import_module(module), name, None)
    if name.startswith("_") or not _defined_in(found, module):
        raise ValueError(f"{module} has no component {name!r}")
    return found


def _defined_in(found: Any, module: str) -> bool:
    return (inspect.isclass(found) or inspect.isfunction(found)) and found.__module__ == module


def _of_torch(module: str, name: str) -> Any:
    found, torch_module = None, importlib.import_module(module)
    if not name.startswith("_"):
        found = getattr(torch_module, name, None)
    base = torch_module.Optimizer if module == OPTIMIZERS else torch_module.LRScheduler
    if not (inspect.isclass(found) and issubclass(found, base)):
        raise ValueError(f"{module} has no such {base.__name__}")
    return found


@cache
def _modules() -> frozenset[str]:
    """All modules of components, by name."""
    names = set(PACKAGES)
    for name in PACKAGES:  # their specs, since importing those that are modules would load torch
        spec = importlib.util.find_spec(name)
        assert spec is not None
        names |= {one.name for one in pkgutil.walk_packages(spec.submodule_search_locations or [], f"{name}.")}
    return frozenset(names)
