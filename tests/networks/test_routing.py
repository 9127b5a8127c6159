"""Styles leave padding out, and the router's three distances are what they are called, wherever and however it runs."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import mahalanobis
from sklearn.covariance import LedoitWolf

from ushydra_lab.errors import UserError
from ushydra_lab.networks.hydra import HydraUNet
from ushydra_lab.networks.routing import Router, soft_weights, style

DOMAINS = ("low", "medium", "high")
HOW = ("weighted", "zscored", "mahalanobis")
WHOLE = torch.tensor([[0.0, 0.0, 48.0, 32.0]])


def training(count=60, encoders=1, seed=0):
    """Styles whose domains differ by more than their spread, of which the numbers depend on each other."""
    rng = np.random.default_rng(seed)
    domains = np.arange(count) % 3
    spread = rng.normal(size=(count, encoders, 4)) @ rng.normal(size=(4, 4)) * 0.02
    centres = np.array([[0.2, 0.1, 0.5, 0.3], [0.4, 0.15, 0.6, 0.4], [0.6, 0.3, 0.9, 0.45]])
    return torch.from_numpy(centres[domains][:, None] + spread).float(), torch.from_numpy(domains)


def fitted(**data) -> Router:
    router = Router(DOMAINS)
    router.fit(*training(**data))
    return router


def test_a_style_is_mean_and_sd_of_each_channel_averaged_over_channels():
    rng = np.random.default_rng(0)
    image, maps = rng.random((2, 1, 32, 48)), rng.normal(size=(2, 5, 4, 6))
    found = style(torch.from_numpy(image), torch.from_numpy(maps), WHOLE.expand(2, 4))
    expected = [
        [x.mean((1, 2)).mean() if n == 0 else x.std((1, 2)).mean() for x in (image[i], maps[i]) for n in (0, 1)]
        for i in (0, 1)
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_style_does_not_depend_on_what_is_in_the_padding():
    content = torch.tensor([[8.0, 0.0, 40.0, 32.0]])
    image, maps = torch.rand(1, 1, 32, 48), torch.randn(1, 5, 4, 6)
    cropped = style(image[..., 8:40], maps[..., 1:5], torch.tensor([[0.0, 0.0, 32.0, 32.0]]))
    image[..., :8], maps[..., 5] = 7, 100
    torch.testing.assert_close(style(image, maps, content), cropped, rtol=1e-4, atol=1e-5)


def test_a_feature_that_the_edge_cuts_counts_by_its_part_inside():
    maps = torch.tensor([1.0, 3.0])[None, None, None].expand(1, 1, 1, 2)
    found = style(torch.zeros(1, 1, 16, 32), maps, torch.tensor([[0.0, 0.0, 20.0, 16.0]]))
    assert found[0, 2].item() == pytest.approx((16 * 1 + 4 * 3) / 20)


@settings(deadline=None, max_examples=25)
@given(st.tuples(*[st.floats(0, 40)] * 4))
def test_a_style_is_finite_whatever_the_box(box):
    x1, y1, x2, y2 = box
    content = torch.tensor([[x1, y1, x1 + x2 + 0.1, y1 + y2 + 0.1]])
    assert style(torch.rand(1, 1, 32, 48), torch.randn(1, 3, 3, 4), content).isfinite().all()


def test_the_weighted_distance_is_the_papers():
    styles, domains = training()
    rows = styles[:, 0].double().numpy()
    m, s = (rows[:, 0] + rows[:, 2]) / 2, (rows[:, 1] + rows[:, 3]) / 2
    of = [domains.numpy() == d for d in range(3)]
    router = fitted()
    for weight in (1, 3, 10, 30):
        expected = [np.abs(m - m[d].mean()) + weight * np.abs(s - s[d].mean()) for d in of]
        np.testing.assert_allclose(router.distances(styles, "weighted", weight).T, expected, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(router.distances(styles, "weighted"), router.distances(styles, "weighted", 10))


def test_zscores_are_in_units_of_the_spread_within_a_domain():
    styles, domains = training()
    rows, codes = styles[:, 0].double().numpy(), domains.numpy()
    both = np.stack([(rows[:, 0] + rows[:, 2]) / 2, (rows[:, 1] + rows[:, 3]) / 2])
    centres = np.stack([both[:, codes == d].mean(1) for d in range(3)], 1)
    pooled = np.sqrt(((both - centres[:, codes]) ** 2).sum(1) / (len(codes) - 3))
    expected = (np.abs(both[:, :, None] - centres[:, None]) / pooled[:, None, None]).sum(0)
    np.testing.assert_allclose(fitted().distances(styles, "zscored"), expected, rtol=1e-3, atol=1e-3)


def test_mahalanobis_agrees_with_scipy_on_the_shrunk_covariance():
    styles, domains = training()
    rows, codes = styles[:, 0].double().numpy(), domains.numpy()
    centres = np.stack([rows[codes == d].mean(0) for d in range(3)])
    away = rows - centres[codes]
    unit = away.std(0)
    shrunk = LedoitWolf(assume_centered=True).fit(away / unit).covariance_ * np.outer(unit, unit)
    inverse = np.linalg.inv(shrunk)
    expected = [[mahalanobis(row, centre, inverse) for centre in centres] for row in rows]
    np.testing.assert_allclose(fitted().distances(styles, "mahalanobis"), expected, rtol=2e-3)


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("encoders", [1, 3])
def test_images_go_to_the_domain_they_resemble(how, encoders):
    styles, domains = training(encoders=encoders, seed=5)
    route = fitted(count=300, encoders=encoders).distances(styles, how).argmin(1)
    assert (route == domains).float().mean() >= 0.9


def test_with_an_encoder_per_domain_each_is_compared_with_its_own_domain_only():
    styles, domains = training(encoders=3)
    router = Router(DOMAINS)
    router.fit(styles, domains)
    strange = styles.clone()
    strange[:, 1] += 5
    moved = router.distances(strange, "weighted") - router.distances(styles, "weighted")
    assert (moved[:, [0, 2]] == 0).all()
    assert (moved[:, 1] > 1).all()
    own = styles[torch.arange(len(styles)), domains]
    torch.testing.assert_close(router.mean, torch.stack([own[domains == d].mean(0) for d in range(3)]))


@pytest.mark.parametrize("how", HOW)
def test_a_batch_of_one_routes_as_it_does_among_others(how):
    torch.manual_seed(0)
    network, router = HydraUNet(2, 3, widths=(4, 6, 8)).eval(), Router(DOMAINS)
    x, content = torch.rand(12, 1, 32, 48) * torch.linspace(0.3, 1, 12)[:, None, None, None], WHOLE.expand(12, 4)
    with torch.no_grad():
        together = network.styles(network.encodings(x), content)
        alone = torch.cat([network.styles(network.encodings(one), WHOLE) for one in x.split(1)])
    router.fit(together, torch.arange(12) // 4)
    torch.testing.assert_close(router.distances(alone, how), router.distances(together, how), rtol=1e-3, atol=1e-4)
    assert torch.equal(router.distances(alone, how).argmin(1), router.distances(together, how).argmin(1))


@pytest.mark.parametrize("how", HOW)
def test_a_loaded_router_routes_the_same_also_in_the_order_of_another_machine(how, tmp_path):
    router, (styles, _) = fitted(), training(seed=4)
    torch.save(router.state_dict(), tmp_path / "router.pt")
    restored = Router(DOMAINS)
    restored.load_state_dict(torch.load(tmp_path / "router.pt", weights_only=True))
    assert torch.equal(restored.distances(styles, how), router.distances(styles, how))
    precise = restored.double().distances(styles.double(), how)
    assert torch.equal(precise.argmin(1), router.distances(styles, how).argmin(1))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("how", HOW)
def test_a_gpu_fits_and_routes_as_the_cpu_does(how):
    (styles, domains), router = training(), Router(DOMAINS).cuda()
    router.fit(styles.cuda(), domains.cuda())
    assert torch.equal(router.distances(styles.cuda(), how).argmin(1).cpu(), fitted().distances(styles, how).argmin(1))


def test_the_order_of_training_images_does_not_matter():
    styles, domains = training()
    turned, router = Router(DOMAINS), fitted()
    turned.fit(styles.flip(0), domains.flip(0))
    torch.testing.assert_close(turned.state_dict(), router.state_dict())


def test_soft_weights_add_up_and_sharpen_into_the_route():
    distances = fitted().distances(training(seed=2)[0], "zscored")
    soft, sharp = soft_weights(distances, 1.0), soft_weights(distances, 1e-3)
    torch.testing.assert_close(soft.sum(1), torch.ones(60))
    torch.testing.assert_close(soft[:, 0] / soft[:, 1], torch.exp(distances[:, 1] - distances[:, 0]), rtol=1e-3, atol=0)
    assert torch.equal(sharp.argmax(1), distances.argmin(1))
    assert sharp.amax(1).median() > 0.999


def test_domains_with_too_few_training_images_are_all_named():
    styles, domains = training()
    keep = domains == 1
    keep[0] = True
    with pytest.raises(UserError, match=r"(?s)low: 1.*high: 0"):
        Router(DOMAINS).fit(styles[keep], domains[keep])


def test_images_of_no_domain_are_refused():
    styles, domains = training()
    domains[3] = -1
    with pytest.raises(ValueError, match=r"below 3, found \[-1\]"):
        Router(DOMAINS).fit(styles, domains)


def test_styles_that_are_not_finite_are_refused():
    styles, domains = training()
    styles[0, 0, 2] = torch.nan
    with pytest.raises(ValueError, match="not finite"):
        Router(DOMAINS).fit(styles, domains)


@pytest.mark.parametrize("how", HOW)
def test_styles_that_never_vary_within_a_domain_still_route(how):
    styles = torch.tensor([[0.1, 0.1, 0.2, 0.1], [0.2, 0.1, 0.3, 0.1], [0.2, 0.3, 0.3, 0.2]]).repeat(4, 1)[:, None]
    domains = torch.arange(12) % 3
    router = Router(DOMAINS)
    router.fit(styles, domains)
    assert torch.equal(router.distances(styles, how).argmin(1), domains)


def test_a_router_without_statistics_refuses_to_route():
    with pytest.raises(ValueError, match="no statistics yet"):
        Router(DOMAINS).distances(torch.zeros(1, 1, 4), "weighted")


def test_an_unknown_distance_is_refused():
    with pytest.raises(ValueError, match="choose weighted, zscored or mahalanobis"):
        fitted().distances(torch.zeros(1, 1, 4), "euclidean")
