"""Audit of masks that differ from the others: structures with exchanged colours, misplaced, empty or shifted."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from ushydra_lab.audit.features import Features
from ushydra_lab.audit.flags import Finding, Flag, by_site, positions
from ushydra_lab.audit.outliers import EXPECTED, LEAST, Floats, RobustCovariance
from ushydra_lab.data import checks

FLOORS = np.array([0.2, 0.05, 0.05, 0.02])  # of log area, centroid x and y, extent: always allowed
FRAGMENTS = 5  # pieces more than the median
EXCHANGED = "exchanged colours?"
CORNERS = 0.9  # share of a site's masks with a structure in all corners that nobody's anatomy has
SHIFTED, GAIN = 0.08, 1.0  # of the image; standard deviations over shifts
FOLLOWING = 0.75  # share of masks that must lie on the edges where they are, for the others to be suspicious

METHOD = (
    "Of each structure the area (logarithm, of all structures together), centroid and extent within the box around all "
    "of them; area and centroid of the foreground as a whole in the image. Flagged: a robust Mahalanobis distance "
    f"(minimum covariance determinant) beyond the {EXPECTED}; more than {FRAGMENTS} pieces above the median; empty "
    "masks. Colours count as exchanged where a structure lies beyond the limit as what it is, within it as another."
)
BACKGROUND_METHOD = (
    "A structure that covers all four corners of the mask, and so is the background: sites of which "
    f"{100 * CORNERS:g} % of the masks are like that."
)
SHIFT_METHOD = (
    f"The outline is moved over the edges of the image by up to 25 %: flagged where it fits best more than "
    f"{100 * SHIFTED:g} % away, by at least {GAIN:g} standard deviation over all shifts. Only where "
    f"{100 * FOLLOWING:g} % of the masks fit best where they are."
)


def audit(table: pd.DataFrame, seen: Features) -> list[Finding]:
    """Shapes and places of structures, and whether masks lie on their images; nothing for data without masks."""
    if np.isnan(seen.whole).all():
        return []
    return [_background(table, seen), _shapes(table, seen), _shifts(table, seen)]


def _background(table: pd.DataFrame, seen: Features) -> Finding:
    given = np.isfinite(seen.whole[:, 0])
    flags = []
    for site, rows in by_site(table).items():
        own = rows[given[rows]]
        for k, name in enumerate(seen.structures, 1):
            covered = int((seen.corners[own] == k).sum())
            if covered and covered >= CORNERS * len(own):
                flags.append(
                    Flag(
                        f"site {site}: {name} covers all four corners of {covered} of {len(own)} masks: it looks like "
                        f"their background; give {name} the value of what is inside, and make the background black"
                    )
                )
    return Finding("mask_background", "Structures that look like the background", BACKGROUND_METHOD, flags)


def _shapes(table: pd.DataFrame, seen: Features) -> Finding:
    shapes = seen.shapes.astype(float)
    parts = {name: _logged(shapes[:, k, :4]) for k, name in enumerate(seen.structures)}
    measures = parts | {"foreground": _logged(seen.whole.astype(float))}
    spreads = {
        name: RobustCovariance(rows, FLOORS[: rows.shape[1]])
        for name, rows in measures.items()
        if _count(rows) >= LEAST
    }
    texts: dict[int, list[str]] = {row: ["mask is empty"] for row in positions(seen.whole[:, 0] == 0)}
    for name, spread in spreads.items():
        squared = spread.squared(measures[name])
        for row in positions(squared > spread.limit):
            others = {other: spreads[other] for other in parts if other in spreads and other != name}
            like = _likeness(measures[name][row], others) if name in parts else ""
            text = f"{name} is unlike elsewhere in size or place (robust distance {np.sqrt(squared[row]):.1f}){like}"
            texts.setdefault(row, []).append(text)
    for k, name in enumerate(seen.structures):
        for row, pieces in _fragmented(shapes[:, k, 4]):
            texts.setdefault(row, []).append(f"{name} is in {pieces} pieces")
    ordered = sorted(texts, key=lambda row: (EXCHANGED not in str(texts[row]), -len(texts[row]), row))
    flags = [Flag(f"{checks.place(table, row)}: {', '.join(texts[row])}", (row,)) for row in ordered]
    counts = {name: _count(rows) for name, rows in measures.items() if name not in spreads}
    few = [f"{name}: {count} masks, {LEAST} are needed" for name, count in counts.items()]
    return Finding("masks", "Implausible masks", METHOD, flags, skipped="; ".join(few))


def _logged(measures: Floats) -> Floats:
    """The first column (an area) as its logarithm."""
    area = np.where(measures[:, :1] > 0, measures[:, :1], np.nan)
    return np.concatenate([np.log(area), measures[:, 1:]], axis=1)


def _count(rows: Floats) -> int:
    return int(np.isfinite(rows).all(axis=1).sum())


def _likeness(measure: Floats, others: dict[str, RobustCovariance]) -> str:
    """Which other structure it would pass for."""
    distances = {name: float(spread.squared(measure[None])[0]) for name, spread in others.items()}
    fitting = [name for name, distance in distances.items() if distance <= others[name].limit]
    return f", but like {min(fitting, key=distances.__getitem__)}: {EXCHANGED}" if fitting else ""


def _fragmented(pieces: Floats) -> Iterator[tuple[int, int]]:
    present = pieces > 0
    if present.any():
        for row in positions(pieces > np.median(pieces[present]) + FRAGMENTS):
            yield row, int(pieces[row])


def _shifts(table: pd.DataFrame, seen: Features) -> Finding:
    title = "Masks that fit better elsewhere"
    x, y, gain = seen.shift.astype(float).T
    away = np.hypot(x, y)
    given = int(np.isfinite(away).sum())
    following = float((away[np.isfinite(away)] <= SHIFTED).mean()) if given else 0.0
    if given < LEAST or following < FOLLOWING:
        reason = f"{given} masks, {100 * following:.0f} % of them fit best where they are"
        return Finding("mask_shift", title, SHIFT_METHOD, skipped=reason)
    rows = sorted(positions((away > SHIFTED) & (gain > GAIN)), key=lambda row: -gain[row])
    flags = [
        Flag(
            f"{checks.place(table, row)}: the mask's outline fits the image's edges better when moved by "
            f"{100 * x[row]:+.0f} % of the width and {100 * y[row]:+.0f} % of the height (by {gain[row]:.1f} SD)",
            (int(row),),
        )
        for row in rows
    ]
    return Finding("mask_shift", title, SHIFT_METHOD, flags, summary=f"{100 * following:.1f} % of {given} fit in place")
