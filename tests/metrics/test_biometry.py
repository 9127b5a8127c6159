"""Biometry agrees with counting by hand, does not see the order of ends, and has no value where there is none."""

from math import cos, dist, hypot, nan, pi, sin

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from torch import Tensor

from ushydra_lab.metrics.biometry import biometry, matched, measured

SEEDS = st.integers(0, 9999)
MM = torch.tensor([0.1, 0.25, 0.3], dtype=torch.float64)
HEAD = torch.tensor([[[10.0, 50], [110, 50], [60, 10], [60, 90]]])  # OFD 100, BPD 80


def heads(seed: int, noise: float = 30.0) -> tuple[Tensor, Tensor]:
    """Three predictions and truths, in general position, in float64."""
    generator = torch.Generator().manual_seed(seed)
    angle = 2 * pi * torch.rand(3, 1, generator=generator) + torch.tensor([0, pi, pi / 2, 3 * pi / 2])
    half = 30 + 60 * torch.rand(3, 1, 1, generator=generator) * torch.tensor([1, 1, 0.7, 0.7])[:, None]
    true = 200 + half * torch.stack([angle.cos(), angle.sin()], dim=-1)
    return (true + noise * torch.randn(3, 4, 2, generator=generator)).double(), true.double()


def ellipse_length(ofd: float, bpd: float) -> float:
    return quad(lambda t: hypot(ofd / 2 * sin(t), bpd / 2 * cos(t)), 0, 2 * pi)[0]


def by_hand(pred: list, true: list, mm: float) -> dict[str, float]:
    """One image, by the definitions."""
    found, own = {}, {}
    for name, (i, j) in {"ofd": (0, 1), "bpd": (2, 3)}.items():
        kept = dist(pred[i], true[i]), dist(pred[j], true[j])
        other = dist(pred[j], true[i]), dist(pred[i], true[j])
        own[name] = min(kept, other, key=sum)
        found[f"{name}_nme"] = sum(own[name]) / 2 / dist(true[i], true[j])
    found["nme"] = sum(own["ofd"] + own["bpd"]) / 4 / dist(*true[:2])
    found["nme_own"] = (found["ofd_nme"] + found["bpd_nme"]) / 2
    length, truth = ({"ofd": dist(*points[:2]), "bpd": dist(*points[2:])} for points in (pred, true))
    length["hc"], truth["hc"] = ellipse_length(*length.values()), ellipse_length(*truth.values())
    for m in truth:
        error = length[m] - truth[m]
        found |= {f"{m}_percent_error": 100 * error / truth[m], f"{m}_abs_percent_error": 100 * abs(error) / truth[m]}
        for unit, scale in (("px", 1.0), ("mm", mm)):
            found |= {f"{m}_{unit}": scale * length[m], f"{m}_true_{unit}": scale * truth[m]}
            found |= {f"{m}_error_{unit}": scale * error, f"{m}_abs_error_{unit}": scale * abs(error)}
    for unit, scale in (("px", 1.0), ("mm", mm)):
        found |= {f"distance_{m}_{i + 1}_{unit}": scale * own[m][i] for m in own for i in (0, 1)}
        found[f"distance_{unit}"] = scale * sum(own["ofd"] + own["bpd"]) / 4
    return found


def same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, values in found.items():
        torch.testing.assert_close(values, expected[name], rtol=1e-8, atol=1e-8, equal_nan=True, msg=name)


@settings(max_examples=50, deadline=None)
@given(SEEDS)
def test_every_value_is_what_its_definition_gives_by_hand(seed: int) -> None:
    pred, true = heads(seed)
    found = biometry(pred, true, MM)
    for b in range(3):
        expected = by_hand(pred[b].tolist(), true[b].tolist(), MM[b].item())
        assert {name: values[b].item() for name, values in found.items()} == pytest.approx(expected, rel=1e-7, abs=1e-9)


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.floats(0, 2 * pi), st.floats(-500, 500), st.booleans())
def test_turning_shifting_and_mirroring_both_changes_nothing(
    seed: int, angle: float, shift: float, mirror: bool
) -> None:
    pred, true = heads(seed)
    turn = torch.tensor([[cos(angle), sin(angle)], [-sin(angle), cos(angle)]], dtype=torch.float64)
    turn = turn * torch.tensor([-1.0 if mirror else 1.0, 1.0])
    moved = [points @ turn + torch.tensor([shift, -2 * shift]) for points in (pred, true)]
    same(biometry(*moved, MM), biometry(pred, true, MM))


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.sampled_from([(1, 0, 2, 3), (0, 1, 3, 2), (1, 0, 3, 2)]))
def test_which_end_comes_first_does_not_matter_but_names_the_true_ends(seed: int, order: tuple[int, ...]) -> None:
    pred, true = heads(seed)
    expected = biometry(pred, true, MM)
    same(biometry(pred[:, order], true, MM), expected)
    names = ["ofd_1", "ofd_2", "bpd_1", "bpd_2"]
    moved = {
        f"distance_{names[i]}_{u}": expected[f"distance_{names[order[i]]}_{u}"] for i in range(4) for u in ("px", "mm")
    }
    same(biometry(pred, true[:, order], MM), expected | moved)


@settings(max_examples=50, deadline=None)
@given(SEEDS, st.floats(0.01, 50))
def test_finer_pixels_of_the_same_picture_change_px_in_proportion_and_nothing_else(seed: int, scale: float) -> None:
    pred, true = heads(seed)
    found = biometry(scale * pred, scale * true, MM / scale)
    expected = biometry(pred, true, MM)
    same(found, {name: scale * of if name.endswith("_px") else of for name, of in expected.items()})


