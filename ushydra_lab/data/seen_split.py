"""The split that tests at the sites of the training images and, besides, at sites that training has not seen."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ushydra_lab.data.split import LeaveSitesOut, refuse_impossible
from ushydra_lab.data.subject_draw import candidates, closest_subset, rows_of
from ushydra_lab.data.vocabulary import SEEN_TEST, SITE, SUBJECT
from ushydra_lab.errors import UserError

NO_SITE = "seen_sites"
FEWEST = 3
"""Subjects of a site: one trains, one validates, one tests."""


@dataclass(frozen=True)
class SeenAndUnseen:
    """Each seen site's images by subject into train, val and seen_test, 60/20/20 (paper 3); held-out sites into test.

    held_out: a site, several, or None for none. inner: a training site left out besides and tested alone, to choose and
    calibrate by: the held-out sites are then unused, and so are those images of `inner` that test where it is seen, so
    that nothing is chosen by what is reported. The parts of a site depend on no other site.
    """

    held_out: str | Sequence[str] | None
    inner: str | None = None
    val_fraction: float = 0.2
    test_fraction: float = 0.2

    @property
    def name(self) -> str:
        return NO_SITE if self.held_out is None else LeaveSitesOut(self.held_out, self.inner).name

    def assign(self, table: pd.DataFrame, seed: int) -> pd.Series:
        """Part of every row. Raises UserError: no such site, impossible fractions, sites with too few subjects."""
        if min(self.val_fraction, self.test_fraction) <= 0 or self.val_fraction + self.test_fraction >= 1:
            asked = f"split.val_fraction={self.val_fraction} split.test_fraction={self.test_fraction}"
            raise UserError(f"{asked}: both must be above 0, together below 1, e.g. 0.2 and 0.2")
        if self.held_out is None and self.inner is not None:
            raise UserError(f"split.inner={self.inner}: no site is held out; hold this one out, held_out={self.inner}")
        held_out = [] if self.held_out is None else LeaveSitesOut(self.held_out).sites
        left_out = held_out if self.inner is None else [*held_out, str(self.inner)]
        if left_out:
            refuse_impossible(sorted(table[SITE].unique()), left_out)
        within = pd.concat(self._of_sites(table[~table[SITE].isin(held_out)], seed)).reindex(table.index)
        if self.inner is None:
            return within.fillna("test")
        own = table[SITE] == self.inner
        return within.fillna("unused").mask(own, within.mask(within != SEEN_TEST, "test").replace(SEEN_TEST, "unused"))

    def _of_sites(self, seen: pd.DataFrame, seed: int) -> list[pd.Series]:
        subjects = seen.groupby(SITE)[SUBJECT].nunique()
        if few := [f"{site}: {count}" for site, count in subjects.items() if count < FEWEST]:
            raise UserError(
                f"sites with fewer than {FEWEST} subjects cannot be trained on, selected on and tested: "
                f"{', '.join(few)}; add subjects, leave the site out, or hold it out (held_out)"
            )
        return [self._of_site(rows, seed) for _, rows in seen.groupby(SITE)]

    def _of_site(self, rows: pd.DataFrame, seed: int) -> pd.Series:
        """Its largest subject trains, and one is left to validate whatever tests."""
        sizes = Counter(zip(rows[SITE], rows[SUBJECT], strict=True))
        free = {subject: sizes[subject] for subject in candidates(sizes, seed)}
        kept = next(reversed(free))
        testable = {subject: size for subject, size in free.items() if subject != kept}
        tested = closest_subset(testable, round(self.test_fraction * len(rows)))
        rest = {subject: size for subject, size in free.items() if subject not in tested}
        validated = closest_subset(rest, round(self.val_fraction * len(rows)))
        part = pd.Series("train", index=rows.index).mask(rows_of(rows, tested), SEEN_TEST)
        return part.mask(rows_of(rows, validated), "val")
