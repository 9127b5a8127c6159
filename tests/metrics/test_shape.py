import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops

from ushydra_lab.metrics.shape import FEATURES, ShapePrior, in_mm, shape_features


def ellipses(seed: int, count: int = 1) -> torch.Tensor:
    """Heads of label 1 with a smaller ellipse of label 2 inside."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:64, :80] + 0.5
    maps = np.zeros((count, 64, 80), np.uint8)
    for labels in maps:
        cx, cy, t = 40 + rng.normal(0, 2), 32 + rng.normal(0, 2), rng.normal(0, 0.2)
        u, v = (x - cx) * np.cos(t) + (y - cy) * np.sin(t), (y - cy) * np.cos(t) - (x - cx) * np.sin(t)
        labels[(u / rng.uniform(26, 30)) ** 2 + (v / rng.uniform(20, 23)) ** 2 < 1] = 1
        labels[((u + 10) / rng.uniform(5, 7)) ** 2 + (v / rng.uniform(2.5, 3.5)) ** 2 < 1] = 2
    return torch.from_numpy(maps)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 1000), st.floats(0.1, 2))
def test_features_are_those_of_skimage_in_mm(seed: int, mm: float) -> None:
    labels = ellipses(seed)
    found = in_mm(shape_features(labels, 3), torch.tensor([mm]))[0].numpy()
    assert np.isnan(found[0]).all()
    whole = regionprops((labels[0].numpy() > 0).astype(int))[0]
    for region in regionprops(labels[0].numpy()):
        top, left, bottom, right = region.bbox
        down, across = np.array(region.centroid) - whole.centroid
        expected = [across * mm, down * mm, (right - left) * mm, (bottom - top) * mm]
        np.testing.assert_allclose(found[region.label, 2:], expected, rtol=1e-4, atol=1e-3)
        assert found[region.label, 0] == pytest.approx(np.log(region.area * mm**2), rel=1e-5, abs=1e-5)
        assert found[region.label, 1] == pytest.approx(region.eccentricity, abs=2e-3)


def unknown(count: int) -> torch.Tensor:
    return torch.full((count,), torch.nan)


def fitted(classes: int, features: torch.Tensor, spacing: torch.Tensor | None = None) -> ShapePrior:
    prior = ShapePrior(classes)
    prior.fit(features, unknown(len(features)) if spacing is None else spacing)
    return prior


def test_distances_are_mahalanobis_and_small_for_training_shapes() -> None:
    features = shape_features(ellipses(0, 60), 3)
    prior = fitted(3, features)
    found = prior(features, unknown(60))
    away = (features[7, 2] - prior.mean[2]).double()
    assert found[7, 2].item() == pytest.approx((away @ prior.precision[2].double() @ away).sqrt().item(), rel=1e-4)
    assert found[:, 1:].mean() < 2 * len(FEATURES) ** 0.5
    assert found[:, 0].isnan().all()


def test_a_shifted_or_lost_structure_ranks_above_nearly_all_others() -> None:
    prior = fitted(3, shape_features(ellipses(0, 80), 3))
    normal = ellipses(1, 40)
    shifted, lost = normal.clone(), normal.clone()
    shifted[normal == 2], lost[normal == 2] = 1, 1
    shifted[:, 20:26, 50:64] = 2
    usual, moved, missing = (prior(shape_features(labels, 3), unknown(40)) for labels in (normal, shifted, lost))
    sure, empty = torch.full_like(usual, 0.1), torch.ones_like(usual, dtype=torch.bool)
    assert (prior.anomaly(moved, ~empty, sure)[:, 2] > usual[:, 2].max()).all()
    assert missing[:, 2].isnan().all()
    assert (prior.anomaly(missing, empty, sure)[:, 2, None] > usual[:, 2]).float().mean() > 0.95


def test_of_two_structures_that_were_not_found_the_one_that_left_no_trace_is_the_more_unusual() -> None:
    prior = fitted(3, shape_features(ellipses(0, 80), 3))
    nothing = torch.full((2, 3), torch.nan)
    traces = torch.tensor([[0.9, 0.9, 0.45], [0.9, 0.9, 0.02]])
    faint, none = prior.anomaly(nothing, nothing.isnan(), traces)[:, 2]
    assert prior.largest[2] < faint < none


def test_the_prior_is_saved_and_a_structure_never_seen_has_none() -> None:
    features = shape_features(ellipses(0, 20), 4)
    for spacing in (unknown(20), torch.linspace(0.1, 0.2, 20)):
        prior, copy = fitted(4, features, spacing), ShapePrior(4)
        copy.load_state_dict(prior.state_dict())
        distance = prior(features, spacing)
        torch.testing.assert_close(copy(features, spacing), distance, equal_nan=True)
        assert distance[:, 1:3].isfinite().all()
        empty = torch.ones(20, 4, dtype=torch.bool)
        assert prior.anomaly(distance, empty, torch.zeros(20, 4))[:, 3].isnan().all()


def test_a_prior_saved_without_its_unit_is_loaded_as_in_mm_or_as_what_was_fitted_before() -> None:
    features, spacing = shape_features(ellipses(0, 20), 3), torch.full((20,), 0.2)
    for known in (spacing, unknown(20)):
        prior = fitted(3, features, known)
        old = {name: values for name, values in prior.state_dict().items() if name != "mm"}
        resumed, fresh = fitted(3, features, known), ShapePrior(3)
        resumed.load_state_dict(old)
        fresh.load_state_dict(old)
        torch.testing.assert_close(resumed(features, known), prior(features, known), equal_nan=True)
        assert fresh(features, known)[:, 2].isfinite().all() == known.isfinite().all()


def test_the_spacing_of_other_images_does_not_change_what_is_fitted_without_any() -> None:
    features = shape_features(ellipses(0, 20), 3)
    prior = fitted(3, features)
    others = torch.full((20,), 0.2)
    torch.testing.assert_close(prior(features, others), prior(features, unknown(20)), equal_nan=True)
    assert prior(features, others)[:, 1:].isfinite().all()


def test_a_structure_that_is_found_is_no_lost_one_where_the_spacing_is_unknown() -> None:
    features = shape_features(ellipses(0, 20), 3)
    prior = fitted(3, features, torch.full((20,), 0.2))
    distance = prior(features, unknown(20))
    found = torch.zeros(20, 3, dtype=torch.bool)
    assert prior.anomaly(distance, found, torch.full((20, 3), 0.99)).isnan().all()
    assert (prior.anomaly(distance, ~found, torch.full((20, 3), 0.99))[:, 1:] > prior.largest[1:]).all()


def test_a_single_pixel_and_an_empty_map_have_what_they_have() -> None:
    labels = torch.zeros(2, 8, 8, dtype=torch.uint8)
    labels[0, 3, 4] = 1
    found = shape_features(labels, 2)
    assert found[0, 1].tolist() == pytest.approx([0, 0, 0, 0, 1, 1])
    assert found[1].isnan().all()
