"""Audit of near-duplicate images under different subjects, which would leak from training to test images."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ushydra_lab.audit.descriptor import MIRROR, Floats, similarity
from ushydra_lab.audit.flags import Finding, Flag
from ushydra_lab.audit.neighbours import ALIKE, Pairs, similar_pairs
from ushydra_lab.data import checks
from ushydra_lab.data.vocabulary import PART, SITE, SUBJECT

SIMILAR = 0.94
BLOCK = 1024

METHOD = (
    "Low frequencies of thumbnails (as in pHash), also mirrored. Pairs of different subjects whose correlation, "
    f"without what all images have in common, is at least {ALIKE:g}, are fitted to each other by a small shift and "
    f"stretch; flagged where the correlation is then at least {SIMILAR:g}. Copies that were re-encoded, rescaled, "
    "brightened, mirrored or cropped by 2 % reach 0.96; different images of one plane and machine up to 0.92. Files "
    "with equal bytes are problems, not listed here again."
)


def audit(table: pd.DataFrame, descriptors: NDArray[np.float16]) -> Finding:
    """Pairs of images of different subjects that are nearly the same, across sites and parts first."""
    subject = np.asarray(table.groupby([SITE, SUBJECT], sort=False, dropna=False).ngroup(), np.intp)
    first = ~table["sha256"].duplicated().to_numpy() & descriptors.any(axis=1)
    distinct = np.where(first[:, None], descriptors, np.float16(0))
    best: dict[tuple[int, int], tuple[float, bool]] = {}
    for mirrored in (False, True):
        for pair, value in _verified(distinct, subject, mirrored).items():
            best[pair] = max(best.get(pair, (0.0, False)), (value, mirrored))
    order = sorted(best, key=lambda pair: (not _crosses(table, *pair), -best[pair][0], pair))
    flags = [Flag(_text(table, *pair, *best[pair]), pair) for pair in order]
    return Finding("near_duplicates", "Near-duplicates of different subjects", METHOD, flags)


def _verified(
    descriptors: NDArray[np.float16], subject: NDArray[np.intp], mirrored: bool
) -> dict[tuple[int, int], float]:
    """Pair -> similarity, of pairs that are similar enough."""
    pairs = [*similar_pairs(descriptors, subject, mirrored)]
    if not pairs:
        return {}
    distinct = np.unique(np.concatenate(pairs), axis=0)
    values = _similarities(descriptors, distinct, mirrored)
    kept = values >= SIMILAR
    return {(int(a), int(b)): float(value) for (a, b), value in zip(distinct[kept], values[kept], strict=True)}


def _similarities(descriptors: NDArray[np.float16], pairs: Pairs, mirrored: bool) -> Floats:
    sign = MIRROR if mirrored else np.float32(1)
    values = [np.empty(0, np.float32)]
    for start in range(0, len(pairs), BLOCK):
        one, other = descriptors[pairs[start : start + BLOCK].T].astype(np.float32)
        values.append(similarity(one, other * sign))
    return np.concatenate(values)


def _crosses(table: pd.DataFrame, one: int, other: int) -> bool:
    """Whether the pair is of two sites or two parts."""
    return any(a != b for column, (a, b) in _groups(table, one, other) if column != SUBJECT)


def _groups(table: pd.DataFrame, one: int, other: int) -> list[tuple[str, tuple[str, str]]]:
    """(column, its two values)."""
    columns = [column for column in (SITE, PART, SUBJECT) if column in table]
    return [(column, (str(table[column].iat[one]), str(table[column].iat[other]))) for column in columns]


def _text(table: pd.DataFrame, one: int, other: int, value: float, mirrored: bool) -> str:
    where = [f"{c}s {a or '(none)'} and {b or '(none)'}" for c, (a, b) in _groups(table, one, other) if a != b]
    same = "is mirrored" if mirrored else "is nearly the same"
    places = f"{checks.place(table, one)} {same} in {checks.place(table, other)}"
    return f"{places}: {', '.join(where)}; similarity {value:.3f}"
