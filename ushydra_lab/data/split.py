"""Splits of a data set into training, validation and test images: functions (table, seed) -> a part for every row.

Validation is a fraction of the training images, `round()`ed, drawn by subject: a subject is a (site, subject)
pair and never in two parts. The draw orders the subjects by a hash of (seed, site, subject), so it depends on
nothing but the training subjects themselves: neither on the held-out site nor on the order of rows nor on a
library's generator.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ushydra_lab.data.vocabulary import PART, SITE, SUBJECT, nearest
from ushydra_lab.errors import UserError

EXACT = 4096


class Split(Protocol):
    @property
    def name(self) -> str:
        """Names the run directory."""

    def assign(self, table: pd.DataFrame, seed: int) -> pd.Series:
        """'train', 'val', 'test' or 'unused' for every row. Raises UserError where a part would be empty."""


@dataclass(frozen=True)
class LeaveOneSiteOut:
    """Test on one site, train and validate on all others (paper 1, Table 1)."""

    held_out: str
    val_fraction: float = 0.15

    @property
    def name(self) -> str:
        return str(self.held_out)

    def assign(self, table: pd.DataFrame, seed: int) -> pd.Series:
        sites = sorted(table[SITE].unique())
        if len(sites) < 2:
            raise UserError(f"leave-one-site-out needs two sites, there is only {sites[0]!r}; use split=random")
        if self.name not in sites:
            what = f"held_out={self.held_out} is no site of the data{nearest(self.name, sites)}"
            if self.held_out is None:
                what = "no site is held out: add held_out=SITE"
            raise UserError(f"{what}; sites: {', '.join(sites)}")
        seen = table[table[SITE] != self.name]
        subjects = seen.groupby(SITE)[SUBJECT].nunique()
        if lonely := list(subjects[subjects < 2].index):
            raise UserError(
                f"training sites with a single subject: {', '.join(lonely)}; training and validation need "
                "one each: give every image its own subject, add subjects or leave the site out"
            )
        part = pd.Series("test", index=table.index)
        part[seen.index] = _train_val(seen, self.val_fraction, seed)
        return part


@dataclass(frozen=True)
class Official:
    """The data set's own parts (column `part`); without a val part, val_fraction of train."""

    val_fraction: float = 0.15
    name: str = "official"

    def assign(self, table: pd.DataFrame, seed: int) -> pd.Series:
        if PART not in table:
            raise UserError("split=official needs the column 'part' (train, val, test); the data have none")
        part = table[PART].where(table[PART] != "", "unused")
        train = table[part == "train"]
        if train.empty:
            raise UserError("split=official: no row has the part 'train'")
        if not (part == "val").any():
            part = part.copy()
            part[train.index] = _train_val(train, self.val_fraction, seed)
        return part


@dataclass(frozen=True)
class Random:
    """Train and validation only, for data of one site."""

    val_fraction: float = 0.2
    name: str = "random"

    def assign(self, table: pd.DataFrame, seed: int) -> pd.Series:
        return _train_val(table, self.val_fraction, seed)


@dataclass(frozen=True)
class KFold:
    """Cross-validation by subject, for data of one site: test on one of `folds` parts of nearly equal size.

    The parts are the same whatever the seed, which draws the validation images from the rest.
    """

    fold: int
    folds: int = 5
    val_fraction: float = 0.15

    @property
    def name(self) -> str:
        return f"fold{self.fold}of{self.folds}"

    def assign(self, table: pd.DataFrame, seed: int) -> pd.Series:
        sizes = Counter(zip(table[SITE], table[SUBJECT], strict=True))
        if not 0 <= self.fold < self.folds <= len(sizes):
            asked = f"split.fold={self.fold} split.folds={self.folds}"
            raise UserError(f"{asked}: fold is 0 to folds - 1, with at most as many folds as subjects, {len(sizes)}")
        filled, member = [0] * self.folds, {}
        for subject in _drawn(sizes, "folds"):
            member[subject] = filled.index(min(filled))
            filled[member[subject]] += sizes[subject]
        tested = [member[subject] == self.fold for subject in zip(table[SITE], table[SUBJECT], strict=True)]
        part = pd.Series("test", index=table.index)
        rest = table[~pd.Series(tested, index=table.index)]
        part[rest.index] = _train_val(rest, self.val_fraction, seed)
        return part


