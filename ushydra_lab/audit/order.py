"""Audit of the order of a diameter's two ends, and of the rows that break their site's order (landmark paper)."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.stats import entropy

from ushydra_lab.audit.flags import Finding, Flag, by_site, positions
from ushydra_lab.audit.outliers import LEAST, Floats
from ushydra_lab.data import checks

COIN_FLIP = 0.5  # bits; a convention that one row in nine breaks
CLEAR = 0.5  # cosine to the most frequent direction: diameters across it may begin at either end
HARMLESS = "puts them in one order by itself (+stages.train.task.order=canonical, the default: docs/settings.md)"

METHOD = (
    "Whether the first end lies on the same side of the second in every row, along the direction these diameters have "
    f"most often. Flagged above {COIN_FLIP:g} bits: heatmaps trained on such ends get two peaks. Where a site's own "
    "rows stay below, those with their ends the other way round are flagged, if within "
    f"{np.degrees(np.arccos(CLEAR)):.0f}° of that direction. Harmless in training, which {HARMLESS}."
)


def audit(table: pd.DataFrame, diameters: Mapping[str, Floats]) -> Finding:
    """diameters: name -> from the first to the second end, (N, 2), NaN where there is none."""
    few, said = [], []
    whole: list[Flag] = []
    single: list[Flag] = []
    for name, vectors in diameters.items():
        given = ~np.isnan(vectors.sum(axis=1))
        if given.sum() < LEAST:
            few.append(f"{name}: {given.sum()} rows, {LEAST} are needed")
            continue
        bits, share = order_entropy(vectors[given])
        most = f"{100 * max(share, 1 - share):.0f} % of {given.sum()} rows"
        text = f"{name}: the second end on one side of the first in {most}; {bits:.2f} bits"
        said.append(text)
        cosines = _along(vectors)
        sites = {site: rows for site, own in by_site(table).items() if len(rows := own[given[own]]) >= LEAST}
        shares = {site: float((cosines[rows] > 0).mean()) for site, rows in sites.items()}
        if bits > COIN_FLIP:
            whole.append(Flag(f"{text}: {_why(shares, share)}; harmless in training, which {HARMLESS}"))
        for site, rows in sites.items():
            single += _turned(table, rows, cosines[rows], f"of {site}: {name}")
    finding = Finding("end_point_order", "Order of end points", METHOD, [*whole, *single])
    return replace(finding, skipped="; ".join(few), summary="; ".join(said))


def order_entropy(vectors: Floats) -> tuple[float, float]:
    """Order statistics of vectors (N, 2) from the first to the second end.

    Entropy (bits) of the side that the second end lies on, along the most frequent direction; the share of one of the
    two sides.
    """
    share = float((_along(vectors) > 0).mean())
    return _bits(share), share


def _along(vectors: Floats) -> Floats:
    """Cosine of each vector to the direction most frequent, whichever way it points; NaN for NaN."""
    angle = np.arctan2(vectors[:, 1], vectors[:, 0])
    cosines: Floats = np.cos(angle - np.angle(np.nanmean(np.exp(2j * angle))) / 2)
    return cosines


def _bits(share: float) -> float:
    return float(entropy([share, 1 - share], base=2))


def _why(shares: dict[str, float], share: float) -> str:
    if len(shares) > 1 and all(_bits(own) <= COIN_FLIP for own in shares.values()):
        listed = ", ".join(f"{100 * own:.0f} % of {site}" for site, own in shares.items())
        return f"sites have opposite orders (the second end on one side in {listed})"
    return "a coin flip" if abs(share - 0.5) < 0.1 else "no convention holds"


def _turned(table: pd.DataFrame, rows: np.ndarray, cosines: Floats, what: str) -> Iterator[Flag]:
    """Rows of one site with their ends clearly the other way round than most; none where most have no order."""
    usual = float((cosines > 0).mean())
    if _bits(usual) > COIN_FLIP:
        return
    turned = ((cosines > 0) != (usual > 0.5)) & (np.abs(cosines) > CLEAR)
    for i in positions(turned):
        text = f"{what} the other way round than in {100 * max(usual, 1 - usual):.0f} % of the rows"
        yield Flag(f"{checks.place(table, int(rows[i]))} {text}", (int(rows[i]),))
