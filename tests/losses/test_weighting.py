"""Weights of loss terms: closed forms of calibration, uncertainty and GradNorm."""

import inspect
import math

import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ushydra_lab.config.paths import CONF
from ushydra_lab.losses.weighting import (
    FixedWeights,
    GradNormWeights,
    UncertaintyWeights,
    calibrated_weights,
    gradient_norms,
)
from ushydra_lab.training.callbacks.gradient_calibration import GradientCalibration, GradNorm

LOSSES = {"glob": torch.tensor(0.5), "l1": torch.tensor(0.1), "edge": torch.tensor(2.0)}


def test_fixed_weights_are_a_weighted_sum_by_name_and_are_saved():
    combine = FixedWeights(["glob", "l1", "edge"], [1, 10, 0.25])
    shuffled = {name: LOSSES[name] for name in ["edge", "glob", "l1"]}
    assert combine(shuffled) == pytest.approx(0.5 + 1 + 0.5)
    assert combine.state_dict()["weights"].tolist() == [1, 10, 0.25]
    assert not list(combine.parameters())


def test_missing_surplus_and_uncounted_terms_are_named():
    with pytest.raises(ValueError, match=r"\['edge', 'l1'\].*\['edge', 'glob', 'l1'\]"):
        FixedWeights(["l1", "edge"], [1, 1])(LOSSES)
    with pytest.raises(ValueError, match=r"2 loss terms.*3 weights"):
        FixedWeights(["l1", "edge"], [1, 1, 1])


def test_uncertainty_learns_the_closed_form_optimum():
    combine = UncertaintyWeights(list(LOSSES))
    optimiser = torch.optim.Adam(combine.parameters(), lr=0.1)
    for _ in range(400):
        optimiser.zero_grad()
        combine(LOSSES).backward()
        optimiser.step()
    torch.testing.assert_close(combine.present(), 1 / torch.stack(list(LOSSES.values())), rtol=1e-3, atol=0)


def test_epochs_are_compared_by_a_score_that_falling_variances_cannot_lower():
    combine = UncertaintyWeights(list(LOSSES))
    nn.init.constant_(combine.log_variances, -5)
    assert combine.selection(LOSSES) == pytest.approx(2.6)
    assert FixedWeights(list(LOSSES), [1, 10, 0.25]).selection(LOSSES) == pytest.approx(2)


def test_gradient_norms_are_those_of_unscaled_losses_and_touch_nothing():
    a, b = nn.Parameter(torch.tensor([3.0, 4.0])), nn.Parameter(torch.tensor([2.0]))
    frozen = nn.Parameter(torch.ones(1), requires_grad=False)
    losses = {"square": (a**2).sum() / 2 + 12 * b.sum(), "only_b": 7 * b.sum(), "none": torch.tensor(1.0)}
    assert gradient_norms(losses, [a, b, frozen]) == pytest.approx({"square": 13, "only_b": 7, "none": 0})
    assert a.grad is None
    sum(losses.values()).backward()
    assert b.grad == 19


NORMS = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=6)


@given(NORMS)
def test_calibrated_weights_sum_to_k_within_the_cap_and_in_order(norms):
    weights = calibrated_weights({str(i): norm for i, norm in enumerate(norms)}, cap=100).double()
    assert float(weights.sum()) == pytest.approx(len(norms), rel=1e-5)
    assert weights.max() <= 100.001 * weights.min()
    ascending = torch.tensor(norms, dtype=torch.float64).argsort()
    assert (weights[ascending].diff() <= 0).all()


def test_calibrated_weights_closed_form_and_cap():
    torch.testing.assert_close(calibrated_weights({"a": 2.0, "b": 4.0}), torch.tensor([4 / 3, 2 / 3]))
    capped = calibrated_weights({"a": 1e-9, "b": 1.0, "c": 2.0}, cap=10)
    torch.testing.assert_close(capped, torch.tensor([5, 1, 0.5]) * 3 / 6.5)


