"""The answer of an experiment's finished runs to its claim: at one held-out site, or over all of them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from ushydra_lab.config.schema import Claim
from ushydra_lab.results.claim import Judgement, Need, judge, need
from ushydra_lab.results.collect import Collected
from ushydra_lab.results.crossed import Effect, effect
from ushydra_lab.results.family import SUBJECTS
from ushydra_lab.results.hospitals import AcrossHospitals, across_hospitals, is_hospital
from ushydra_lab.results.metrics import metrics_of
from ushydra_lab.tasks.columns import Metric


@dataclass(frozen=True)
class Answer:
    """What finished runs say to a claim.

    method, against: names of the methods in the tables. effects: what was held out -> the change there, in alphabetical
    order. across: over several held-out sites, else None. judgement: of `across`, else of the only effect. need: what
    the margin takes, for one site.
    """

    claim: Claim
    metric: Metric
    method: str
    against: str
    effects: dict[str, Effect]
    across: AcrossHospitals | None
    judgement: Judgement
    need: Need | None


@dataclass(frozen=True)
class Unanswered:
    """Why the runs say nothing to a claim."""

    claim: Claim
    why: str


def answer(claim: Claim, collected: Collected) -> Answer | Unanswered:
    """Answer a claim from the images of unseen sites, by each variant's last stage."""
    test = collected.images[collected.images["part"] == "test"]
    metric = metrics_of([claim.endpoint]).get(claim.endpoint)
    if metric is None or claim.endpoint not in test or not test[claim.endpoint].notna().any():
        return Unanswered(claim, f"no image of an unseen site has a value of {claim.endpoint}")
    methods = _last_methods(collected.stages)
    against = claim.against
    others = [variant for variant in methods if variant != against]
    variant = claim.method or (others[0] if len(others) == 1 else None)
    if variant is None and len(others) > 1:
        return Unanswered(claim, f"it names no method (claim.method), and there are {', '.join(others)}")
    if lacking := [str(one) for one in (variant, against) if one not in methods]:
        return Unanswered(claim, f"no finished run of {' or of '.join(lacking)}")
    assert variant is not None
    assert against is not None
    a, b = (test[test["method_name"] == methods[one]] for one in (against, variant))
    effects = {
        str(held_out): effect(first, b[b["held_out"] == held_out], claim.endpoint, metric.change == "%", metric.most)
        for held_out, first in a.groupby("held_out")
    }
    effects = {held_out: one for held_out, one in effects.items() if not np.isnan(one.change)}
    if not effects:
        return Unanswered(
            claim, "no image was measured by both methods, or the mean of a change in per cent is not above 0"
        )
    if len(effects) > 1:
        effects = {held_out: one for held_out, one in effects.items() if is_hospital(held_out)}
        if not effects:
            return Unanswered(claim, "several splits by subjects are no hospitals; keep one of them in this folder")
    several = across_hospitals([one.change for one in effects.values()], [variance(one) for one in effects.values()])
    across = several if len(effects) > 1 else None
    (only, *_) = effects.values()
    needed = need(claim, only, metric) if across is None and claim.margin > 0 else None
    named = replace(claim, against=methods[against])
    testable = all(one.testable and one.subjects >= SUBJECTS for one in effects.values())
    judgement = judge(named, methods[variant], across or only, metric, testable)
    return Answer(claim, metric, methods[variant], methods[against], effects, across, judgement, needed)


def _last_methods(stages: pd.DataFrame) -> dict[str, str]:
    """Variant -> the name of its last stage's method."""
    last = stages.groupby(["run", "variant"], sort=False).last().reset_index()
    return dict(zip(last["variant"], last["method_name"], strict=True))


def variance(one: Effect) -> float:
    """Of an effect's change, in its own unit squared; NaN where not testable."""
    unit = 100 / float(one.means[0]) if one.relative else 1.0
    return float(sum(one.variances())) * unit**2 if one.testable else np.nan
