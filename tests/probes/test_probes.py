"""Probes agree with independent references, point the right way, and are fitted on training images alone."""

from dataclasses import replace
from typing import Literal

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from ushydra_lab.errors import UserError
from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder
from ushydra_lab.probes.features import Codes, Floats, extract, roi_pool, texture
from ushydra_lab.probes.ood import Mahalanobis, Neighbours, detect, separation
from ushydra_lab.probes.provenance import SiteProbe, entropy
from ushydra_lab.probes.quality import Triage, predict_error, rank_correlation
from ushydra_lab.probes.scores import PartCodes, probe_feature

pytestmark = pytest.mark.usefixtures("pca_for_umap")
D = 8


def normal(seed: int, count: int, shift: float = 0.0) -> Floats:
    return np.random.default_rng(seed).normal(size=(count, D)) + shift


def codes(seed: int, count: int, shift: float = 0.0, sites: tuple[str, ...] = ("a", "b")) -> Codes:
    z, rng = normal(seed, count, shift), np.random.default_rng(seed + 100)
    quality = {"roi_mae": rng.uniform(size=count), "roi_edge_mae": rng.uniform(size=count)}
    return Codes(np.arange(count), np.resize(np.array(sites), count), {"z": z}, quality)


@pytest.fixture
def parts() -> PartCodes:
    return PartCodes(codes(0, 60), codes(1, 30), codes(2, 40, sites=("c",)))


def test_mahalanobis_is_that_of_the_training_codes_mean_and_covariance() -> None:
    train, other = normal(0, 50), normal(1, 20, 2.0)
    expected = cdist(other, train.mean(0)[None], "mahalanobis", VI=np.linalg.inv(np.cov(train.T, bias=True)))[:, 0]
    np.testing.assert_allclose(Mahalanobis.fit(train, "empirical")(other), expected, rtol=1e-9)


def test_ledoit_wolf_shrinks_towards_a_sphere_as_its_authors_do() -> None:
    train, other = normal(0, 6), normal(1, 20)
    x = train - train.mean(0)
    sample = x.T @ x / len(x)
    sphere = np.trace(sample) / D * np.eye(D)
    spread = sum(((np.outer(row, row) - sample) ** 2).sum() for row in x) / len(x) ** 2
    share = min(1, spread / ((sample - sphere) ** 2).sum())
    inverse = np.linalg.inv(share * sphere + (1 - share) * sample)
    expected = cdist(other, train.mean(0)[None], "mahalanobis", VI=inverse)[:, 0]
    np.testing.assert_allclose(Mahalanobis.fit(train)(other), expected, rtol=1e-9)


def test_an_empirical_covariance_without_inverse_is_refused() -> None:
    with pytest.raises(UserError, match=r"6 training codes of 8 dimensions has rank 5 .* --covariance ledoit_wolf"):
        Mahalanobis.fit(normal(0, 6), "empirical")


def test_knn_is_the_mean_distance_to_the_ten_nearest_training_codes() -> None:
    train, other = normal(0, 50), normal(1, 20)
    np.testing.assert_allclose(Neighbours(train)(other), np.sort(cdist(other, train), 1)[:, :10].mean(1), rtol=1e-9)
    with pytest.raises(UserError, match="9 training images are too few"):
        Neighbours(train[:9])


def test_the_third_detector_sees_directions_alone() -> None:
    train, other = normal(0, 50, 1.0), normal(1, 20)
    one, scaled = (detect(train, [values], "ledoit_wolf")["mahalanobis_l2"][0] for values in (other, other * 7))
    np.testing.assert_allclose(one, scaled)


def test_separation_is_the_probability_that_the_unusual_score_higher() -> None:
    usual, unusual = np.array([0.0, 1.0, 2.0]), np.array([1.0, 3.0])
    wins = [1.0 * (u > v) + 0.5 * (u == v) for u in unusual for v in usual]
    assert separation(usual, unusual) == pytest.approx(np.mean(wins))


def test_a_shift_is_found_whatever_its_sign_and_the_same_distribution_is_not() -> None:
    train, val = normal(0, 400), normal(1, 400)
    for shift in (2.5, -2.5):
        found = detect(train, [val, normal(2, 400, shift)], "ledoit_wolf")
        assert all(separation(*found[name]) > 0.99 for name in ("mahalanobis", "knn"))
    same = detect(train, [val, normal(2, 400)], "ledoit_wolf")
    assert all(separation(*scores) == pytest.approx(0.5, abs=0.06) for scores in same.values())


