"""The parts of a configuration: those that determine numbers, and those that may be shared; its hash and YAML."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from typing import Any

import yaml

NOT_DETERMINING = (
    "logger",
    "run_root",
    "cache_dir",
    "cache_gb",
    "panel_images",
    "deidentified",
    "fail_fast",
    "claim",
    "variant",
    "paper",
    "weighting.name",
    "data.root",
    "data.path",
    "data.cache",
    "data.images",
    "data.csv",
    "data.annotations",
    "data.subject_key",
)
"""Keys that leave every number unchanged, so that a run may be continued with others. Those of `data` are paths."""
ADDED = {
    "data.difficulty": "easy",
    "data.sites": None,
    "data.plane": None,
    "data.by_plane": False,
    "data.fp_by_machine": False,
}
"""Keys that configurations of earlier runs lack, at the values that those runs had: as if they were not there."""
PRIVATE = (*(key for key in NOT_DETERMINING if key.startswith("data.")), "run_root", "cache_dir", "logger")
"""Keys that hold paths, which are not shared."""
SOURCE = re.compile(r"\bdata\.sources\.[^.]+\.")
"""What the settings of a source begin with, where those of the whole data begin with `data.`."""
_ROOTS = "home|Users|mnt|media|root|srv|scratch|tmp|var|opt|Volumes"
PATH = re.compile(rf"(^|[^\w./\\}}])(~[\w.-]*[\\/]|\.{{0,2}}[\\/]|[A-Za-z]:[\\/]|\$\w+[\\/]|({_ROOTS})[\\/])")
"""What begins as a path does, anywhere in a text: `/x`, `~user/x`, `../x`, `C:/x`, `$HOME/x`, `home/user/x`."""
WITHHELD = "(a path, not shown)"


def digest(content: Any) -> str:
    """SHA-256 of plain content, independent of key order."""
    return hashlib.sha256(json.dumps(content, sort_keys=True, default=str).encode()).hexdigest()


def determining(content: dict[str, Any]) -> dict[str, Any]:
    """The part of a resolved configuration that can change a number; a key that is null is as none at all.

    Not so in what a stage has of its own: there null stands for none of what the experiment has.
    """
    kept = {key: value for key, value in json.loads(json.dumps(content, default=str)).items() if value is not None}
    _drop(kept)
    for stage in kept.get("stages", {}).values():
        stage["instead"] = stage.get("instead") or {}
        if stage.get("epoch") == "best":  # which earlier configurations do not say
            del stage["epoch"]
        _drop(stage["instead"])
    return kept


def _drop(settings: dict[str, Any]) -> None:
    data = settings.get("data")
    for source in (data.get("sources") or {}).values() if isinstance(data, dict) else ():
        _drop({"data": source})
    for dotted in (*NOT_DETERMINING, *ADDED):
        node, _, leaf = dotted.rpartition(".")
        holder = settings.get(node) if node else settings
        if not isinstance(holder, dict):  # a stored configuration may hold anything there
            continue
        if dotted not in ADDED or holder.get(leaf) == ADDED[dotted]:
            holder.pop(leaf, None)


def flatten(content: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(`a.b.c`, value) of every leaf."""
    if isinstance(content, dict) and content:
        for key, value in content.items():
            yield from flatten(value, f"{prefix}{key}.")
    else:
        yield prefix.rstrip("."), content


def shareable(content: dict[str, Any]) -> dict[str, Any]:
    """Dotted key -> value of a configuration, without keys that hold paths; a path under another key is withheld."""
    return {
        key: WITHHELD if PATH.search(str(value)) else value
        for key, value in flatten(content)
        if not any(f".{part}." in f".{SOURCE.sub('data.', key)}." for part in PRIVATE)
    }


def to_yaml(content: dict[str, Any]) -> str:
    """Plain content as YAML, in the order given."""
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