@given(st.lists(st.floats(0.02, 50), min_size=2, max_size=5))
def test_calibrated_terms_pull_equally_hard(norms):
    weights = calibrated_weights(dict(enumerate(norms)), cap=math.inf)
    pull = weights * torch.tensor(norms)
    torch.testing.assert_close(pull, pull.mean().expand_as(pull))


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_every_unusable_norm_is_named(bad):
    with pytest.raises(ValueError, match=r"edge.*dino") as error:
        calibrated_weights({"glob": 1.0, "edge": bad, "dino": 0.0})
    assert "glob" not in str(error.value)


def test_gradnorm_equalises_gradient_norms_when_all_terms_learn_at_one_rate():
    combine = GradNormWeights(["glob", "l1", "edge"], lr=0.01)
    norms = {"glob": 1.0, "l1": 2.0, "edge": 4.0}
    for _ in range(500):
        combine.step(norms, LOSSES)
    torch.testing.assert_close(combine.weights, 3 / 1.75 * torch.tensor([1, 0.5, 0.25]), rtol=0.05, atol=0)
    assert float(combine.weights.sum()) == pytest.approx(3)


def test_gradnorm_gives_the_lagging_term_more():
    combine = GradNormWeights(["fast", "slow"])
    norms = {"fast": 1.0, "slow": 1.0}
    combine.step(norms, {"fast": torch.tensor(1.0), "slow": torch.tensor(5.0)})
    combine.step(norms, {"fast": torch.tensor(0.1), "slow": torch.tensor(4.5)})
    assert combine.weights[1] > combine.weights[0] > 0


def test_gradnorm_resumes_from_its_state():
    first, second = GradNormWeights(["a", "b"]), GradNormWeights(["a", "b"])
    norms = {"a": 1.0, "b": 3.0}
    first.step(norms, {"a": torch.tensor(1.0), "b": torch.tensor(2.0)})
    second.load_state_dict(first.state_dict())
    for combine in (first, second):
        combine.step(norms, {"a": torch.tensor(0.5), "b": torch.tensor(1.9)})
    assert torch.equal(first.weights, second.weights)


def test_gradnorm_names_a_term_without_gradient():
    with pytest.raises(ValueError, match=r"gradient norm.*b"):
        GradNormWeights(["a", "b"]).step({"a": 1.0, "b": 0.0}, {"a": torch.ones(()), "b": torch.ones(())})


def test_defaults_are_the_published_ones_and_those_of_the_files():
    """Weights of 1 and log-variances of 0; GradNorm's alpha and its step as Chen et al. have them; paper 1's cap."""
    assert FixedWeights(["a", "b", "c"]).present().tolist() == [1, 1, 1]
    assert UncertaintyWeights(["a", "b"]).present().tolist() == [1, 1]
    gradnorm = GradNormWeights(["a", "b"])
    assert (gradnorm.alpha, gradnorm.lr, gradnorm.present().tolist()) == (1.5, 0.025, [1, 1])
    assert inspect.signature(calibrated_weights).parameters["cap"].default == 100
    calibration = GradientCalibration()
    assert (calibration.batches, calibration.cap) == (8, 100)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        files = {
            name: compose(f"weighting/{name}").weighting
            for name in ("calibrated", "gradnorm", "uncertainty", "unit", "manual")
        }
    made = {name: instantiate(file.module)(["a", "b", "c"]) for name, file in files.items()}
    assert {name: tuple(weighting.present().tolist()) for name, weighting in made.items()} == {
        **dict.fromkeys(files, (1, 1, 1)),
        "manual": (1, 5, 2),
    }
    assert (made["gradnorm"].alpha, made["gradnorm"].lr) == (1.5, 0.025)
    callbacks = {name: [instantiate(one) for one in file.callbacks.values()] for name, file in files.items()}
    assert {name: [type(one) for one in found] for name, found in callbacks.items() if found} == {
        "calibrated": [GradientCalibration], "gradnorm": [GradNorm],
    }  # fmt: skip
    assert (callbacks["calibrated"][0].batches, callbacks["calibrated"][0].cap) == (8, 100)