def test_the_site_is_told_where_codes_differ_and_at_chance_where_labels_are_shuffled() -> None:
    site = np.resize(np.array(["a", "b"]), 300)
    z = normal(0, 300) + 3 * (site == "b")[:, None]
    held = normal(1, 300) + 3 * (site == "b")[:, None]
    probe = SiteProbe(z, site, seed=0)
    assert probe.right(probe.probabilities(held), site).mean() > 0.98
    assert probe.auroc(probe.probabilities(held), site) > 0.99
    accuracies, aurocs = [], []
    for seed in range(5):
        shuffled = np.random.default_rng(seed).permutation(site)
        chance = SiteProbe(normal(2, 300), shuffled, seed=0).probabilities(normal(3, 300))
        accuracies.append(probe.right(chance, site).mean())
        aurocs.append(SiteProbe.auroc(probe, chance, site))
    assert np.mean(accuracies) == pytest.approx(0.5, abs=0.05)
    assert np.mean(aurocs) == pytest.approx(0.5, abs=0.05)


def test_the_auroc_of_two_sites_is_scikit_learns_and_needs_both() -> None:
    site = np.resize(np.array(["a", "b"]), 60)
    probe = SiteProbe(normal(0, 60), site, seed=0)
    p = probe.probabilities(normal(1, 60))
    np.testing.assert_allclose(p.sum(1), 1)
    assert probe.auroc(p, site) == pytest.approx(roc_auc_score(site == "b", p[:, 1]))
    assert np.isnan(probe.auroc(p, np.full(60, "a")))
    with pytest.raises(ValueError, match="two"):
        SiteProbe(normal(0, 4), np.full(4, "a"), seed=0)


def test_a_probe_is_the_same_bits_again_and_leaves_the_global_generator_alone() -> None:
    site = np.resize(np.array(["a", "b", "c"]), 50)
    torch.manual_seed(5)
    one = SiteProbe(normal(0, 50), site, seed=3).probabilities(normal(1, 9))
    drawn = torch.rand(3)
    torch.manual_seed(6)
    assert np.array_equal(one, SiteProbe(normal(0, 50), site, seed=3).probabilities(normal(1, 9)))
    torch.manual_seed(5)
    assert torch.equal(drawn, torch.rand(3))


def test_entropy_is_in_nats() -> None:
    p = np.array([[0.5, 0.5], [1.0, 0.0], [0.25, 0.75]])
    np.testing.assert_allclose(entropy(p), [np.log(2), 0, -0.25 * np.log(0.25) - 0.75 * np.log(0.75)])


def test_quality_is_predicted_by_ridge_regression_in_closed_form() -> None:
    z, error, other = normal(0, 50), np.random.default_rng(9).normal(size=50), normal(1, 10)
    centred = z - z.mean(0)
    weights = np.linalg.solve(centred.T @ centred + np.eye(D), centred.T @ (error - error.mean()))
    expected = (other - z.mean(0)) @ weights + error.mean()
    np.testing.assert_allclose(predict_error(z, error, [other])[0], expected)


def test_triage_rises_with_either_residual_and_with_a_code_of_unusual_length() -> None:
    usual = codes(0, 100)
    triage = Triage(usual.features["z"], usual.quality)
    z = usual.features["z"][:5]
    quality = {name: np.full(5, 0.5) for name in usual.quality}
    before = triage(z, quality)
    for name in quality:
        assert (triage(z, quality | {name: np.full(5, 0.9)}) > before).all()
    assert (triage(z * 50, quality) > before).all()
    middle = np.linalg.norm(usual.features["z"], axis=1).mean()
    unit = z / np.linalg.norm(z, axis=1, keepdims=True) * middle
    assert (triage(unit * 0.2, quality) > triage(unit, quality)).all()


def test_rank_correlation_is_scipys_over_pairs_that_are_whole() -> None:
    a, b = normal(0, 20)[:, 0], normal(1, 20)[:, 0]
    assert rank_correlation(np.append(a, 1), np.append(b, np.nan)) == pytest.approx(spearmanr(a, b).statistic)
    assert np.isnan(rank_correlation(a, np.ones(20)))


def test_nothing_fitted_sees_validation_or_unseen_images(parts: PartCodes) -> None:
    _, clean = probe_feature(parts, "z", 0, "ledoit_wolf")
    for poisoned in ("val", "test"):
        noise = codes(77, len(getattr(parts, poisoned).record), 50.0, sites=("x",))
        _, table = probe_feature(replace(parts, **{poisoned: noise}), "z", 0, "ledoit_wolf")
        kept = clean["part"] != poisoned
        assert table[kept].equals(clean[kept])
        assert not table[~kept].equals(clean[~kept])


