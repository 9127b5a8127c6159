"""Simulated tables of comparisons, with and without effects, and the tests that were considered for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t, wilcoxon

from ushydra_lab.results.crossed import contributions, freedom, squared_bound
from ushydra_lab.results.family import ALPHA

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
METRICS, CORRELATION, NOISE, CHUNK = 6, 0.5, 0.5, 250
"""Metrics of a table and their correlation; SD of an image's noise over that of subjects; tables drawn at once."""
CLUSTERED = np.tile([1, 2, 3, 4, 5, 6], 10)
LAYOUTS = {"one site": [CLUSTERED], "three sites": [CLUSTERED[:36], CLUSTERED[:16], CLUSTERED[:8]]}
"""Images of each subject of each held-out site: 60 subjects, or 36, 16 and 8."""
ALL_PAIRS = 5


@dataclass(frozen=True)
class Tables:
    """How tables are simulated: a control and `arms` other methods, each trained with every seed.

    A case is (seed_sd, response): SD of a seed's effect on a method, and of what a method does to a subject beyond its
    mean effect, over that of subjects. unstable: seeds move the first arm by this much instead. gain: of the first arm,
    in SD of subjects. heavy: image noise with gross failures, of Student's t with 3 degrees of freedom.
    """

    arms: int
    seeds: int
    sites: Sequence[NDArray[np.int64]] = field(default_factory=lambda: LAYOUTS["one site"])
    unstable: float | None = None
    gain: float = 0.0
    heavy: bool = False

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """As a report has them: all of few methods, each against the control of many."""
        methods = self.arms + 1
        every = [(b, a) for a, b in combinations(range(methods), 2)]
        return every if methods <= ALL_PAIRS else [(b, 0) for b in range(1, methods)]

    @property
    def family(self) -> int:
        return len(self.pairs) * METRICS * len(self.sites)


@dataclass(frozen=True)
class Parts:
    """What the tests need of comparisons (tables, metrics): the change, what seeds and subjects add, the residual.

    per_subject: (tables, metrics, subjects) differences; pooled: of seeds, over all methods of the table.
    """

    change: Floats
    seeds: Floats
    subjects: Floats
    residual: Floats
    freedoms: tuple[float, float]
    per_subject: Floats
    pooled: Floats
    pooled_freedom: float


