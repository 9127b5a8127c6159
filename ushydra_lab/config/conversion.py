"""Plain values, converted to the types that the schema declares: `seed: "09"` is 9."""

from __future__ import annotations

import contextlib
from dataclasses import make_dataclass
from functools import cache
from typing import Any, get_type_hints

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from ushydra_lab.config.instantiate import omegaconf_message

OBJECTS = {"stages", "instead", "claim"}
"""Keys whose values become objects of the schema, which are converted one by one."""


def convert(schema: type, node: dict[str, Any], prefix: str, problems: list[str]) -> dict[str, Any]:
    """The values of a node as the schema declares them; those that cannot be converted are told in `problems`.

    Components, and all else below a key, stay as they are.
    """
    values = {key: value for key, value in node.items() if key not in OBJECTS}
    references = {key for key, value in values.items() if _refers(value)}
    problems += [f"{prefix}{key}={values.pop(key)}: a value is needed, not where to find one" for key in references]
    with contextlib.suppress(OmegaConfBaseException):  # all at once; one by one, to name them, only if that fails
        return _merged(schema, values)
    converted: dict[str, Any] = {}
    for key, value in values.items():
        try:
            converted |= _merged(schema, {key: value})
        except OmegaConfBaseException as error:
            problems.append(f"{prefix}{key}={value}: {omegaconf_message(error)}")
    return converted


def _merged(schema: type, values: dict[str, Any]) -> dict[str, Any]:
    merged = OmegaConf.to_container(OmegaConf.merge(_types(schema), values), resolve=False)
    assert isinstance(merged, dict)
    return {key: _kept(value, merged[key]) for key, value in values.items()}


def _kept(value: Any, converted: Any) -> Any:
    """A whole number where a float may stand is stored and hashed as it is written: 20, not 20.0."""
    whole = isinstance(converted, float) and type(value) is int
    return value if whole or isinstance(value, dict) else converted


def _refers(value: Any) -> bool:
    """Whether OmegaConf would take a value for a reference to another, or for one that is missing."""
    texts = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, str)]
    return any("${" in text or text == "???" for text in texts)


@cache
def _types(schema: type) -> DictConfig:
    hints = {name: hint for name, hint in get_type_hints(schema).items() if name not in OBJECTS}
    structured: DictConfig = OmegaConf.structured(make_dataclass(schema.__name__, hints.items()))
    return structured
