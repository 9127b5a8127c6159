"""Drawing subjects: which of them validate, and orders that depend on nothing but the subjects themselves.

A subject is a (site, subject) pair. The draw orders subjects by a hash of (seed, site, subject), so it depends neither
on the held-out site nor on the order of rows nor on a library's generator.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable
from itertools import islice

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ushydra_lab.data.vocabulary import SITE, SUBJECT
from ushydra_lab.errors import UserError

EXACT = 4096


def train_val(table: pd.DataFrame, fraction: float, seed: int) -> pd.Series:
    """'train' or 'val' for every row: of all images a fraction, `round()`ed, validates, whole subjects.

    Each site keeps its largest subject to train on. Raises UserError where a part would be empty.
    """
    if not 0 < fraction < 1:
        raise UserError(f"val_fraction={fraction} must lie between 0 and 1, e.g. 0.15")
    target = round(fraction * len(table))
    sizes = Counter(zip(table[SITE], table[SUBJECT], strict=True))
    drawn = candidates(sizes, seed)
    if target == 0 or not drawn:
        raise UserError(
            f"{len(table)} training images of {len(sizes)} subjects leave nothing to validate on with "
            f"val_fraction={fraction}; add images or subjects, or raise split.val_fraction"
        )
    chosen = closest_subset({subject: sizes[subject] for subject in drawn}, target)
    return pd.Series("train", index=table.index).mask(rows_of(table, chosen), "val")


def rows_of(table: pd.DataFrame, subjects: Iterable[tuple[str, str]]) -> NDArray[np.bool_]:
    return pd.MultiIndex.from_frame(table[[SITE, SUBJECT]]).isin(list(subjects))


def candidates(sizes: dict[tuple[str, str], int], seed: int) -> list[tuple[str, str]]:
    """Subjects in drawn order, without each site's largest (of equals, the last drawn), which trains."""
    order = drawn_order(sizes, str(seed))
    kept: dict[str, tuple[str, str]] = {}
    for site, subject in order:
        if site not in kept or sizes[site, subject] >= sizes[kept[site]]:
            kept[site] = site, subject
    return [subject for subject in order if subject != kept[subject[0]]]


def drawn_order(subjects: Iterable[tuple[str, str]], seed: str) -> list[tuple[str, str]]:
    """In the order of a hash of seed, site and subject."""
    return sorted(subjects, key=lambda subject: hashlib.sha256("\0".join((seed, *subject)).encode()).hexdigest())


def closest_subset(sizes: dict[tuple[str, str], int], target: int) -> set[tuple[str, str]]:
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
