"""`python -m tests.metrics.fit_nt_gate` prints the weights of the caliper's gate, from one half of the boxes.

Logistic regression with the signs that the features' descriptions imply. All kinds of boxes of a class weigh the same
but those of EMPHASIS; boxes of the NT and of the two structures most like it are also taken with misplaced edges. The
threshold is the middle of those at which, at native size, at least 95 % of the real NT boxes pass and at least 95 % of
the real boxes of other structures and of each kind of phantom box without an NT do not.
"""

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from ushydra_lab.metrics import caliper, nt_gate

from .nt_boxes import CANVASES, FITTED, Case, of_phantom, of_real, without_nt

SIGNS = {"streaks": -1, "slenderness": -1, "contrast": 1, "length": 1, "bright_line": -1, "faint_line": -1}
EMPHASIS = {"real nt": 3.0, "phantom left out": 2.0}
LIKE_NT = ("real nt", "real cm", "real it")
DECAY = 0.005
TARGET = 0.95


def cases(data: Path) -> list[Case]:
    """Both halves."""
    phantoms = [*of_phantom(11, 40), *without_nt("left out", 77, 34), *without_nt("speckle", 77, 34)]
    return [*of_real(data), *phantoms]


def described(chosen: list[Case]) -> pd.DataFrame:
    """Features of each box on both canvases; `jittered` ones have misplaced edges."""
    rows = []
    for number, case in enumerate(chosen):
        for jittered, one in enumerate(_jittered(case, number)):
            for canvas, size in CANVASES.items():
                image, box, _ = one.on(size)
                traced = caliper.traced(image, box)
                found = {name: float(value) for name, value in nt_gate.features(*traced[:-1]).items()}
                rows.append(
                    {"kind": case.kind, "half": case.half, "name": case.name, "canvas": canvas, "nt": case.has_nt}
                    | {"jittered": jittered > 0, "traced": int(traced[-1].sum()) >= caliper.MIN_COLUMNS}
                    | found
                )
    return pd.DataFrame(rows)


def _jittered(case: Case, number: int) -> Iterator[Case]:
    yield case
    if case.kind in LIKE_NT and case.half == FITTED:
        x1, y1, x2, y2 = case.box
        size = np.array([x2 - x1, 1.5 * (y2 - y1)] * 2)
        rng = np.random.default_rng([9, number])
        for _ in range(3):
            yield replace(case, box=tuple(np.array(case.box) + size * rng.uniform(-0.06, 0.06, 4)))


def fit(table: pd.DataFrame) -> tuple[dict[str, float], float]:
    """Weights and intercept; the score is positive where the gate opens. `table`: of the half that is fitted."""
    usable = table[table["traced"]]
    names = list(SIGNS)
    values = usable[names].to_numpy()
    mean, sd = values.mean(axis=0), values.std(axis=0)
    scaled, sign = (values - mean) / sd, np.where(usable["nt"], 1.0, -1.0)
    group = usable["kind"].where(usable["kind"].isin([*LIKE_NT, "real elsewhere"]) | ~_real(usable), "real others")
    weight = group.map(EMPHASIS).fillna(1.0) / group.groupby(group).transform("size")
    share = (weight / weight.groupby(usable["nt"]).transform("sum") / 2).to_numpy()

    def loss(b: np.ndarray) -> tuple[float, np.ndarray]:
        margin = sign * (scaled @ b[:-1] + b[-1])
        slope = -share * sign / (1 + np.exp(margin))
        decay = np.append(2 * DECAY * b[:-1], 0)
        return share @ np.logaddexp(0, -margin) + DECAY * (b[:-1] ** 2).sum(), np.append(
            scaled.T @ slope, slope.sum()
        ) + decay

    bounds = [(0, None) if SIGNS[name] > 0 else (None, 0) for name in names] + [(None, None)]
    found = minimize(loss, np.zeros(len(names) + 1), jac=True, bounds=bounds, method="L-BFGS-B").x[:-1] / sd
    weights = dict(zip(names, map(float, found), strict=True))
    return weights, -_threshold(table[~table["jittered"] & (table["canvas"] == "native")], weights)


def score(table: pd.DataFrame, weights: dict[str, float]) -> pd.Series:
    """Without the intercept; of a box in which nothing can be traced below all others."""
    return (table[list(weights)] @ pd.Series(weights)).where(table["traced"], -np.inf)


def _real(table: pd.DataFrame) -> pd.Series:
    return table["kind"].str.startswith("real ")


def _threshold(table: pd.DataFrame, weights: dict[str, float]) -> float:
    value = score(table, weights)
    levels = np.linspace(*value[np.isfinite(value)].quantile([0.01, 0.99]), 2000)
    refused = pd.DataFrame({level: value < level for level in levels})
    share = refused.groupby(_of_interest(table)).mean()
    good = (share.drop(index=["real nt", "phantom nt"]) >= TARGET).all() & (1 - share.loc["real nt"] >= TARGET)
    return float(np.mean(levels[good]))


def _of_interest(table: pd.DataFrame) -> pd.Series:
    """What the two rates are of."""
    other = _real(table) & ~table["kind"].isin(["real nt", "real elsewhere"])
    return table["kind"].mask(other, "real others")


if __name__ == "__main__":
    everything = described(cases(Path(sys.argv[1])))
    found, intercept = fit(everything[everything["half"] == FITTED])
    print({name: round(value, 3) for name, value in found.items()}, round(intercept, 3))
    plain = everything[~everything["jittered"]]
    plain = plain.assign(taken=score(plain, found) + intercept > 0)
    print(plain.groupby(["kind", "half", "canvas"])["taken"].agg(["sum", "size"]).unstack("canvas").to_string())
