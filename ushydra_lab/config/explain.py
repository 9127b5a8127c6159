"""Messages for words that Hydra refuses: the nearest existing name, or how to quote the value."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from typing import Any

from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from ushydra_lab.config.typed import typing_remedy
from ushydra_lab.data.vocabulary import nearest


def explain(error: HydraException) -> str:
    """The message for the user about an error of Hydra."""
    cause = error.__cause__
    if isinstance(error, OverrideParseException):
        return f"{error.override}: not understood. {typing_remedy(error.override)}"
    if isinstance(error, MissingConfigException) and error.missing_cfg_file and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        return f"{group}={name}: there is none{nearest(name, error.options)}; choose one of {', '.join(error.options)}"
    if isinstance(cause, ConfigKeyError | ConfigAttributeError) and cause.parent_node is not None:
        known = ", ".join(map(str, cause.parent_node))
        whole = OmegaConf.to_container(cause.parent_node._get_root(), resolve=False)
        near = nearest_key(str(cause.full_key), _keys(whole))
        return f"unknown key '{cause.full_key}' on the command line; did you mean '{near}'? Known there: {known}"
    return str(error)


def nearest_key(typed: str, keys: Iterator[str]) -> str:
    """The dotted key that is most like a mistyped one: in its last word, and among equals in the whole of it."""

    def likeness(key: str) -> tuple[float, float]:
        last, whole = (SequenceMatcher(None, *pair) for pair in ((_last(typed), _last(key)), (typed, key)))
        return last.ratio(), whole.ratio()

    return max(keys, key=likeness)


def _last(key: str) -> str:
    return key.rpartition(".")[2]


def _keys(node: Any, prefix: str = "") -> Iterator[str]:
    """Dotted keys of all values and of the nodes that hold them; those of the lab, without Hydra's own."""
    if isinstance(node, dict):
        for key, value in node.items():
            if f"{prefix}{key}" != "hydra" and not str(key).startswith("_"):
                yield f"{prefix}{key}"
                yield from _keys(value, f"{prefix}{key}.")
