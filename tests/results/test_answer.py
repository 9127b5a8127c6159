"""Finished runs answer the claim that was planned, or say what they lack for it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ushydra_lab.config.schema import Claim, Kind
from ushydra_lab.results.answer import Answer, Unanswered, answer, variance
from ushydra_lab.results.collect import collect
from ushydra_lab.results.crossed import effect
from ushydra_lab.results.hospitals import across_hospitals

from .. import fake_runs
from .image_tables import table

CLAIM = Claim("psnr_content", "control", "roi", margin=0.5, kind=Kind.superiority)


def write(root: Path, gains: dict[str, float], held_out: str = "b", seeds: int = 3, images: int = 12) -> Path:
    """Runs of each variant on the same images, with this much more PSNR than the control."""
    for seed in range(seeds):
        for variant, gain in gains.items():
            rng = np.random.default_rng([seed, *variant.encode(), *held_out.encode()])
            known = pd.DataFrame({"record": range(images), "part": "test", "site": held_out})
            known["psnr_content"] = 30 + gain + np.arange(images) / 10 + rng.normal(0, 0.05, images)
            fake_runs.write(root / "exp" / held_out / f"seed{seed}" / variant, {"train": f"{variant}{seed}"}, known)
    return root / "exp"


def answered(claim: Claim, experiment: Path) -> Answer:
    found = answer(claim, collect(experiment))
    assert isinstance(found, Answer), found
    return found


def test_the_change_is_that_of_the_named_method_against_the_named_one(tmp_path: Path) -> None:
    found = answered(CLAIM, write(tmp_path, {"control": 0, "roi": 1, "other": -1}))
    assert (found.method, found.against, found.across) == ("train roi", "train control", None)
    assert found.effects["b"].change == pytest.approx(1, abs=0.1)
    assert found.judgement.holds
    assert found.need is not None
    assert answered(Claim("psnr_content", "control", "other", margin=0.5), tmp_path / "exp").judgement.refuted


def test_of_two_variants_the_other_one_is_meant(tmp_path: Path) -> None:
    experiment = write(tmp_path, {"control": 0, "roi": 1})
    assert answered(Claim("psnr_content", "control", margin=0.5), experiment).method == "train roi"
    write(tmp_path, {"third": 2})
    found = answer(Claim("psnr_content", "control"), collect(experiment))
    assert found == Unanswered(
        Claim("psnr_content", "control"), "it names no method (claim.method), and there are roi, third"
    )


def test_what_is_lacking_is_said(tmp_path: Path) -> None:
    experiment = write(tmp_path, {"roi": 1})
    for claim, why in (
        (CLAIM, "no finished run of control"),
        (Claim("psnr_content", "control", "mine"), "no finished run of mine or of control"),
        (Claim("roi_mae", "control"), "no image of an unseen site has a value of roi_mae"),
        (Claim("nothing", "control"), "no image of an unseen site has a value of nothing"),
    ):
        found = answer(claim, collect(experiment))
        assert isinstance(found, Unanswered)
        assert found.why == why


def test_an_image_without_a_value_is_left_out(tmp_path: Path) -> None:
    experiment = write(tmp_path, {"control": 0, "roi": 1})
    for file in experiment.rglob("per_image.csv"):
        images = pd.read_csv(file)
        images.assign(psnr_content=images["psnr_content"].where(images["record"] > 0)).to_csv(file, index=False)
    assert answered(CLAIM, experiment).effects["b"].subjects == 11


def test_no_margin_needs_nothing(tmp_path: Path) -> None:
    experiment = write(tmp_path, {"control": 0, "roi": 1})
    assert answered(Claim("psnr_content", "control", "roi"), experiment).need is None


def test_several_hospitals_are_judged_by_their_mean(tmp_path: Path) -> None:
    for held_out, gain in (("a", 1.0), ("b", 2.0), ("c", 3.0)):
        write(tmp_path, {"control": 0, "roi": gain}, held_out)
    found = answered(CLAIM, tmp_path / "exp")
    assert list(found.effects) == ["a", "b", "c"]
    assert found.across is not None
    assert found.need is None
    changes, variances = ([f(one) for one in found.effects.values()] for f in (lambda one: one.change, variance))
    assert found.across == across_hospitals(changes, variances)


@pytest.mark.parametrize(("seeds", "images"), [(1, 12), (3, 5)])
def test_one_seed_or_few_subjects_test_nothing(tmp_path: Path, seeds: int, images: int) -> None:
    found = answered(CLAIM, write(tmp_path, {"control": 0, "roi": 1}, seeds=seeds, images=images))
    assert found.judgement.holds is None


def test_the_variance_of_a_relative_change_is_in_per_cent_squared() -> None:
    rng = np.random.default_rng(0)
    base, more = rng.normal(10, 1, (3, 20)), rng.normal(1, 0.2, (3, 20))
    plain, relative = (effect(table(base), table(base + more), "m", relative) for relative in (False, True))
    mean = plain.means[0]
    assert variance(relative) == pytest.approx(variance(plain) * (100 / mean) ** 2)
    assert np.isnan(variance(effect(table(base[:1]), table(base[:1] + 1), "m")))
