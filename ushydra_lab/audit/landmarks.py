"""Audit of the end points of head diameters: gross errors and exchanged diameters; also training weights from it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import chi2

from ushydra_lab.audit import order
from ushydra_lab.audit.flags import Finding, Flag
from ushydra_lab.audit.outliers import EXPECTED, LEAST, Floats, RobustCovariance
from ushydra_lab.data import checks
from ushydra_lab.data.vocabulary import ANNOTATIONS, Annotation, annotations

LEAST_ANGLE = 75.0  # degrees between the two diameters
MOST_APART = 0.15  # between the two midpoints, in lengths of the first diameter
RATIO = 0.6, 1.0  # BPD / OFD
CORE = 0.95  # χ² quantile
VISIBLE = 0.02  # of the first diameter: what annotators of the same image differ by
PAIRS = {"landmarks": ("OFD", "BPD"), "abdomen_landmarks": ("TAD", "APAD"), "femur_landmarks": ("FL",)}

METHOD = (
    "The eight coordinates with the ends in one order, freed of position, rotation and size: where the second diameter "
    "and its midpoint lie as seen from the first, in its lengths. Flagged: a robust Mahalanobis distance (minimum "
    f"covariance determinant; {100 * VISIBLE:g} % of the length is always allowed) beyond the {EXPECTED}; an angle "
    f"below {LEAST_ANGLE:g}°; midpoints more than {MOST_APART:g} lengths apart; BPD/OFD outside {RATIO[0]:g} to "
    f"{RATIO[1]:g}. Core: no flag, and within the χ² quantile {CORE:g}."
)


@dataclass(frozen=True, eq=False)
class Shape:
    """Shape statistics of two diameters in N rows. swapped: the two diameters were exchanged here.

    seen (N, 4): the second's midpoint, then the second itself, along and across the first; length: px of the first.
    """

    rows: np.ndarray
    seen: Floats
    length: Floats
    swapped: bool

    @classmethod
    def of(cls, ends: Floats, swappable: bool) -> "Shape":
        """Build from (N, 2 diameters, 2 ends, 2 coordinates), without rows that miss any or whose first is a point.

        swappable: the first is the longer diameter by definition; where most rows say otherwise the two are exchanged.
        """
        rows = np.flatnonzero(np.isfinite(ends).all(axis=(1, 2, 3)))
        lengths = np.linalg.norm(ends[rows, :, 1] - ends[rows, :, 0], axis=-1)
        swapped = swappable and bool((lengths[:, 1] > lengths[:, 0]).sum() > 0.5 * len(rows))
        ends, lengths = (ends[rows, ::-1], lengths[:, ::-1]) if swapped else (ends[rows], lengths)
        kept = lengths[:, 0] >= 1
        ends, length = ends[kept], lengths[kept, 0]
        first, second = np.moveaxis(ends[:, :, 1] - ends[:, :, 0], 1, 0)
        along = first / length[:, None] * np.where(first[:, :1] < 0, -1, 1)
        frame = np.stack([along, np.stack([-along[:, 1], along[:, 0]], axis=1)], axis=1)
        second = second * np.where(np.einsum("nd,nd->n", frame[:, 1], second) < 0, -1, 1)[:, None]
        apart = ends[:, 1].mean(axis=1) - ends[:, 0].mean(axis=1)
        seen = np.concatenate([np.einsum("nfd,nd->nf", frame, v) for v in (apart, second)], axis=1)
        return cls(rows[kept], seen / length[:, None], length, swapped)

    def statistics(self) -> pd.DataFrame:
        """ratio of the two lengths, angle between them (degrees), apart (midpoints, in lengths), by row; squared
        Mahalanobis distance, NaN where there are too few rows; core.
        """
        x, y, along, across = self.seen.T
        table = pd.DataFrame({"ratio": np.hypot(along, across), "apart": np.hypot(x, y)}, index=self.rows)
        table["angle"] = np.degrees(np.arctan2(across, np.abs(along)))
        if len(self.rows) < LEAST:
            return table.assign(distance=np.nan)
        spread = RobustCovariance(self.seen, np.full(4, VISIBLE))
        squared = spread.squared(self.seen)
        core = squared <= chi2.ppf(CORE, 4)
        return table.assign(distance=np.sqrt(squared), far=squared > spread.limit, core=core)


@dataclass(frozen=True)
class LabelWeights:
    """Weights of each row's OFD and BPD in training, by this audit of the training rows alone.

    flagged: weight of implausible rows, 0 to leave them out; doubtful: of those neither flagged nor core. With fewer
    rows than the robust distance needs, only the fixed limits flag.
    """

    flagged: float = 0.0
    doubtful: float = 1.0

    def __post_init__(self) -> None:
        """Raises ValueError."""
        if not (0 <= self.flagged <= 1 and 0 <= self.doubtful <= 1):
            raise ValueError(f"flagged={self.flagged} doubtful={self.doubtful}: weights lie between 0 and 1")

    def __call__(self, table: pd.DataFrame) -> Floats:
        """(N,) weights; 1 for rows without end points."""
        shown = Shape.of(ends_of(table, ANNOTATIONS["landmarks"]), swappable=True).statistics()
        weights = np.ones(len(table))
        if "core" in shown:
            weights[shown.index[~shown["core"]].to_numpy()] = self.doubtful
        weights[list(_reasons(shown, True, ("OFD", "BPD")))] = self.flagged
        return weights


def audit(table: pd.DataFrame) -> list[Finding]:
    """Shape of pairs of diameters, and the order of end points, of every kind of landmarks that the table has."""
    known = annotations(table.columns)
    given = [known[name] for name in PAIRS if name in known and set(known[name].columns) <= set(table)]
    shapes = [_shapes(table, a) for a in given if len(PAIRS[a.name]) == 2]
    return [*shapes, order.audit(table, diameters(table, given))] if given else []


def implausible(table: pd.DataFrame, annotation: Annotation) -> dict[int, list[str]]:
    """Position of the row -> what is implausible in its two diameters, the worst row first; empty for other kinds."""
    if len(names := PAIRS.get(annotation.name, ())) != 2:
        return {}
    head, (first, second) = annotation.name == "landmarks", names
    return _reasons(Shape.of(ends_of(table, annotation), swappable=head).statistics(), head, (first, second))


def label_flags(table: pd.DataFrame) -> pd.Series:
    """What is implausible in each row's OFD and BPD, '' for nothing; by all rows of the table."""
    reasons = implausible(table, ANNOTATIONS["landmarks"])
    return pd.Series([", ".join(reasons.get(row, ())) for row in range(len(table))], table.index, dtype=str)