def test_every_score_can_be_computed_again_from_the_images(parts: PartCodes) -> None:
    shifted = replace(parts, test=codes(2, 40, 2.0, sites=("c",)))
    scores, table = probe_feature(shifted, "z", 0, "ledoit_wolf")
    val, test = (table[table["part"] == part] for part in ("val", "test"))
    truth = [0] * len(val) + [1] * len(test)
    for detector in ("mahalanobis", "mahalanobis_l2", "knn"):
        again = roc_auc_score(truth, np.concatenate([val[detector], test[detector]]))
        assert scores[f"{detector}_auroc"] == pytest.approx(again)
    assert scores["mahalanobis_auroc"] > 0.95
    assert scores["max_softmax"] == pytest.approx(test["max_softmax"].mean())
    assert scores["entropy"] == pytest.approx(test["entropy"].mean())
    true, predicted = test["roi_edge_mae"], test["roi_edge_mae_predicted"]
    assert scores["quality_r2"] == pytest.approx(
        1 - ((true - predicted) ** 2).sum() / ((true - true.mean()) ** 2).sum()
    )
    assert scores["quality_rho"] == pytest.approx(spearmanr(true, predicted).statistic)
    assert table.loc[table["part"] == "train", "knn"].isna().all()


def test_one_seen_site_has_no_provenance_and_images_without_a_box_no_quality(parts: PartCodes) -> None:
    alone = replace(parts, train=codes(0, 60, sites=("a",)), test=replace(parts.test, quality={}))
    scores, _ = probe_feature(alone, "z", 0, "ledoit_wolf")
    assert set(scores) == {"mahalanobis_auroc", "mahalanobis_l2_auroc", "knn_auroc"}


@pytest.mark.parametrize("canvas", [(48, 64), (40, 60)])
def test_a_map_is_pooled_over_a_box_as_its_pixels_would_be(canvas: tuple[int, int]) -> None:
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(2, 3, 3, 4)))
    box = torch.tensor([[3.0, 5.0, 41.0, 22.0], [17.0, 18.0, 19.0, 20.0]], dtype=torch.float64)
    top, left = (48 - canvas[0]) // 2, (64 - canvas[1]) // 2
    pixels = features.repeat_interleave(16, 2).repeat_interleave(16, 3)
    expected = [
        pixels[i, :, int(y1) + top : int(y2) + top, int(x1) + left : int(x2) + left].mean((1, 2))
        for i, (x1, y1, x2, y2) in enumerate(box.tolist())
    ]
    torch.testing.assert_close(roi_pool(features, box, canvas, 16), torch.stack(expected))


def test_texture_is_the_spread_within_cells_of_the_content_whatever_the_padding_holds() -> None:
    features = torch.from_numpy(np.random.default_rng(0).normal(size=(1, 3, 6, 9)))
    content = torch.tensor([[48.0, 32.0, 144.0, 96.0]], dtype=torch.float64)  # 4 x 6 cells of the map: 2 x 2 each
    found = texture(features, content, (96, 144), 16)
    inside = features[:, :, 2:6, 3:9].unfold(2, 2, 2).unfold(3, 2, 2).flatten(4)
    torch.testing.assert_close(found, inside.std(4, correction=0).permute(0, 2, 3, 1).flatten(1))
    poisoned = features.clone()
    poisoned[:, :, :2], poisoned[:, :, :, :3] = 99, 99
    torch.testing.assert_close(texture(poisoned, content, (96, 144), 16), found)


@pytest.mark.parametrize("decoder_input", ["map", "grid"])
def test_codes_are_the_networks_own_and_quality_that_of_its_reconstruction(
    decoder_input: Literal["map", "grid"],
) -> None:
    network = ConvAutoencoder((32, 48), decoder_input, widths=(4, 8), latent_dim=6, grid=(2, 3)).eval()
    image, box = torch.rand(5, 1, 32, 48), torch.tensor([[4.0, 6.0, 20.0, 30.0]]).expand(5, 4)
    numbers = {"record": torch.arange(5), "site": torch.tensor([0, 1, 1, 0, 1])}
    batch = {"image": image, "nt_box": box, "content": torch.tensor([[0.0, 0.0, 48.0, 32.0]]).expand(5, 4), **numbers}
    found = extract(
        network, [{k: v[:3] for k, v in batch.items()}, {k: v[3:] for k, v in batch.items()}], "nt_box", ["a", "b"]
    )
    with torch.inference_mode():
        code, error = network.encode(image)[0], (network(image) - image).abs()[:, 0, 6:30, 4:20].mean((1, 2))
    np.testing.assert_allclose(found.features["z"], code.numpy(), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found.quality["roi_mae"], error.numpy(), rtol=1e-4)
    assert found.site.tolist() == ["a", "b", "b", "a", "b"]
    bare = extract(network, [{k: v for k, v in batch.items() if k != "nt_box"}], "nt_box", ["a", "b"])
    assert set(bare.features) == {"z", "texture"}
    assert not bare.quality
