"""A claim that an experiment makes beforehand, and what its runs say to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from ushydra_lab.config.schema import Claim, Kind
from ushydra_lab.results.crossed import Effect
from ushydra_lab.results.power import Variances, detectable, power, seeds_needed, subjects_needed
from ushydra_lab.tasks.columns import Metric


class Measured(Protocol):
    """What a claim is judged by: an `Effect` at one site, or the mean `AcrossHospitals`."""

    @property
    def change(self) -> float: ...
    def interval(self, alpha: float = 0.05) -> tuple[float, float]: ...
    def p(self, null: float = 0.0) -> float: ...


def alpha_of(claim: Claim) -> float:
    """An interval at confidence 1 - alpha decides: 95 %, of equivalence 90 %, which is two tests at 5 % each."""
    return 0.1 if claim.kind is Kind.equivalence else 0.05


@dataclass(frozen=True)
class Judgement:
    """What runs say to a claim.

    holds: whether it is shown, None where nothing could be tested; refuted: whether the opposite is shown. gain, low,
    high: the change towards better and its interval at confidence 1 - `alpha_of(claim)`. p: two-sided for superiority,
    one-sided for non-inferiority (shown at 0.025), the larger of two one-sided ones for equivalence (shown at 0.05).
    """

    claim: Claim
    holds: bool | None
    refuted: bool
    gain: float
    low: float
    high: float
    p: float
    sentence: str


@dataclass(frozen=True)
class Need:
    """Power for the claim's margin, the change that is found with power 0.8, and what the margin needs for that.

    seeds: with the subjects there are; subjects: with the seeds there are; None where no number of them is enough.
    """

    power: float
    detectable: float
    seeds: int | None
    subjects: int | None
    sentence: str


def judge(claim: Claim, method: str, found: Measured, metric: Metric, testable: bool = True) -> Judgement:
    """Answer a claim about a method by its change against `claim.against`.

    Non-inferiority by the 95 % interval, as regulators ask; equivalence by two one-sided tests (D. J. Schuirmann,
    J. Pharmacokinet. Biopharm. 15, 1987).

    testable: whether there are seeds and subjects enough for a verdict, whatever the change (`results.answer`).
    """
    sign, margin = (1.0 if metric.better == "higher" else -1.0), claim.margin
    gain = sign * found.change
    low, high = sorted(sign * end for end in found.interval(alpha_of(claim)))
    if not testable or np.isnan([gain, low, high]).any():
        least = "two seeds and six subjects of each hospital"
        words = f"It could not be tested whether {_claimed(claim, method, metric)}: that takes {least}."
        return Judgement(claim, None, False, gain, np.nan, np.nan, np.nan, words)
    if claim.kind is Kind.equivalence:
        holds, refuted = -margin < low and high < margin, low > margin or high < -margin
    else:
        bound = 0.0 if claim.kind is Kind.superiority else -margin
        holds, refuted = low > bound, high < bound
    words = _answer(claim, method, metric, gain, (low, high), holds, refuted)
    return Judgement(claim, holds, refuted, gain, low, high, _p(claim, found, gain, sign), words)


def _p(claim: Claim, found: Measured, gain: float, sign: float) -> float:
    def above(bound: float) -> float:
        half = found.p(sign * bound) / 2
        return half if gain > bound else 1 - half

    if claim.kind is Kind.superiority:
        return found.p()
    worse = above(-claim.margin)
    return worse if claim.kind is Kind.non_inferiority else max(worse, 1 - above(claim.margin))


def _claimed(claim: Claim, method: str, metric: Metric) -> str:
    by = _amount(claim.margin, metric)
    relation = {
        Kind.superiority: f"is better than {claim.against}",
        Kind.non_inferiority: f"is not worse than {claim.against} by {by}",
        Kind.equivalence: f"differs from {claim.against} by less than {by}",
    }[claim.kind]
    return f"{method} {relation} in {metric.label}"


def _answer(
    claim: Claim, method: str, metric: Metric, gain: float, ends: tuple[float, float], holds: bool, refuted: bool
) -> str:
    """One sentence: shown, refuted or open, with the change, its interval, and for superiority the margin."""
    shown = "It is shown" if holds else "It is refuted" if refuted else "It is not shown"
    measured = f"{_towards(gain, metric)} ({100 * (1 - alpha_of(claim)):.0f} % interval {_between(*ends, metric)})"
    words = f"{shown} that {_claimed(claim, method, metric)}: {measured}"
    if not (holds and claim.kind is Kind.superiority and claim.margin):
        return f"{words}."
    by = _amount(claim.margin, metric)
    surely = "by more" if ends[0] > claim.margin else "perhaps by less"
    return f"{words}, {surely} than the margin of {by}."


def _towards(gain: float, metric: Metric) -> str:
    return f"{_amount(abs(gain), metric)} {'better' if gain > 0 else 'worse'}"


def _between(low: float, high: float, metric: Metric) -> str:
    """'0.1 to 0.3 better', '0.1 worse to 0.3 better'."""
    if low * high < 0:
        return f"{_towards(low, metric)} to {_towards(high, metric)}"
    near, far = sorted((low, high), key=abs)
    return f"{_amount(abs(near), metric)} to {_towards(far, metric)}"


def _amount(change: float, metric: Metric) -> str:
    if np.isinf(change):
        return "any amount"
    return f"{change:.{metric.change_digits}f}" + " %" * (metric.change == "%")


def need(claim: Claim, effect: Effect, metric: Metric) -> Need:
    """What the claim needs, from the variances of one site's runs; those of few seeds are uncertain themselves.

    Superiority if the true change is the margin, non-inferiority and equivalence if there is none.
    """
    if not effect.testable:
        return Need(0.0, np.inf, None, None, "One seed detects nothing: how another training would differ is unknown.")
    unit = float(effect.means[0]) / 100 if effect.relative else 1.0
    found, margin, within = Variances.of(effect), claim.margin * unit, claim.kind is Kind.equivalence
    reached = power(found, margin, effect.seeds, alpha_of(claim), within)
    least = detectable(found, effect.seeds, alpha_of(claim), within) / unit
    seeds = seeds_needed(found, margin, alpha_of(claim), within)
    subjects = subjects_needed(found, effect.subjects, margin, effect.seeds, alpha_of(claim), within)
    words = f"{effect.seeds} seeds detect {_amount(least, metric)} in {metric.label}; the margin of"
    if least <= claim.margin:
        more = "is larger."
    elif seeds:
        more = f"needs {seeds}."
    elif subjects:
        more = f"needs {subjects} subjects instead of {effect.subjects}, or more of both."
    else:
        more = "needs more seeds and more subjects."
    return Need(reached, least, seeds, subjects, f"{words} {_amount(claim.margin, metric)} {more}")
