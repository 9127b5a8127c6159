"""What the probes leave beside a run, and whether it is whole."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd

from ushydra_lab.probes import CSV, JSON

NAMES = ["stage", "feature", "part", "site"]
"""The columns of texts; all others are numbers."""
PLACES = {"record", "pca_1", "pca_2", "knn"}
"""Numbers that every image has, but for the training images' distances."""


Content = TypeVar("Content")


def read(folder: Path) -> tuple[dict[str, Any], pd.DataFrame]:
    """probes.json, scores by stage and feature, and probes.csv, a row an image, stage and feature.

    Raises:
        FileNotFoundError: one of them is not there.
        ValueError: one is damaged, or cut short; says which.
    """
    content = _whole(folder / JSON, _scores)
    return content, _whole(folder / CSV, lambda text: _images(text, content))


def _whole(file: Path, check: Callable[[str], Content]) -> Content:
    try:
        return check(file.read_bytes().decode())
    except FileNotFoundError:
        raise
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{file.name} is damaged") from error


def _scores(text: str) -> dict[str, Any]:
    content = json.loads(text)
    features = [scores for stage in content["stages"].values() for scores in stage.values()]
    numbers = [*content["images"].values(), *(value for scores in features for value in scores.values())]
    named = dict[str, Any](content["made_from"]["stages"])
    if not features or named.keys() != content["stages"].keys() or not all(map(_number, numbers)):
        raise ValueError("scores are missing, or are no numbers")
    return dict(content)


def _number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


def _images(text: str, content: dict[str, Any]) -> pd.DataFrame:
    table = pd.read_csv(io.StringIO(text), converters=dict.fromkeys(NAMES, str))
    numbers = table.drop(columns=NAMES)
    expected = {
        (stage, feature, part): count
        for stage, features in content["stages"].items()
        for feature in features
        for part, count in content["images"].items()
    }
    cut = not text.endswith("\n") or table.groupby(NAMES[:3]).size().to_dict() != expected
    if cut or not set(numbers) >= PLACES or not all(map(pd.api.types.is_numeric_dtype, numbers.dtypes)):
        raise ValueError("rows or columns are missing, or are no numbers")
    return table