@settings(max_examples=20, deadline=None)
@given(SEEDS)
def test_what_is_measured_without_a_truth_is_what_is_said_of_the_prediction_to_the_bit(seed: int) -> None:
    pred, true = heads(seed)
    expected = biometry(pred, true, MM)
    found = measured(pred, MM)
    assert found.keys() == {f"{name}_{unit}" for name in ("ofd", "bpd", "hc") for unit in ("px", "mm")}
    assert all(torch.equal(values, expected[name]) for name, values in found.items())


def test_as_printed_exchanged_ends_are_errors_of_the_points_but_not_of_the_lengths() -> None:
    exchanged = HEAD[:, [1, 0, 2, 3]]
    assert biometry(exchanged, HEAD)["nme"].item() == 0
    printed = biometry(exchanged, HEAD, match_ends=False)
    assert printed["distance_ofd_1_px"].item() == printed["distance_ofd_2_px"].item() == 100
    assert printed["distance_bpd_1_px"].item() == 0
    assert printed["nme"].item() == pytest.approx(0.5)
    assert printed["ofd_error_px"].item() == printed["hc_error_px"].item() == 0


def test_ends_are_matched_in_each_image_and_each_diameter_by_itself_and_stay_on_a_tie() -> None:
    true = HEAD.repeat(3, 1, 1)
    pred = torch.stack([HEAD[0, [1, 0, 2, 3]], HEAD[0, [0, 1, 3, 2]], HEAD[0, [2, 3, 2, 3]]])
    assert torch.equal(matched(pred, true), torch.stack([HEAD[0], HEAD[0], pred[2]]))


def test_a_perfect_prediction_has_no_error() -> None:
    found = biometry(HEAD, HEAD, torch.tensor([0.5]))
    for name, values in found.items():
        if any(word in name for word in ("nme", "error", "distance")):
            assert values.item() == 0
    lengths = [found[name].item() for name in ("ofd_px", "bpd_px", "ofd_mm", "bpd_true_mm")]
    assert lengths == [100, 80, 50, 40]


def test_a_circle_has_the_circumference_pi_d_whichever_diameter_is_longer() -> None:
    round_head = torch.tensor([[[0.0, 50], [100, 50], [50, 0], [50, 100]]])
    assert biometry(round_head, HEAD)["hc_px"].item() == pytest.approx(100 * pi)
    upright = HEAD[:, [2, 3, 0, 1]]
    assert biometry(upright, HEAD)["hc_px"].item() == pytest.approx(ellipse_length(100, 80))


def test_without_spacing_nothing_claims_to_be_in_mm_and_an_unknown_spacing_is_nan_for_its_image_alone() -> None:
    pred, true = heads(0)
    assert not [name for name in biometry(pred, true) if "mm" in name]
    unknown = torch.tensor([0.1, nan, 0.0])
    found = biometry(pred, true, unknown)
    in_mm = [name for name in found if name.endswith("_mm")]
    assert {name.removesuffix("_mm") for name in in_mm} == {n.removesuffix("_px") for n in found if n.endswith("_px")}
    assert all(found[name].isnan().tolist() == [False, True, True] for name in in_mm)
    assert not any(values.isnan().any() for name, values in found.items() if name not in in_mm)


@pytest.mark.parametrize("whose", ["pred", "true"])
def test_a_missing_end_takes_its_diameter_along_but_not_the_other(whose: str) -> None:
    pred, true = heads(1)
    (pred if whose == "pred" else true)[0, 3, 0] = nan
    found = biometry(pred, true, MM)
    lengths = {f"{m}_{part}{u}" for m in ("bpd", "hc") for part in ("", "true_") for u in ("px", "mm")}
    kept = lengths & {name for name in lengths if ("true_" in name) == (whose == "pred")}
    for name, values in found.items():
        alone = name.startswith(("ofd", "distance_ofd")) or name in kept
        assert values.isnan().tolist() == [not alone, False, False], name


def test_a_true_length_of_0_is_none_and_a_collapsed_prediction_is_an_error() -> None:
    point = torch.full((1, 4, 2), 60.0)
    found = biometry(point, HEAD)
    assert [found[f"{m}_px"].item() for m in ("ofd", "bpd", "hc")] == [0, 0, 0]
    assert [found[f"{m}_percent_error"].item() for m in ("ofd", "bpd", "hc")] == [-100, -100, -100]
    found = biometry(HEAD, point)
    assert all(values.isnan().all() for name, values in found.items() if "error" in name or "nme" in name)
    assert found["ofd_true_px"].isnan().all()


@pytest.mark.parametrize("first", [0, 2])
def test_with_one_diameter_collapsed_the_circumference_is_there_and_back_along_the_other(first: int) -> None:
    flat = HEAD.clone()
    flat[0, first : first + 2] = 60
    assert biometry(flat, HEAD)["hc_px"].item() == pytest.approx(2 * (80 if first == 0 else 100))


def test_an_empty_batch_is_empty_and_half_precision_is_read_in_the_truths() -> None:
    assert all(values.shape == (0,) for values in biometry(HEAD[:0], HEAD[:0], torch.zeros(0)).values())
    half = (1.0371 * HEAD).bfloat16()
    found = biometry(half, HEAD.clone().requires_grad_())
    same(found, biometry(half.float(), HEAD))
    assert all(values.dtype == torch.float32 and not values.requires_grad for values in found.values())


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(ValueError, match=r"\(1, 3, 2\).*\(1, 4, 2\)"):
        biometry(HEAD[:, 1:], HEAD)
    with pytest.raises(ValueError, match=r"pixel_mm must be \(1,\).*\(2,\)"):
        biometry(HEAD, HEAD, torch.ones(2))
