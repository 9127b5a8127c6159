"""Writing and reading the probes' files beside a run, with their checksums."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from ushydra_lab.files import DamagedFile, read_json, read_table, refuse_change, sha256, write_csv, write_json
from ushydra_lab.probes import CSV, JSON

NAMES = ["stage", "feature", "part", "site"]
"""The columns of texts; all others are numbers."""
PLACES = {"record", "pca_1", "pca_2", "knn"}
"""Numbers that every image has, but for the training images' distances."""


def write(folder: Path, content: dict[str, Any], images: pd.DataFrame) -> dict[str, Any]:
    """Write probes.csv (one row per image, stage and feature) and probes.json (scores), and return the latter."""
    write_csv(folder / CSV, images)
    content = content | {"files": {CSV: sha256(folder / CSV)}}
    write_json(folder / JSON, content)
    return content


def read(folder: Path, *, old: bool = False) -> tuple[dict[str, Any], pd.DataFrame]:
    """Read probes.json and probes.csv.

    old: also without checksums, as versions before 0.3.0 wrote them.

    Raises:
        DamagedFile: one of them is missing, or is not as it was written.
    """
    remedy = f"Remove {folder / JSON} and probe again."
    content = read_json(folder / JSON, remedy, old=old)
    try:
        expected = _expected(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedFile(folder / JSON, "is damaged (scores are missing, or are no numbers)", remedy) from error
    if "files" in content or not old:
        refuse_change(folder / CSV, str(content.get("files", {}).get(CSV)), remedy)
    table = read_table(folder / CSV, set(NAMES), remedy)
    if not set(table) >= {*PLACES, *NAMES} or table.groupby(NAMES[:3]).size().to_dict() != expected:
        raise DamagedFile(folder / CSV, "is damaged (rows or columns are missing)", remedy)
    return content, table


def _expected(content: dict[str, Any]) -> dict[tuple[str, str, str], int]:
    """Rows of each stage, feature and part."""
    features = [scores for stage in content["stages"].values() for scores in stage.values()]
    numbers = [*content["images"].values(), *(value for scores in features for value in scores.values())]
    named = dict[str, Any](content["made_from"]["stages"])
    if not features or named.keys() != content["stages"].keys() or not all(map(_number, numbers)):
        raise ValueError
    return {
        (stage, feature, part): count
        for stage, features in content["stages"].items()
        for feature in features
        for part, count in content["images"].items()
    }


def _number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))
