"""How often these runs' tables would show a star if no method differed from another: measured by simulation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import binomtest

from ushydra_lab.results.crossed import KEYS, contributions, freedom, squared_bound
from ushydra_lab.results.family import ALPHA, SUBJECTS

Floats = NDArray[np.float64]
CHUNK = 50


@dataclass(frozen=True)
class Layout:
    """The runs of one held-out site, as a simulation needs them.

    means, counts: (methods, metrics, seeds, subjects) mean over the images of a subject, and how many they are; the
    same images of every method. by_seed, by_subject, by_both: factors F of covariances F F' of one seed, one subject
    and one seed's treatment of one subject, between all methods' metrics in this order.
    """

    means: Floats
    counts: Floats
    by_seed: Floats
    by_subject: Floats
    by_both: Floats

    @property
    def testable(self) -> bool:
        return self.counts.shape[2] > 1 and self.counts.shape[3] > 1


@dataclass(frozen=True)
class Rate:
    """How many of some tables had a star, and the share's 95 % interval (Clopper and Pearson)."""

    starred: int
    tables: int

    @property
    def share(self) -> float:
        return self.starred / self.tables if self.tables else np.nan

    @property
    def interval(self) -> tuple[float, float]:
        if not self.tables:
            return np.nan, np.nan
        ends = binomtest(self.starred, self.tables).proportion_ci()
        return float(ends.low), float(ends.high)


def layout(images: pd.DataFrame, methods: Sequence[str], metrics: Sequence[str]) -> Layout:
    """Variances and numbers of one site's runs: of the seeds that all methods have, and the images of all of them.

    A metric that fewer than two seeds or two subjects have is left out.
    """
    seeds = sorted(set.intersection(*(set(images.loc[images["method"] == name, "seed"]) for name in methods)))
    chosen = images[images["seed"].isin(seeds) & images["method"].isin(methods)]
    keys = [key for key in KEYS if key in images]
    subjects = pd.MultiIndex.from_frame(chosen[["site", "subject"]].drop_duplicates().sort_values(["site", "subject"]))
    grid = pd.MultiIndex.from_tuples(
        [(seed, *who) for seed in seeds for who in subjects], names=["seed", *subjects.names]
    )
    shape = len(methods), len(metrics), len(seeds), len(subjects)
    totals, counts = np.zeros(shape), np.zeros(shape)
    for j, metric in enumerate(metrics):
        wide = chosen.pivot_table(index=keys, columns="method", values=metric)[list(methods)].dropna()
        cells = wide.groupby(["seed", "site", "subject"])
        totals[:, j] = cells.sum().reindex(grid).fillna(0).to_numpy().T.reshape(len(methods), *shape[2:])
        counts[:, j] = cells.size().reindex(grid).fillna(0).to_numpy().reshape(shape[2:])
    known = ((counts[0].sum(2) > 0).sum(1) > 1) & ((counts[0].sum(1) > 0).sum(1) > 1)
    return layout_of(totals[:, known], counts[:, known])


def layout_of(totals: Floats, counts: Floats) -> Layout:
    """Estimate covariances by the analysis of variance from sums (methods, metrics, seeds, subjects) and counts."""
    flat, number = (x.reshape(-1, *totals.shape[2:]) for x in (totals, counts))
    means = np.divide(totals, counts, out=np.zeros_like(totals), where=counts > 0)
    none = np.zeros((len(flat), len(flat)))
    if not len(flat) or min(totals.shape[2:]) < 2:
        return Layout(means, counts, none, none, none)
    seeds, subjects, rest = contributions(flat, number)
    weights = number / number.sum((1, 2), keepdims=True)
    residual = np.einsum("asj,bsj->ab", rest, rest)
    parts = (seeds @ seeds.T - residual, weights.sum(2)), (subjects @ subjects.T - residual, weights.sum(1))
    units = [_factor(part, weight) for part, weight in (*parts, (residual, weights.reshape(len(flat), -1)))]
    return Layout(means, counts, *units)


