"""Using a finished run's configuration on this machine: with other paths, or on other data."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ushydra_lab.config.explain import explain
from ushydra_lab.config.identity import NOT_DETERMINING, SOURCE
from ushydra_lab.config.instantiate import omegaconf_message, to_plain
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers
from ushydra_lab.config.schema import Experiment, Node
from ushydra_lab.config.sources import with_readers
from ushydra_lab.config.typed import normalise, split_at_spaces, typing_remedy
from ushydra_lab.config.validation import target_problems
from ushydra_lab.data.vocabulary import nearest
from ushydra_lab.errors import UserError

PLACES = ("cache_dir", "network.weights")
LOCAL = ("trust", *PLACES, *(key for key in NOT_DETERMINING if key.startswith("data.")))
"""The keys of a finished run that may be given anew on the command line."""


@dataclass(frozen=True)
class Local:
    """Settings of this machine for using a finished run on it: trusted modules and paths."""

    trust: Sequence[str] = ()
    cache_dir: str | None = None
    weights: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, words: Sequence[str]) -> Local:
        """Parse key=value words.

        Raises:
            UserError: a word is not understood, or its key is none of these.
        """
        found: dict[str, Any] = {}
        for word in words:
            try:
                (override,) = OverridesParser.create().parse_overrides([normalise(word)])
            except HydraException as error:
                raise UserError(explain(error)) from error
            key = override.key_or_group
            if SOURCE.sub("data.", key) not in LOCAL or override.is_sweep_override():
                raise UserError(f"{word}: of a finished run only these can be told anew: {', '.join(LOCAL)}")
            found[key] = override.value()
        trust = found.pop("trust", [])
        if not isinstance(trust, list):
            raise UserError(f"trust={trust}: names of your own modules, trust=[my_package]")
        cache_dir, weights = (None if place is None else str(place) for place in map(found.pop, PLACES, (None, None)))
        data = {key.removeprefix("data."): value for key, value in found.items()}
        return cls([str(module) for module in trust], cache_dir, weights, data)


AS_STORED = Local()
"""Every path as the run has it."""


def folders_and_local(words: Sequence[str]) -> tuple[list[Path], Local]:
    """Separate a command line's folders from its key=value words; a folder's name may contain = too."""
    typed = [w for w in words if SOURCE.sub("data.", w.partition("=")[0]) in LOCAL and not Path(w).exists()]
    return [Path(word) for word in words if word not in typed], Local.of(typed)


def on_this_machine(experiment: Experiment, local: Local) -> Experiment:
    """A stored experiment with the paths of this machine.

    A cache_dir that is not on this machine, as in a run that was received, becomes that of a new run; what the data
    have below it moves along.
    """
    before = experiment.cache_dir
    after = local.cache_dir or (before if Path(before).is_dir() else str(Path("multirun", ".cache")))
    placed: Experiment = with_moved_paths(experiment, before, after)
    network = placed.network if local.weights is None else placed.network | {"weights": local.weights}
    return replace(placed, cache_dir=after, data=_with_paths(placed.data, local.data), network=network)


def _with_paths(data: Node, paths: Mapping[str, Any]) -> Node:
    """The data with other paths, `root` or, of a source of a union, `sources.NAME.root`."""
    placed = data | {key: path for key, path in paths.items() if "." not in key}
    of_sources = {key: path for key, path in paths.items() if "." in key}
    for key, path in of_sources.items():
        _, name, setting = key.split(".")
        sources = placed.get("sources") or {}
        if name not in sources:
            raise UserError(f"data.{key}={path}: no source of the run{nearest(name, sources)}: {', '.join(sources)}")
        placed["sources"] = sources | {name: sources[name] | {setting: path}}
    return placed


def chosen_data(
    overrides: list[str], scale: str = "laptop", cache_dir: str | None = None, trusted: Sequence[str] = ()
) -> tuple[str, Node]:
    """Name and configuration of the data that the overrides choose.

    scale, cache_dir: those of the run that it is for.

    Raises:
        UserError: no data set is chosen, or a key is missing or unknown.
    """
    if not any(override.startswith("data=") for override in overrides):
        raise UserError(
            f"Choose the data: data=NAME, one of {', '.join(sorted(p.stem for p in (CONF / 'data').glob('*.yaml')))}"
        )
    if problems := [*split_at_spaces(overrides), *_several(overrides)]:
        raise UserError("\n".join(problems))
    register_resolvers()
    try:
        with initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = compose("config", overrides=[f"scale={scale}", *map(normalise, overrides)], return_hydra_config=True)
    except HydraException as error:
        raise UserError(explain(error)) from error
    if cache_dir is not None:  # not as an override: a path may hold what Hydra would have quoted
        OmegaConf.update(cfg, "cache_dir", cache_dir)
    if not cfg.cache_dir:  # else what lies below it would lie below /
        raise UserError(f"cache_dir={cfg.cache_dir or ''}: give a folder; '.' is the one you are in")
    cfg = with_readers(cfg, trusted)
    try:
        resolved = OmegaConf.to_container(cfg.data, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(omegaconf_message(error)) from error
    data = to_plain(OmegaConf.create({"data": resolved}))["data"]
    if "_target_" not in data:
        raise UserError(f"data={cfg.hydra.runtime.choices['data']}: no data set (it names no _target_)")
    if problems := list(target_problems(data, "data.", trusted)):
        raise UserError.listing("The data cannot be used:", problems)
    return cfg.hydra.runtime.choices["data"], data


def _several(words: Sequence[str]) -> Iterator[str]:
    """Problems of words that name several values, where one is chosen."""
    for word in words:
        try:
            (override,) = OverridesParser.create().parse_overrides([normalise(word)])
        except HydraException:
            continue  # explained when it is composed
        if override.is_sweep_override():
            quote = "" if override.key_or_group == "data" else f" {typing_remedy(word)}"
            yield f"{word}: several values, of which one can be used here.{quote}"


def with_moved_paths(content: Any, before: str, after: str) -> Any:
    """A configuration, or part of it, with every path at or below `before` moved below `after`."""
    if is_dataclass(content) and not isinstance(content, type):
        return replace(
            content, **{f.name: with_moved_paths(getattr(content, f.name), before, after) for f in fields(content)}
        )
    if isinstance(content, dict):
        return {key: with_moved_paths(value, before, after) for key, value in content.items()}
    if isinstance(content, list):
        return [with_moved_paths(value, before, after) for value in content]
    if isinstance(content, str) and content.startswith(before) and content[len(before) :][:1] in ("", "/", os.sep):
        return after + content[len(before) :]
    return content
