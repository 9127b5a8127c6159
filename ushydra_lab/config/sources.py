"""Sources of a union: `{data: NAME, root: FOLDER, quality: low}`, as typed, becomes a reader and what harmonises it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy
from functools import cache
from inspect import signature
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf

from ushydra_lab.config.components import find
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.schema import Node
from ushydra_lab.data.readers.harmonised import SETTINGS
from ushydra_lab.data.vocabulary import nearest
from ushydra_lab.errors import UserError

UNION = "ushydra_lab.data.readers.union.read"


def with_readers(cfg: DictConfig, trusted: Sequence[str]) -> DictConfig:
    """The configuration with a reader for every source, of the experiment's data and of its stages' own.

    A source names a file of conf/data, whose settings its own replace, or a reader (`_target_`). Raises UserError
    listing the problems of all sources: no such data set, settings without a value.
    """
    unions, problems = dict[str, Node](), list[str]()
    stages = cfg.get("stages")
    names = list(stages) if isinstance(stages, DictConfig) else []
    for place in ("data", *(f"stages.{name}.instead.data" for name in names)):
        node = OmegaConf.select(cfg, place, default=None, throw_on_resolution_failure=False)
        data = cast(Node, OmegaConf.to_container(node, resolve=False)) if isinstance(node, DictConfig) else {}
        if data.get("_target_") == UNION and data.get("sources") != "???":
            problems += _read_by(data, place, trusted)
            unions[place] = data
    if problems:
        raise UserError.listing("The sources cannot be used:", problems)
    changed = deepcopy(cfg) if unions else cfg
    for place, data in unions.items():
        OmegaConf.update(changed, place, data, merge=False, force_add=True)
    return changed


def _read_by(data: Node, place: str, trusted: Sequence[str]) -> Iterator[str]:
    """Put readers in the place of what is typed of the sources, and yield what is wrong with it."""
    if not isinstance(data.get("sources"), dict):
        yield f"{place}.sources={data.get('sources')}: sources have names, {{NAME: {{data: NAME, root: FOLDER}}, ...}}"
        return
    for name, typed in data["sources"].items():
        key = f"{place}.sources.{name}"
        if not isinstance(typed, dict) or not {"data", "_target_"} & {*typed}:
            known = ", ".join(_names())
            yield f"{key}={typed}: a source names a data set, {{data: NAME, root: FOLDER}}; NAME is one of {known}"
            continue
        if "data" in typed and typed["data"] not in _names():
            yield f"{key}.data={typed['data']}: no data set{nearest(typed['data'], _names())}; {', '.join(_names())}"
            continue
        settings = (_of_file(typed["data"]) if "data" in typed else {}) | typed
        settings.pop("data", None)
        reader = {"_target_": settings.pop("_target_"), "_partial_": True}
        own = SETTINGS - _parameters(reader["_target_"], trusted)
        data["sources"][name] = reader | {one: value for one, value in settings.items() if one not in own}
        if words := {one: value for one, value in settings.items() if one in own}:
            data["harmonise"] = (data.get("harmonise") or {}) | {name: words}
        for one in (one for one, value in settings.items() if value == "???"):
            yield f"{key}.{one} has no value; add {key}.{one}=..."


@cache
def _names() -> list[str]:
    """The data sets that can be a source: all but unions."""
    return sorted(path.stem for path in (CONF / "data").glob("*.yaml") if _of_file(path.stem).get("_target_") != UNION)


def _of_file(name: str) -> Node:
    """The settings below `data` of a file of conf/data and of those it begins with, without what a scale changes."""
    content = cast(DictConfig, OmegaConf.load(CONF / "data" / f"{name}.yaml"))
    begins = [one for one in content.get("defaults", []) if isinstance(one, str) and one != "_self_"]
    settings: Node = {}
    for one in begins:
        settings |= _of_file(one)
    return settings | cast(Node, OmegaConf.to_container(content.data, resolve=False))


def _parameters(target: Any, trusted: Sequence[str]) -> set[str]:
    """The settings that a reader has of its own; none of what is no reader: validation says so."""
    try:
        return set(signature(find(target, trusted)).parameters)
    except ValueError:
        return set()
