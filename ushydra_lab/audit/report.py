"""Running all audits of a data set, and collecting their findings in a report."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ushydra_lab.audit import (
    coordinates,
    evidence,
    frequencies,
    grey_range,
    landmarks,
    lost,
    masks,
    near_duplicates,
    numbers,
    placement,
    sites,
)
from ushydra_lab.audit.features import Features
from ushydra_lab.audit.flags import Finding, Flag, flagged_rows
from ushydra_lab.data import checks
from ushydra_lab.data.source import Source
from ushydra_lab.data.vocabulary import SITE

READING = "What only the files themselves show, such as a patient's identifier that was taken away."


@dataclass(frozen=True, eq=False)
class Report:
    """examined: table, problems and paths; findings: of every audit that applies; overview: rows of text, one column
    per site; parts: images and subjects per site and part.
    """

    source: Source
    examined: checks.Examined
    findings: list[Finding]
    overview: pd.DataFrame
    parts: pd.DataFrame

    @property
    def usable(self) -> bool:
        """No problem, and some image."""
        return not self.examined.problems and bool((self.examined.table["sha256"] != "").any())

    @property
    def verdict(self) -> str:
        """usable / usable, N rows to look at / not usable: N problems, or no image found."""
        rows, problems = len(flagged_rows(self.findings)), len(self.examined.problems)
        whole = sum(not flag.rows for finding in self.findings for flag in finding.flags)
        look = [f"{rows} row{'s' * (rows > 1)} to look at"] * (rows > 0)
        look += [f"{whole} remark{'s' * (whole > 1)} on the whole data set"] * (whole > 0)
        why = f"{problems} problem{'s' * (problems > 1)}" if problems else "no image found"
        return ", ".join(["usable" if self.usable else f"not usable: {why}", *look])


def audit(source: Source, canvas: tuple[int, int] | None = None) -> Report:
    """Examine every file once, then look for what deserves a look. Raises UserError where it is no table of images."""
    seen = Features(len(source.table), source.masks.structures if source.masks else ())
    examined = checks.examine(source, observe=seen)
    table = examined.table
    blank = (table["sha256"] != "").to_numpy() & ~seen.descriptors.any(axis=1)
    findings = [
        Finding("reading", "What the reader noticed", READING, [Flag(remark) for remark in source.remarks]),
        grey_range.audit(table, examined.peaks, np.where(blank, np.nan, seen.brightest)),
        *evidence.audit(table, blank),
        sites.audit(table, source.table[SITE]),
        near_duplicates.audit(table, seen.descriptors),
        *landmarks.audit(table),
        coordinates.audit(table),
        lost.audit(table, canvas or lost.SMALLEST, {row for row, _ in examined.problems}),
        placement.audit(table),
        *masks.audit(table, seen),
        *numbers.audit(table),
    ]
    overview = frequencies.overview(table, examined.left_out, seen, canvas)
    return Report(source, examined, findings, overview, frequencies.parts(table))
