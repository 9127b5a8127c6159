"""The triage that lies in a run: its files, and how it judged the run's own images."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ushydra_lab.errors import UserError
from ushydra_lab.files import read_table
from ushydra_lab.runs.run import Run

RULES, CODES, JUDGED = "triage.json", "triage.npz", "triage.csv"
"""Rules; mean and inverse covariance of the training codes, where there are any; judged images."""
TEXTS = {"kind", "part", "site", "status", "reasons"}
"""Columns of triage.csv that are texts."""


def kept(run: Run) -> list[str]:
    """The files of triage that a run has; none of a version without."""
    return [name for name in (RULES, CODES, JUDGED) if name in (run.summary.files or {})]


def triage_file(run: Run, name: str) -> Path:
    """One of them, compared with its checksum.

    Raises:
        UserError: a version without triage made the run.
    """
    if not kept(run):
        made = run.summary.versions.get("ushydra_lab", "unknown")
        raise UserError(
            f"{run.path} has no triage (version {made} made it, before runs had one), so nothing tells which images to "
            "refuse. Train again elsewhere: run_root=FOLDER"
        )
    return run.file(name)


def judged_images(run: Run) -> pd.DataFrame:
    """kind, part, record, site, status, reasons, ood_score, ood_threshold, excess: a row for each image and copy.

    Raises:
        UserError: a version without triage made the run.
    """
    return read_table(triage_file(run, JUDGED), TEXTS, run.remedy)
