"""One source's words brought to those of a union: sites, qualities, planes, parts, structures, spacing and crops."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.data.source import Source
from ushydra_lab.data.vocabulary import ALL_PARTS, ANNOTATIONS, CROP, MASK, PART, SITE, nearest
from ushydra_lab.errors import UserError

LEVELS = {SITE: (), "quality": ANNOTATIONS["quality"].levels, "plane": ANNOTATIONS["plane"].levels, PART: ALL_PARTS}
"""Columns whose words may be translated -> the words that they become; any for a site."""
SETTINGS = {*LEVELS, "structure", "only", "pixel_mm", "crop"}


def harmonised(source: Source, settings: Mapping[str, Any]) -> Source:
    """site, quality, plane, part: the word of every row, or {word of the source: common word}, others kept.

    structure: {structure of the source: common one}; several of one name are joined. only: {column: words}, the rows
    that are used. pixel_mm, crop ([x1, y1, x2, y2], px): of every image. Column `site_in_source` keeps the source's own
    sites. Raises UserError listing what is unknown in the source or no common word.
    """
    if problems := list(_problems(source, settings)):
        raise UserError.listing(f"{source.name}: settings that do not fit it", problems)
    table = source.table
    kept = np.ones(len(table), bool)
    for column, words in settings.get("only", {}).items():
        kept = kept & table[column].map(str).isin(_listed(words)).to_numpy()
    table = table[kept].assign(site_in_source=table[SITE][kept].map(str))
    for column in LEVELS.keys() & settings.keys():
        table[column] = _translated(table.get(column, pd.Series("", table.index)), settings[column])
    if "pixel_mm" in settings:
        table["pixel_mm"] = settings["pixel_mm"]
    if "crop" in settings:
        table[list(CROP.columns)] = settings["crop"]
    if isinstance(source.masks, MaskCode) and "structure" in settings:
        source = replace(source, masks=_renamed(source.masks, settings["structure"]))
    return replace(source, table=table)


def _translated(cells: pd.Series, setting: Any) -> pd.Series:
    if isinstance(setting, Mapping):
        words = {str(word): str(common) for word, common in setting.items()}
        return cells.where(cells.notna(), "").map(lambda word: words.get(str(word), word))
    return pd.Series(str(setting), cells.index)


def _renamed(code: MaskCode, names: Mapping[str, str]) -> MaskCode:
    joined: dict[str, list[str]] = {}
    for structure in code.structures:
        joined.setdefault(str(names.get(structure, structure)), []).append(structure)
    return code.relabelled([f"{name}={'+'.join(structures)}" for name, structures in joined.items()])


def _listed(words: Any) -> list[str]:
    return [str(word) for word in (words if isinstance(words, Sequence) and not isinstance(words, str) else [words])]


def _problems(source: Source, settings: Mapping[str, Any]) -> Iterator[str]:
    for key, setting in settings.items():
        if key not in SETTINGS:
            yield f"{key}: unknown{nearest(key, SETTINGS)}; known are {', '.join(sorted(SETTINGS))}"
        elif key in LEVELS:
            yield from _wrong_words(source.table, key, setting)
        elif key in ("structure", "only") and not isinstance(setting, Mapping):
            yield f"{key}={setting}: words in braces, {key}={{OWN: COMMON}}"
        elif key == "only":
            yield from _wrong_rows(source.table, setting)
        elif key == "structure":
            own = source.masks.structures if source.masks else ()
            for name in (name for name in setting if name not in own):
                yield f"structure: its masks show {', '.join(own) or 'nothing'}, not {name!r}{nearest(name, own)}"
        elif not _numbers(setting, 4 if key == "crop" else 1):
            yield f"{key}={setting}: {'four edges, [x1,y1,x2,y2], px' if key == 'crop' else 'mm per px, one number'}"
    if MASK not in source.table and "structure" in settings:
        yield "structure: it has no masks; leave this out"


def _wrong_words(table: pd.DataFrame, key: str, setting: Any) -> Iterator[str]:
    there = sorted(map(str, table[key].dropna().unique())) if key in table else []
    common = setting.values() if isinstance(setting, Mapping) else [setting]
    for own in setting if isinstance(setting, Mapping) else ():
        if str(own) not in there:
            yield f"{key}: no row has {own!r}{nearest(own, there)}; there are {', '.join(there) or 'none'}"
    for word in (word for word in common if LEVELS[key] and word not in ("", *LEVELS[key])):
        yield f"{key}={word}: not one of {', '.join(LEVELS[key])}{nearest(word, LEVELS[key])}"


def _wrong_rows(table: pd.DataFrame, only: Mapping[str, Any]) -> Iterator[str]:
    for column, words in only.items():
        if column not in table:
            yield f"only: no column {column!r}{nearest(column, map(str, table))}"
            continue
        there = sorted(map(str, table[column].dropna().unique()))
        for word in (word for word in _listed(words) if word not in there):
            yield f"only.{column}: no row has {word!r}{nearest(word, there)}; there are {', '.join(there[:20])}"


def _numbers(setting: Any, count: int) -> bool:
    numbers = setting if isinstance(setting, list | tuple) else [setting]
    return len(numbers) == count and all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers)