@dataclass(frozen=True)
class Stratified:
    """Train, validation and test images with equal parts of every kind, by subject (thesis 4, section 3.2).

    by: the column that tells kinds apart: `shows` (structures in the mask), `plane`, `quality`, `site`. A subject is of
    the kind of all its images together. Kinds with fewer than three subjects are trained on.
    """

    by: str = "shows"
    val_fraction: float = 0.15
    test_fraction: float = 0.15
    name: str = "stratified"

    def assign(self, table: pd.DataFrame, seed: int) -> pd.Series:
        if self.by not in table:
            raise UserError(f"split.by={self.by} is no column of the data{nearest(self.by, map(str, table))}")
        if min(self.val_fraction, self.test_fraction) <= 0 or self.val_fraction + self.test_fraction >= 1:
            fractions = f"split.val_fraction={self.val_fraction} split.test_fraction={self.test_fraction}"
            raise UserError(f"{fractions}: both must be above 0, together below 1, e.g. 0.15 and 0.15")
        part = pd.Series("train", index=table.index)
        kinds = table.groupby([SITE, SUBJECT])[self.by].transform(
            lambda values: "+".join(sorted(set(map(str, values))))
        )
        for _, rows in table.groupby(kinds):
            sizes = Counter(zip(rows[SITE], rows[SUBJECT], strict=True))
            if len(sizes) < 3:
                continue
            for name, fraction in (("test", self.test_fraction), ("val", self.val_fraction)):
                drawn = {subject: sizes[subject] for subject in _drawn(sizes, f"{seed} {name}")[:-1]}
                target = round(fraction * len(rows))
                if target and drawn:
                    chosen = _closest_subset(drawn, target)
                    part[rows.index[_of(rows, chosen)]] = name
                    sizes = Counter({subject: n for subject, n in sizes.items() if subject not in chosen})
        if absent := [name for name in ("val", "test") if not (part == name).any()]:
            raise UserError(
                f"split=stratified leaves no image for {', '.join(absent)}; add subjects or raise its fraction"
            )
        return part


@dataclass(frozen=True)
class External:
    """A split that tests every image: a finished run on other data."""

    name: str = "external"

    def assign(self, table: pd.DataFrame, seed: int) -> pd.Series:
        return pd.Series("test", index=table.index)


def _train_val(table: pd.DataFrame, fraction: float, seed: int) -> pd.Series:
    if not 0 < fraction < 1:
        raise UserError(f"val_fraction={fraction} must lie between 0 and 1, e.g. 0.15")
    target = round(fraction * len(table))
    sizes = Counter(zip(table[SITE], table[SUBJECT], strict=True))
    candidates = _candidates(sizes, seed)
    if target == 0 or not candidates:
        raise UserError(
            f"{len(table)} training images of {len(sizes)} subjects leave nothing to validate on with "
            f"val_fraction={fraction}; add images or subjects, or raise split.val_fraction"
        )
    chosen = _closest_subset({subject: sizes[subject] for subject in candidates}, target)
    return pd.Series("train", index=table.index).mask(_of(table, chosen), "val")


def _of(table: pd.DataFrame, subjects: Iterable[tuple[str, str]]) -> NDArray[np.bool_]:
    return pd.MultiIndex.from_frame(table[[SITE, SUBJECT]]).isin(list(subjects))


def _candidates(sizes: dict[tuple[str, str], int], seed: int) -> list[tuple[str, str]]:
    """Subjects in drawn order, without each site's largest (of equals, the last drawn), which trains."""
    order = _drawn(sizes, str(seed))
    kept: dict[str, tuple[str, str]] = {}
    for site, subject in order:
        if site not in kept or sizes[site, subject] >= sizes[kept[site]]:
            kept[site] = site, subject
    return [subject for subject in order if subject != kept[subject[0]]]


def _drawn(subjects: Iterable[tuple[str, str]], seed: str) -> list[tuple[str, str]]:
    """In the order of a hash of seed, site and subject."""
    return sorted(subjects, key=lambda subject: hashlib.sha256("\0".join((seed, *subject)).encode()).hexdigest())


def _closest_subset(sizes: dict[tuple[str, str], int], target: int) -> set[tuple[str, str]]:
    """Subjects whose sizes add up as near to target as any choice can, the first drawn preferred.

    Subjects are taken as drawn until EXACT images are missing; of the next EXACT subjects those that fit best follow.
    reachable[k] has bit t set if subjects k, k+1, ... of these can add up to t (subset sums in the bits of an integer).
    """
    drawn, chosen = iter(sizes), set()
    while target > EXACT and (subject := next(drawn, None)):
        chosen.add(subject)
        target -= sizes[subject]
    subjects = list(islice(drawn, EXACT))
    reachable = [1]
    for subject in reversed(subjects):
        reachable.insert(0, reachable[0] | reachable[0] << sizes[subject])
    totals = (t for t in range(not chosen, reachable[0].bit_length()) if reachable[0] >> t & 1)
    missing = min(totals, key=lambda total: abs(total - target))
    for subject, rest in zip(subjects, reachable[1:], strict=True):
        if missing >= sizes[subject] and rest >> (missing - sizes[subject]) & 1:
            chosen.add(subject)
            missing -= sizes[subject]
    return chosen