def drawn(
    what: Tables, cases: Sequence[tuple[float, float]], tables: int, seed: int = 0
) -> Iterator[tuple[tuple[float, float], int, tuple[int, int], Parts]]:
    """(seed_sd, response) of a case, the number of the first table of a chunk, pair, and its comparisons.

    All cases share their random numbers: every part is linear, so that they are drawn once. Pairs of several sites come
    one after the other.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, tables, CHUNK):
        for counts in what.sites:
            yield from ((case, start, pair, part) for case, pair, part in _site(what, cases, counts, rng))


def _site(
    what: Tables, cases: Sequence[tuple[float, float]], counts: NDArray[np.int64], rng: np.random.Generator
) -> Iterator[tuple[tuple[float, float], tuple[int, int], Parts]]:
    methods, seeds, subjects = what.arms + 1, what.seeds, len(counts)
    weight = np.broadcast_to(counts.astype(float), (seeds, subjects))
    each = weight / weight.sum()
    freedoms = freedom(each.sum(1)), freedom(each.sum(0))
    drawn_parts = (
        _normal(rng, methods, seeds, 1),
        _normal(rng, methods, 1, subjects) / np.sqrt(2),
        _noise(rng, what.heavy, methods, seeds, subjects) * NOISE / np.sqrt(counts),
    )
    linear = [_Linear.of(part, weight) for part in drawn_parts]
    gain = what.gain * (np.arange(methods) == 1)
    for seed_sd, response in cases:
        scale = np.full(methods, seed_sd)
        if what.unstable is not None:
            scale[1] = what.unstable
        whole = linear[0].times(scale).plus(linear[1].times(np.full(methods, response))).plus(linear[2])
        means = whole.means + gain[:, None, None]
        aside = means - means.mean(1, keepdims=True) - means.mean(3, keepdims=True) + means.mean((1, 3), keepdims=True)
        pooled_freedom = (methods - 1) * max(seeds - 1, 1)
        pooled = 2 * (aside**2).sum((1, 3)) / pooled_freedom / seeds
        for b, a in what.pairs:
            change = (means[:, b] - means[:, a]).mean(-1)
            of_seeds, of_subjects = (((x[:, b] - x[:, a]) ** 2).sum(-1) for x in (whole.by_seed, whole.by_subject))
            residual = ((linear[2].rest[:, b] - linear[2].rest[:, a]) ** 2).sum((-2, -1))  # the other parts have none
            per_subject = whole.per_subject[:, b] - whole.per_subject[:, a] + (gain[b] - gain[a])
            yield (seed_sd, response), (b, a), Parts(
                change, of_seeds, of_subjects, residual, freedoms, per_subject, pooled, pooled_freedom
            )  # fmt: skip


@dataclass(frozen=True)
class _Linear:
    """What is linear in the values (tables, methods, metrics, seeds, subjects): `contributions`, and means over images
    (..., seeds) and over seeds (..., subjects)."""

    by_seed: Floats
    by_subject: Floats
    rest: Floats
    means: Floats
    per_subject: Floats

    @classmethod
    def of(cls, values: Floats, weight: Floats) -> _Linear:
        whole = np.broadcast_to(values, (*values.shape[:3], *weight.shape))
        means = (whole * (weight[0] / weight[0].sum())).sum(-1)
        return cls(*contributions(whole * weight, weight), means, whole.mean(-2))

    def times(self, scale: Floats) -> _Linear:
        """Each method's values scaled; of values without a rest."""
        by_method = scale[:, None, None]
        return replace(self, **{name: x * by_method for name, x in vars(self).items() if name != "rest"})

    def plus(self, other: _Linear) -> _Linear:
        return replace(self, **{name: x + getattr(other, name) for name, x in vars(self).items() if name != "rest"})


def _normal(rng: np.random.Generator, methods: int, seeds: int, subjects: int) -> Floats:
    """(tables, methods, metrics, seeds, subjects), metrics correlated."""
    shape = CHUNK, methods, METRICS, seeds, subjects
    shared = rng.standard_normal((CHUNK, methods, 1, seeds, subjects))
    return np.sqrt(CORRELATION) * shared + np.sqrt(1 - CORRELATION) * rng.standard_normal(shape)


def _noise(rng: np.random.Generator, heavy: bool, methods: int, seeds: int, subjects: int) -> Floats:
    normal = _normal(rng, methods, seeds, subjects)
    if not heavy:
        return normal
    return normal / np.sqrt(rng.chisquare(3, (CHUNK, methods, 1, seeds, subjects)))  # SD 1: variance of t is 3


def tests(found: Parts, alpha: float) -> dict[str, Flags]:
    """Which comparisons are significant at alpha: by the test of the lab first, then by those that were not taken."""
    square, (of_seeds, of_subjects) = found.change**2, found.freedoms
    seeds, subjects = found.seeds, np.maximum(found.subjects - found.residual, 0)
    floored = np.maximum(seeds, found.residual)
    whole = np.maximum(seeds + found.subjects - found.residual, np.maximum(seeds, found.subjects))
    satterthwaite = np.maximum(1, whole**2 / (seeds**2 / of_seeds + found.subjects**2 / of_subjects))
    grid = np.linspace(1, of_seeds + of_subjects + 1, 500)
    larger = np.maximum(found.pooled, seeds)
    quantiles = {freedom: t.isf(alpha / 2, freedom) ** 2 for freedom in (of_seeds, of_subjects, found.pooled_freedom)}
    pooled = quantiles[found.pooled_freedom]
    return {
        TAKEN: square > squared_bound((floored, found.subjects - found.residual), found.freedoms, alpha),
        "no floor": square > squared_bound((seeds, found.subjects - found.residual), found.freedoms, alpha),
        "own quantiles, residual twice": square > squared_bound((seeds, found.subjects), found.freedoms, alpha),
        "Satterthwaite's df": square > whole * np.interp(satterthwaite, grid, t.isf(alpha / 2, grid)) ** 2,
        "df = seeds - 1": square > whole * quantiles[of_seeds],
        "the smaller df": square > whole * max(quantiles[of_seeds], quantiles[of_subjects]),
        "seeds pooled over methods": square > pooled * found.pooled + quantiles[of_subjects] * subjects,
        "the larger of own and pooled": square > pooled * larger + quantiles[of_subjects] * subjects,
    }  # fmt: skip