def _factor(of_mean: Floats, weights: Floats) -> Floats:
    """F with F F' the covariance of single units, from that of their means with weights (variables, units)."""
    scale = np.sqrt((weights**2).sum(1))
    values, vectors = np.linalg.eigh(of_mean / np.outer(scale, scale))
    return vectors * np.sqrt(np.clip(values, 0, None))


def false_positives(
    layouts: Sequence[Layout], pairs: Sequence[tuple[int, int]], tables: int = 2000, seed: int = 0
) -> Rate:
    """Simulate tables without any effect from the layouts of all held-out sites, and count those with a star.

    pairs: the methods that are compared, by their place. One family of all pairs, metrics and sites. Whole tables are
    drawn, so that a seed's effect is shared by all subjects as it is in the runs.
    """
    usable = [one for one in layouts if one.testable and one.counts.shape[3] >= SUBJECTS]
    family = len(pairs) * sum(one.counts.shape[1] for one in layouts if one.testable)
    rng, starred = np.random.default_rng(seed), 0
    for start in range(0, tables, CHUNK):
        number = min(CHUNK, tables - start)
        found = np.zeros(number, bool)
        for one in usable:
            found |= _starred(_drawn(one, rng, number), one.counts[0], pairs, ALPHA / family)
        starred += int(found.sum())
    return Rate(starred, tables)


def _drawn(one: Layout, rng: np.random.Generator, tables: int) -> Floats:
    """Means (tables, methods, metrics, seeds, subjects) of methods that do not differ."""
    methods, metrics, seeds, subjects = one.counts.shape
    size = methods * metrics
    by_seed = rng.standard_normal((tables, seeds, 1, size)) @ one.by_seed.T
    by_subject = rng.standard_normal((tables, 1, subjects, size)) @ one.by_subject.T
    by_both = rng.standard_normal((tables, seeds, subjects, size)) @ one.by_both.T
    values = np.moveaxis(by_seed + by_subject + by_both, -1, 1)
    return values.reshape(tables, methods, metrics, seeds, subjects)


def _starred(means: Floats, counts: Floats, pairs: Sequence[tuple[int, int]], alpha: float) -> NDArray[np.bool_]:
    """Which tables (first axis) have a comparison whose p is below alpha: `crossed.Effect.p` for many at once."""
    n = counts.sum((-2, -1))
    weights = counts / n[:, None, None]
    freedoms = [np.array([freedom(one.sum(axis)) for one in weights]) for axis in (1, 0)]
    found = np.zeros(len(means), bool)
    for b, a in pairs:
        totals = (means[:, b] - means[:, a]) * counts
        seeds, subjects, rest = contributions(totals, counts)
        residual = (rest**2).sum((-2, -1))
        variances = np.maximum((seeds**2).sum(-1), residual), (subjects**2).sum(-1) - residual
        square = (totals.sum((-2, -1)) / n) ** 2
        found |= ((square > squared_bound(variances, (freedoms[0], freedoms[1]), alpha)) & (square > 0)).any(-1)
    return found


def relabelled(one: Layout, repeats: int = 200, seed: int = 0) -> Rate:
    """A check without any model: each method against itself, half of its seeds called another method.

    Whole seeds are relabelled, so that what a seed does to all subjects stays together; flipping signs within a seed
    would erase it. Needs four seeds; no tables of fewer. Tables share seeds, so that they are no independent trials.
    """
    methods, metrics, seeds, _ = one.counts.shape
    half = seeds // 2
    if half < 2:
        return Rate(0, 0)
    rng, starred = np.random.default_rng(seed), 0
    for _ in range(repeats):
        order = rng.permutation(seeds)
        first, second = (one.means[:, :, rows] for rows in (order[:half], order[half : 2 * half]))
        counts = np.minimum(*(one.counts[:, :, rows] for rows in (order[:half], order[half : 2 * half])))
        halves = np.stack([first, second]).reshape(1, 2, methods * metrics, half, -1)
        flat = counts.reshape(methods * metrics, half, -1)
        starred += int(_starred(halves, flat, [(1, 0)], ALPHA / (methods * metrics))[0])
    return Rate(starred, repeats)