def ends_of(table: pd.DataFrame, annotation: Annotation) -> Floats:
    """(N, diameters, 2 ends, x and y), px; NaN where there is none."""
    ends: Floats = table[list(annotation.columns)].to_numpy(float).reshape(len(table), -1, 2, 2)
    return ends


def diameters(table: pd.DataFrame, given: list[Annotation]) -> dict[str, Floats]:
    """Name -> from the first to the second end, (N, 2), px; NaN where there is none."""
    ends = {a.name: ends_of(table, a) for a in given}
    return {name: ends[a.name][:, k, 1] - ends[a.name][:, k, 0] for a in given for k, name in enumerate(PAIRS[a.name])}


def _shapes(table: pd.DataFrame, annotation: Annotation) -> Finding:
    first, second = PAIRS[annotation.name]
    head = annotation.name == "landmarks"
    shape = Shape.of(ends_of(table, annotation), swappable=head)
    shown = shape.statistics()
    reasons = _reasons(shown, head, (first, second))
    summary = f"{len(shown)} rows"
    if len(shown) and "core" in shown:
        core = int((shown["core"] & ~shown.index.isin(reasons)).sum())
        summary += (
            f", {core} of them core; angle {_quartiles(shown['angle'], '°')}, midpoints apart "
            f"{_quartiles(100 * shown['apart'], ' %')} of {first}, {second}/{first} {_quartiles(shown['ratio'], '')} "
            "(median and quartiles)"
        )
    if shape.swapped:
        longer = len(shown) - int((shown["ratio"] > 1).sum())
        summary += f"; {second} is longer than {first} in {longer} rows: judged with the two exchanged"
    flags = [
        Flag(f"{checks.place(table, row)}: {annotation.name} {', '.join(why)}", (row,)) for row, why in reasons.items()
    ]
    few = f"{len(shown)} rows: the robust distance needs {LEAST}; only fixed limits were applied"
    return Finding(
        annotation.name,
        f"Implausible {annotation.name.replace('_', ' ')}",
        METHOD,
        flags,
        skipped=few if len(shown) < LEAST else "",
        summary=summary,
    )


def _reasons(shown: pd.DataFrame, head: bool, names: tuple[str, str]) -> dict[int, list[str]]:
    """Position of the row -> what is implausible there; the row that is farthest from the others first."""
    first, second = names
    rules = {
        "apart from all others (robust distance {distance:.1f})": shown.get("far", shown["angle"] < 0),
        f"{first} and {second} meet at {{angle:.0f}}°": shown["angle"] < LEAST_ANGLE,
        f"midpoints are {{apart:.2f}} of {first} apart": shown["apart"] > MOST_APART,
    }
    if head:
        rules["BPD/OFD is {ratio:.2f}"] = (shown["ratio"] < RATIO[0]) | (shown["ratio"] > RATIO[1])
    found: dict[int, list[str]] = {}
    for text, broken in rules.items():
        for row in shown.index[broken]:
            found.setdefault(int(row), []).append(text.format(**shown.loc[row]))
    distance = shown["distance"].fillna(0)
    return dict(sorted(found.items(), key=lambda item: -distance[item[0]]))


def _quartiles(values: pd.Series, unit: str) -> str:
    low, middle, high = values.quantile([0.25, 0.5, 0.75])
    return f"{middle:.3g}{unit} ({low:.3g} to {high:.3g})"
