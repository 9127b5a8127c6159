"""The results of audits: flags and findings."""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ushydra_lab.data.vocabulary import SITE


@dataclass(frozen=True)
class Flag:
    """Something to look at. rows: positions in the table, none where it is about the whole data set."""

    text: str
    rows: tuple[int, ...] = ()


@dataclass(frozen=True)
class Finding:
    """One audit's result. method: what was compared with what, thresholds, and the flags to expect from clean data.

    flags: the most serious first; skipped: why the audit, or part of it, could not be done; summary: what was seen.
    """

    kind: str
    title: str
    method: str
    flags: list[Flag] = field(default_factory=list)
    skipped: str = ""
    summary: str = ""


def flagged_rows(findings: Iterable[Finding]) -> set[int]:
    """Positions of all rows that some flag names."""
    return {row for finding in findings for flag in finding.flags for row in flag.rows}


def positions(chosen: NDArray[np.bool_]) -> list[int]:
    """Positions where a boolean column is true."""
    return [int(row) for row in np.flatnonzero(chosen)]


def by_site(table: pd.DataFrame) -> dict[str, NDArray[np.intp]]:
    """Site -> positions of its rows, in the order of the names."""
    groups = table.groupby(SITE, sort=True).indices
    return {str(site): np.asarray(rows, np.intp) for site, rows in groups.items()}