TAKEN = "each variance its own quantile"
WILCOXON = "Wilcoxon of seed means (0.2.0)"


def wilcoxon_test(found: Parts, alpha: float) -> Flags:
    """The signed-rank test of the subjects' differences, averaged over seeds."""
    flat = found.per_subject.reshape(-1, found.per_subject.shape[-1])
    return np.asarray(wilcoxon(flat, axis=-1, method="asymptotic").pvalue < alpha).reshape(found.change.shape)


def false_stars(
    what: Tables, cases: Sequence[tuple[float, float]], tables: int, others: bool = False
) -> dict[tuple[float, float], dict[str, float]]:
    """Case -> test -> share of the tables with any star. Holm's first step is alpha / family."""
    hits: dict[tuple[float, float], dict[str, Flags]] = {case: {} for case in cases}
    for case, start, _, found in drawn(what, cases, tables):
        alpha = ALPHA / what.family
        chosen = tests(found, alpha) | ({WILCOXON: wilcoxon_test(found, alpha)} if others else {})
        for name, flags in chosen.items():
            hit = hits[case].setdefault(name, np.zeros(-(-tables // CHUNK) * CHUNK, bool))
            hit[start : start + CHUNK] |= flags.any(-1)
    return {case: {name: float(hit.mean()) for name, hit in by_test.items()} for case, by_test in hits.items()}


def found_effects(what: Tables, case: tuple[float, float], tables: int) -> dict[str, float]:
    """Test -> share of the first arm's comparisons with the control that have a star, after Holm's adjustment."""
    levels = [ALPHA / (what.family - step) for step in range(what.family)]
    passed: dict[str, list[Floats]] = {}
    for *_, found in drawn(what, [case], tables):
        steps: dict[str, Floats] = {}
        for step, alpha in enumerate(levels):
            for name, flags in (tests(found, alpha) | {WILCOXON: wilcoxon_test(found, alpha)}).items():
                first = steps.setdefault(name, np.full(flags.shape, np.inf))
                first[flags & ~np.isfinite(first)] = step
        for name, first in steps.items():
            passed.setdefault(name, []).append(first)
    pairs = what.pairs
    shares = {}
    for name, chunks in passed.items():
        whole = np.stack(chunks).reshape(-1, len(pairs), CHUNK, METRICS)
        first = np.moveaxis(whole, 2, 1).reshape(-1, len(pairs) * METRICS)
        kept = holm_steps(first).reshape(-1, len(pairs), METRICS)
        shares[name] = float(kept[:, pairs.index((1, 0))].mean())
    return shares


def holm_steps(first: Floats) -> Flags:
    """Which of the comparisons (tables, family) Holm's procedure finds, by the first step at which each would pass."""
    order = np.sort(first, axis=1)
    rejected = np.logical_and.accumulate(order <= np.arange(first.shape[1]), axis=1).sum(1)
    return first <= rejected[:, None] - 1


def worst(shares: Mapping[tuple[float, float], Mapping[str, float]], name: str) -> float:
    """The largest share over the cases."""
    return max(by_test[name] for by_test in shares.values())
