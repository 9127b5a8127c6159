"""A claim's sentence is right in each of its cases."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.weightstats import ttost_paired

from ushydra_lab.config.schema import Claim, Kind
from ushydra_lab.results.claim import judge, need
from ushydra_lab.results.crossed import Effect, effect, effect_of
from ushydra_lab.results.hospitals import across_hospitals
from ushydra_lab.tasks.columns import Metric

from .image_tables import simulated, table

PSNR = Metric("PSNR (dB)", "higher", 2, "difference")
MAE = Metric("ROI-MAE", "lower", 5)


def measured(change: float, seeds: int = 5, relative: bool = False, noise: float = 0.2) -> Effect:
    rng = np.random.default_rng(0)
    values = simulated(rng, seeds, [1] * 40, 0.05, noise, noise)
    values += change - values.mean()
    base = np.tile(rng.normal(10, 1, 40), (seeds, 1))
    return effect(table(base), table(base + values), "m", relative)


def answer(kind: str, margin: float, change: float, metric: Metric = PSNR, **options: float) -> str:
    claim = Claim("m", "control", margin=margin, kind=Kind(kind))
    return judge(claim, "Phase 2", measured(change, **options), metric).sentence


def test_each_answer_in_words() -> None:
    shown = "It is shown that Phase 2 is better than control in PSNR (dB): 0.50 better (95 % interval 0."
    assert answer("superiority", 0.2, 0.5).startswith(shown)
    assert answer("superiority", 0.2, 0.5).endswith(", by more than the margin of 0.20.")
    assert answer("superiority", 0.6, 0.5).endswith(", perhaps by less than the margin of 0.60.")
    assert answer("superiority", 0.2, -0.5).startswith("It is refuted that Phase 2 is better")
    assert "0.50 worse (95 % interval" in answer("superiority", 0.2, -0.5)
    assert answer("superiority", 0.2, 0.01).startswith("It is not shown that")
    assert answer("non_inferiority", 0.2, 0.0).startswith("It is shown that Phase 2 is not worse than control by 0.20")
    assert answer("non_inferiority", 0.2, -0.2).startswith("It is not shown")
    assert answer("non_inferiority", 0.2, -0.6).startswith("It is refuted")
    assert answer("equivalence", 0.3, 0.0).startswith("It is shown that Phase 2 differs from control by less than 0.30")
    assert "90 % interval" in answer("equivalence", 0.3, 0.0)
    assert answer("equivalence", 0.3, 0.3).startswith("It is not shown")
    assert answer("equivalence", 0.3, 0.9).startswith("It is refuted")


def test_of_an_error_less_is_better_and_changes_are_in_per_cent() -> None:
    found = judge(
        Claim("m", "control", margin=2.0, kind=Kind.superiority), "Phase 2", measured(-0.5, relative=True), MAE
    )
    assert found.holds
    assert found.gain == pytest.approx(5, abs=0.2)
    assert found.low < found.gain < found.high
    assert found.sentence.endswith(
        f"{found.gain:.1f} % better (95 % interval {found.low:.1f} % to {found.high:.1f} % better), "
        "by more than the margin of 2.0 %."
    )


def test_one_seed_answers_nothing() -> None:
    found = judge(Claim("m", "control", margin=0.2, kind=Kind.superiority), "Phase 2", measured(5, seeds=1), PSNR)
    assert found.holds is None
    assert "could not be tested" in found.sentence
    assert need(found.claim, measured(5, seeds=1), PSNR).seeds is None


@settings(deadline=None, max_examples=50)
@given(st.floats(-1, 1), st.sampled_from(["superiority", "non_inferiority", "equivalence"]), st.floats(0.05, 0.9))
def test_the_interval_and_p_say_the_same(change: float, kind: str, margin: float) -> None:
    for metric in (PSNR, Metric("error", "lower", 2, "difference")):
        found = judge(Claim("m", "control", margin=margin, kind=Kind(kind)), "b", measured(change), metric)
        limit = {"superiority": 0.05, "non_inferiority": 0.025, "equivalence": 0.05}[kind]
        if abs(found.p - limit) > 1e-6:
            assert found.holds == (found.p < limit and (kind != "superiority" or found.gain > 0))
        assert not (found.holds and found.refuted)


def test_two_one_sided_tests_are_those_of_statsmodels() -> None:
    """Where seeds make no difference the test is the paired one."""
    values = np.random.default_rng(0).normal(0.02, 0.3, 30)
    found = effect_of(np.zeros((3, 30)), np.tile(values, (3, 1)), np.ones((3, 30)), 9.0)
    ours = judge(Claim("m", "control", margin=0.15, kind=Kind.equivalence), "b", found, PSNR)
    theirs, *_ = ttost_paired(values, np.zeros(30), -0.15, 0.15)
    assert ours.p == pytest.approx(theirs)


def test_a_claim_over_hospitals_is_judged_by_their_mean() -> None:
    found = across_hospitals([0.5, 0.6, 0.4, 0.55], [0.01] * 4)
    ours = judge(Claim("m", "control", margin=0.1, kind=Kind.superiority), "b", found, PSNR)
    assert ours.holds
    assert ours.p == pytest.approx(found.p())
    assert (
        judge(Claim("m", "control", margin=0.1, kind=Kind.superiority), "b", across_hospitals([0.5], [0.1]), PSNR).holds
        is None
    )


def test_what_the_claim_needs() -> None:
    enough = need(Claim("m", "control", margin=1.0, kind=Kind.superiority), measured(0.0), PSNR)
    assert enough.power > 0.99
    assert enough.sentence.endswith("the margin of 1.00 is larger.")
    more = need(Claim("m", "control", margin=enough.detectable * 0.8, kind=Kind.superiority), measured(0.0), PSNR)
    assert more.seeds is not None
    assert more.seeds > 5
    assert more.sentence.startswith(f"5 seeds detect {enough.detectable:.2f} in PSNR (dB); the margin of")
    assert more.sentence.endswith(f"needs {more.seeds}.")
    noisy = measured(0.0, noise=5.0)
    subjects = need(Claim("m", "control", margin=1.5, kind=Kind.non_inferiority), noisy, PSNR)
    assert subjects.seeds is None
    assert subjects.subjects is not None
    assert f"needs {subjects.subjects} subjects instead of 40" in subjects.sentence
    percent = need(Claim("m", "control", margin=10.0, kind=Kind.superiority), measured(0.0, relative=True), MAE)
    assert percent.detectable == pytest.approx(enough.detectable * 10, rel=0.02)
