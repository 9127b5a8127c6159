"""Does a difference between two methods depend on who the subjects are: groups, and the interaction with each."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ushydra_lab.results.crossed import Common, contributions, freedom, half_width, two_sided

FEWEST = 5
"""Groups of fewer subjects are shown together with other such ones or not at all: they could tell who somebody is."""
UNKNOWN, SMALL = "not given", f"groups of fewer than {FEWEST} subjects"
TERTILES = 3
CONTRAST = np.array([-1.0, 1.0, 1.0, -1.0])


@dataclass(frozen=True)
class Interaction:
    """How a change from method a to b differs between a group and all other images, of the seeds that both have.

    inside, outside: the changes; difference: the one minus the other, with its 95 % interval and two-sided p. NaN
    where there are fewer than two seeds, or than two subjects inside or outside.
    """

    inside: float
    outside: float
    low: float
    high: float
    p: float

    @property
    def difference(self) -> float:
        return self.inside - self.outside


def interaction(a: pd.DataFrame, b: pd.DataFrame, metric: str, inside: pd.Series) -> Interaction:
    """Compare the change from a to b in a group with that in all other images, by seeds crossed with subjects.

    a, b: two methods' per-image tables, as of `crossed.effect`. inside: whether each record (the index) is in the
    group. Four means, of a and b inside and outside, with their covariances over seeds and subjects, so that a subject
    may have images in both; the subjects' degrees of freedom are those of the side that has fewer.
    """
    pairs = Common(a, b).of(metric)
    pairs = pairs.assign(inside=pairs["record"].map(inside).astype(bool))
    cells = pairs.groupby(["inside", "seed", "site", "subject"])[["a", "b", "n"]].sum()
    wide = cells.unstack(["site", "subject"]).fillna(0)
    sides = [wide.loc[side] for side in (True, False) if side in wide.index.get_level_values("inside")]
    if len(sides) < 2 or not sides[0].index.equals(sides[1].index):
        return Interaction(np.nan, np.nan, np.nan, np.nan, np.nan)
    totals = np.stack([side[of].to_numpy(float) for side in sides for of in ("a", "b")])
    counts = np.stack([side["n"].to_numpy(float) for side in sides for _ in range(2)])
    means = totals.sum((1, 2)) / counts.sum((1, 2))
    changes = float(means[1] - means[0]), float(means[3] - means[2])
    of_subjects = [side["n"].to_numpy(float).sum(0) for side in sides]
    if counts.shape[1] < 2 or min((weights > 0).sum() for weights in of_subjects) < 2:
        return Interaction(*changes, np.nan, np.nan, np.nan)
    seeds, subjects, rest = (np.tensordot(CONTRAST, part, 1) for part in contributions(totals, counts))
    variances = float((seeds**2).sum()), max(float((subjects**2).sum() - (rest**2).sum()), 0.0)
    fewer = min(freedom(weights[weights > 0] / weights.sum()) for weights in of_subjects)
    freedoms = min(freedom(side["n"].to_numpy(float).sum(1) / side["n"].to_numpy().sum()) for side in sides), fewer
    difference = changes[0] - changes[1]
    half = half_width(variances, freedoms, 0.05)
    return Interaction(*changes, difference - half, difference + half, two_sided(difference, variances, freedoms))


def grouped(images: pd.DataFrame, column: str) -> pd.Series:
    """The group of each record (the index), as tables name it; records of groups that may not be shown are left out.

    Texts are groups as they are; numbers of more than three different values are parted into tertiles of the records.
    Groups of fewer than FEWEST subjects are one, if that has so many.
    """
    once = images.drop_duplicates("record").set_index("record")
    named = _named(once[column])
    counts = once.assign(group=named).drop_duplicates(["site", "subject", "group"])["group"].value_counts()
    named = named.where(named.map(counts) >= FEWEST, SMALL)
    together = once[named == SMALL].drop_duplicates(["site", "subject"])
    return named if len(together) >= FEWEST else named[named != SMALL]


def _named(values: pd.Series) -> pd.Series:
    texts = values.fillna("").astype(str)
    known = texts[texts != ""]
    numbers = pd.to_numeric(known, errors="coerce")
    if numbers.isna().any() or not np.isfinite(numbers).all() or numbers.nunique() <= TERTILES:
        return texts.replace("", UNKNOWN)
    low, high = np.quantile(numbers, [1 / TERTILES, 2 / TERTILES])
    words = [f"up to {low:.4g}", f"above {low:.4g} to {high:.4g}", f"above {high:.4g}"]
    places = np.searchsorted([low, high], numbers)
    return pd.Series([words[place] for place in places], known.index).reindex(texts.index).fillna(UNKNOWN)
