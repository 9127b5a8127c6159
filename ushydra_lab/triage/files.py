"""Writing and reading a run's triage: numbers and texts alone, nothing that could be executed."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ushydra_lab.files import DamagedFile, atomic, read_json, write_csv, write_json
from ushydra_lab.runs.run import Run
from ushydra_lab.runs.summary import typed_values
from ushydra_lab.runs.triage_files import CODES, JUDGED, RULES, kept, triage_file
from ushydra_lab.triage.distance import Mahalanobis
from ushydra_lab.triage.rules import Rule, Triage

FORMAT = 1


def write_triage(folder: Path, triage: Triage, images: pd.DataFrame) -> list[str]:
    """Write triage.json (the rules), triage.npz (the training codes' mean and precision) and triage.csv (`images`).

    Returns the names of what was written; an infinite threshold is null.
    """
    write_json(folder / RULES, {"format": FORMAT, "rules": [rule.content for rule in triage.rules]})
    written = [RULES, JUDGED]
    write_csv(folder / JUDGED, images)
    if triage.known:
        with atomic(folder / CODES) as temporary, temporary.open("wb") as file:
            np.savez(file, mean=triage.known.mean, precision=triage.known.precision)
        written.append(CODES)
    return written


def read_triage(run: Run) -> Triage:
    """The triage that was fixed when a run's training ended.

    Raises:
        UserError: a version without triage made the run.
        DamagedFile: a file is not as it was written.
    """
    path = triage_file(run, RULES)
    content = read_json(path, run.remedy)
    try:
        rules = tuple(_rule(rule) for rule in content["rules"])
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedFile(path, f"is damaged ({error})", run.remedy) from error
    return Triage(rules, _known(run) if CODES in kept(run) else None)


def _rule(content: dict[str, Any]) -> Rule:
    return Rule(**typed_values(Rule, content | {"threshold": inf if (t := content["threshold"]) is None else t}))


def _known(run: Run) -> Mahalanobis:
    path = triage_file(run, CODES)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return Mahalanobis(arrays["mean"], arrays["precision"])
    except (KeyError, ValueError, OSError) as error:
        raise DamagedFile(path, f"is damaged ({error})", run.remedy) from error
