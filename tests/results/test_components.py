"""Variance components agree with statsmodels and with the truth of simulations."""

import numpy as np
import pandas as pd
import pytest
from statsmodels.formula.api import mixedlm, ols
from statsmodels.stats.anova import anova_lm

from ushydra_lab.results.components import shares, variance_components

from .image_tables import table


def simulated(rng: np.random.Generator, seeds: int, counts: list[int], sd: dict[str, float]) -> pd.DataFrame:
    who = np.repeat(np.arange(len(counts)), counts)
    values = (
        10 + rng.normal(0, sd["seed"], (seeds, 1)) + rng.normal(0, sd["subject"], len(counts))[who]
        + rng.normal(0, sd["image"], len(who)) + rng.normal(0, sd["residual"], (seeds, len(who)))
    )  # fmt: skip
    return table(values, counts)


def test_balanced_components_are_those_of_statsmodels() -> None:
    long = simulated(
        np.random.default_rng(0), 6, [1] * 15, {"seed": 1.0, "subject": 2.0, "image": 0.0, "residual": 0.5}
    )
    found = variance_components(long, "m")
    squares = anova_lm(ols("m ~ C(seed) + C(subject)", long).fit())["mean_sq"]
    assert found["residual"] == pytest.approx(squares["Residual"])
    assert found["seed"] == pytest.approx((squares["C(seed)"] - squares["Residual"]) / 15)
    assert found["subject"] == pytest.approx((squares["C(subject)"] - squares["Residual"]) / 6)
    assert np.isnan(found["image"])  # one image of each subject
    parts = {"seed": "0 + C(seed)", "subject": "0 + C(subject)"}
    model = mixedlm("m ~ 1", long.assign(all=1), groups="all", vc_formula=parts, re_formula="0").fit(reml=True)
    for name in parts:
        assert found[name] == pytest.approx(float(model.vcomp[model.model.exog_vc.names.index(name)]), rel=0.01)


def test_unbalanced_components_are_unbiased() -> None:
    """Unequal images of subjects, a seed without some of them."""
    rng, truth = np.random.default_rng(1), {"seed": 0.5, "subject": 1.0, "image": 0.7, "residual": 0.4}
    found = []
    for _ in range(300):
        long = simulated(rng, 5, [1, 2, 3, 9] * 5, truth)
        found.append(variance_components(long[(long["seed"] > 0) | (long["record"] % 3 > 0)], "m"))
    table_of = pd.DataFrame(found)
    errors = table_of.std() / np.sqrt(len(table_of))
    for name, sd in truth.items():
        assert abs(table_of[name].mean() - sd**2) < 4 * errors[name]


def test_a_split_is_told_from_the_seed_where_it_is_given() -> None:
    rng, found = np.random.default_rng(2), []
    for _ in range(200):
        splits, inits = np.repeat(np.arange(4), 4), np.tile(np.arange(4), 4)
        effects = rng.normal(0, 1.0, 4)[splits] + rng.normal(0, 0.5, 4)[inits]
        long = table(effects[:, None] + rng.normal(0, 0.3, (16, 10)))
        found.append(variance_components(long.assign(split=splits[long["seed"]], seed=inits[long["seed"]]), "m"))
    means = pd.DataFrame(found).mean()
    assert means["split"] == pytest.approx(1.0, abs=0.2)
    assert means["seed"] == pytest.approx(0.25, abs=0.06)
    one = table(rng.normal(0, 1, (4, 10)))
    assert np.isnan(variance_components(one.assign(split=one["seed"]), "m")["split"])  # every seed another split


def test_one_seed_has_no_share_of_seeds() -> None:
    found = variance_components(table(np.random.default_rng(0).normal(0, 1, (1, 20)), 4), "m")
    assert np.isnan(found["seed"])
    assert np.isnan(found["image"])
    assert found["residual"] > 0


def test_shares_are_of_their_sum_and_negative_ones_are_none() -> None:
    assert shares({"seed": -1.0, "subject": 3.0, "image": np.nan, "residual": 1.0}) == {
        "seed": 0.0, "subject": 0.75, "image": pytest.approx(np.nan, nan_ok=True), "residual": 0.25,
    }  # fmt: skip
