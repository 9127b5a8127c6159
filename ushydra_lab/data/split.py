"""Splits of a data set into training, validation and test images: functions (table, seed) -> a part for every row.

Validation is a fraction of the training images, `round()`ed, drawn by subject (`subject_draw`): a subject is a (site,
subject) pair and never in two parts.
"""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import pandas as pd

from ushydra_lab.data.subject_draw import closest_subset, drawn_order, rows_of, train_val
from ushydra_lab.data.vocabulary import PART, SITE, SUBJECT, nearest
from ushydra_lab.errors import UserError


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
        if self.held_out is None:
            sites = ", ".join(sorted(table[SITE].unique()))
            raise UserError(f"no site is held out: add held_out=SITE; sites: {sites}")
        return _without_sites(table, [self.name], None, self.val_fraction, seed)


@dataclass(frozen=True)
class LeaveSitesOut:
    """Test on several sites, train and validate on all others.

    inner: one of those others, left out besides and tested alone; the held-out sites are then not used at all. Such
    runs, one a training site, are the inner folds that calibrate intervals for a new hospital (`results/intervals.py`).
    """

    held_out: str | Sequence[str]
    inner: str | None = None
    val_fraction: float = 0.15

    @property
    def name(self) -> str:
        """The site, or how many and a hash of which; of an inner fold the site left out besides follows."""
        sites = self.sites
        several = f"{len(sites)} sites {hashlib.sha256(chr(0).join(sites).encode()).hexdigest()[:8]}"
        outer = sites[0] if len(sites) == 1 else several
        return outer if self.inner is None else f"{outer}+{self.inner}"

    def assign(self, table: pd.DataFrame, seed: int) -> pd.Series:
        return _without_sites(table, self.sites, self.inner, self.val_fraction, seed)

    @property
    def sites(self) -> list[str]:
        """The held-out ones, in alphabetical order."""
        return sorted(map(str, [self.held_out] if isinstance(self.held_out, str) else self.held_out))


def _without_sites(
    table: pd.DataFrame, held_out: list[str], inner: str | None, fraction: float, seed: int
) -> pd.Series:
    """'test' for the held-out sites, or for `inner` alone, with 'unused' for them; the rest trains and validates."""
    left_out = held_out if inner is None else [*held_out, str(inner)]
    refuse_impossible(sorted(table[SITE].unique()), left_out)
    seen = table[~table[SITE].isin(left_out)]
    subjects = seen.groupby(SITE)[SUBJECT].nunique()
    if lonely := list(subjects[subjects < 2].index):
        raise UserError(
            f"training sites with a single subject: {', '.join(lonely)}; training and validation need "
            "one each: give every image its own subject, add subjects or leave the site out"
        )
    part = pd.Series("test", index=table.index)
    if inner is not None:
        part[table[SITE].isin(held_out)] = "unused"
    part[seen.index] = train_val(seen, fraction, seed)
    return part


def refuse_impossible(sites: list[str], left_out: list[str]) -> None:
    """Refuse to leave out what is no site, a site twice, none or all of them."""
    if len(sites) < 2:
        raise UserError(f"leave-one-site-out needs two sites, there is only {sites[0]!r}; use split=random")
    known = f"; sites: {', '.join(sites)}"
    if strange := [site for site in left_out if site not in sites]:
        raise UserError(f"held_out={strange[0]} is no site of the data{nearest(strange[0], sites)}{known}")
    if not left_out or len(set(left_out)) < len(left_out) or set(left_out) == set(sites):
        asked = ", ".join(left_out) or "none"
        raise UserError(f"sites to leave out: {asked}; name each once, and keep some to train on{known}")


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
            part[train.index] = train_val(train, self.val_fraction, seed)
        return part


@dataclass(frozen=True)
class Random:
    """Train and validation only, for data of one site."""

    val_fraction: float = 0.2
    name: str = "random"

    def assign(self, table: pd.DataFrame, seed: int) -> pd.Series:
        return train_val(table, self.val_fraction, seed)


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
        for subject in drawn_order(sizes, "folds"):
            member[subject] = filled.index(min(filled))
            filled[member[subject]] += sizes[subject]
        tested = [member[subject] == self.fold for subject in zip(table[SITE], table[SUBJECT], strict=True)]
        part = pd.Series("test", index=table.index)
        rest = table[~pd.Series(tested, index=table.index)]
        part[rest.index] = train_val(rest, self.val_fraction, seed)
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
                drawn = {subject: sizes[subject] for subject in drawn_order(sizes, f"{seed} {name}")[:-1]}
                target = round(fraction * len(rows))
                if target and drawn:
                    chosen = closest_subset(drawn, target)
                    part[rows.index[rows_of(rows, chosen)]] = name
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
