"""Regret is what a route cost each image, and images of unknown domain stay out of the router's accuracy."""

import numpy as np
import pytest
import torch

from ushydra_lab.metrics.routing import domain_confusion, router_accuracy, routing_scores

SCORES = torch.tensor([[0.9, 0.2, 0.5], [0.4, 0.6, 0.7], [0.1, 0.3, 0.3], [0.8, 0.5, 0.1]])
DOMAIN = torch.tensor([0, 1, 2, -1])
ROUTE = torch.tensor([1, 2, 2, 0])


def test_regret_is_the_own_decoders_score_less_the_routed_one():
    found = routing_scores(SCORES, ROUTE, DOMAIN)
    np.testing.assert_allclose(found["routed"], [0.2, 0.7, 0.3, 0.8], rtol=1e-6)
    np.testing.assert_allclose(found["oracle"], [0.9, 0.6, 0.3, np.nan], rtol=1e-6)
    np.testing.assert_allclose(found["regret"], [0.7, -0.1, 0, np.nan], rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(found["router_hit"], [0, 0, 1, np.nan])


def test_regret_against_the_best_decoder_is_never_negative_and_needs_no_domain():
    found = routing_scores(SCORES, ROUTE, DOMAIN)
    np.testing.assert_allclose(found["best"], [0.9, 0.7, 0.3, 0.8], rtol=1e-6)
    np.testing.assert_allclose(found["regret_best"], [0.7, 0, 0, 0], rtol=1e-6, atol=1e-7)


def test_the_oracles_own_route_has_no_regret():
    known = DOMAIN >= 0
    found = routing_scores(SCORES[known], DOMAIN[known], DOMAIN[known])
    assert (found["regret"] == 0).all()
    assert (found["router_hit"] == 1).all()


def test_an_undefined_score_gives_an_undefined_regret():
    scores = SCORES.clone()
    scores[0] = torch.nan
    found = routing_scores(scores, ROUTE, DOMAIN)
    assert all(found[name][0].isnan() for name in ("routed", "oracle", "best", "regret", "regret_best"))
    assert found["router_hit"][0] == 0, "where it went is known all the same"


def test_rows_of_the_domain_confusion_are_domains_and_unknown_ones_are_left_out():
    matrix = domain_confusion(DOMAIN, ROUTE, 3)
    assert matrix.tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 1]]


def test_accuracy_is_of_all_images_and_of_each_domain_that_has_some():
    overall, each = router_accuracy([[3, 1, 0], [0, 0, 0], [1, 0, 1]])
    assert overall == pytest.approx(4 / 6)
    np.testing.assert_allclose(each, [0.75, np.nan, 0.5])


def test_without_an_image_of_known_domain_there_is_no_confusion():
    with pytest.raises(ValueError, match="found"):
        domain_confusion([-1, -1], [0, 1], 2)
