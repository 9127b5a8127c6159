"""Reading the YAML that runs store without trusting it: plain values only, and a bounded number of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from ushydra_lab.files import DamagedFile, read_text

DEEPEST, MOST_VALUES = 50, 100_000
"""Limits of a stored configuration: levels of nesting, and values in all; the lab's own have 8 and about 200."""


def read_config(file: Path, remedy: str) -> dict[str, Any]:
    """Read the configuration stored in a file, as plain values.

    Raises:
        DamagedFile: the file is missing or damaged, or holds something else.
    """
    try:
        content = parse_yaml(read_text(file, remedy))
    except ValueError as error:
        raise DamagedFile(file, f"is damaged ({error})", remedy) from error
    if fault := _unlike_a_configuration(content):
        raise DamagedFile(file, f"is damaged ({fault})", remedy)
    return dict(content)


def parse_yaml(text: str) -> Any:
    """Parse YAML into texts, numbers, lists and dicts, at most `MOST_VALUES` of them. Raises ValueError."""
    try:
        content = yaml.load(text, _NoMergeLoader)  # a safe loader
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(str(error)) from error
    _refuse_oversized(content)
    return content


class _NoMergeLoader(yaml.SafeLoader):
    """Refuses merge keys (`<<`), which multiply keys before these can be counted; the lab writes none."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        if any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value):
            raise yaml.constructor.ConstructorError(None, None, "a merge key (<<) is no key", node.start_mark)


def _unlike_a_configuration(content: Any) -> str:
    """Keys that a stored configuration lacks, '' for none; `config.validation` checks the values."""
    if not isinstance(content, dict):
        return "no keys"
    lacking = [key for key in ("data", "network", "stages") if not isinstance(content.get(key), dict)]
    stages = content["stages"] if "stages" not in lacking else {}
    for name, stage in stages.items():
        if not isinstance(stage, dict) or not isinstance(stage.get("task"), dict):
            lacking.append(f"stages.{name}.task")
        elif not isinstance(stage.get("max_epochs", 1), int) or not isinstance(stage.get("init") or "", str):
            lacking.append(f"stages.{name}.max_epochs and init")
        elif not isinstance(stage.get("instead") or {}, dict):
            lacking.append(f"stages.{name}.instead")
    if "data" not in lacking and not isinstance(content["data"].get("_target_"), str):
        lacking.append("data._target_")
    return f"no usable {', '.join(lacking)}" if lacking else ""


def _refuse_oversized(content: Any) -> None:
    """Raise ValueError for values nested or multiplied by YAML references beyond the limits."""
    stack, count = [(content, 0)], 0
    while stack:
        value, depth = stack.pop()
        count += 1
        if depth > DEEPEST or count > MOST_VALUES:
            raise ValueError("its values refer to each other without end")
        if isinstance(value, dict):
            if strange := [key for key in value if not isinstance(key, str | int | float | None)]:
                raise ValueError(f"{strange[0]!r} is no key")
            stack += [(one, depth + 1) for one in value.values()]
        elif isinstance(value, list):
            stack += [(one, depth + 1) for one in value]
        elif not isinstance(value, str | int | float | None):  # a tuple could hide a _target_ from `validation`
            raise ValueError(f"a {type(value).__name__} is no value of a configuration")
