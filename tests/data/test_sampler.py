import numpy as np
import pytest
import torch

from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.data.sampler import EpochSampler, Oversample
from ushydra_lab.errors import UserError

CODE = MaskCode.of({"parenchyma": 1, "csp": 2, "lv": 3})


def labels() -> torch.Tensor:
    """Ten images: the first has a CSP, the second ventricles, the third no mask at all."""
    maps = torch.ones(10, 4, 4, dtype=torch.uint8)
    maps[0, 1, 1], maps[1, 2, 2], maps[2] = 2, 3, 255
    return maps


def test_images_with_a_rare_structure_weigh_more() -> None:
    assert Oversample(["csp", "lv"], 3).weights(labels().split(3), CODE).tolist() == [3, 3, *[1] * 8]
    assert Oversample(["csp"], 5).weights(labels().split(3), CODE).tolist() == [5, *[1] * 9]


def test_an_unknown_structure_is_named() -> None:
    with pytest.raises(UserError, match=r"parenchyma, csp, lv, not 'cps' \(did you mean 'csp'"):
        Oversample(["cps"]).weights(labels().split(3), CODE)


def test_draws_are_in_proportion_to_the_weights_and_a_function_of_seed_and_epoch() -> None:
    weights = np.array([3.0, 1, 1, 1])
    sampler = EpochSampler(4, 7, weights)
    counts = np.zeros(4)
    for epoch in range(3000):
        sampler.set_epoch(epoch)
        counts += np.bincount(list(sampler), minlength=4)
    np.testing.assert_allclose(counts / counts.sum(), weights / weights.sum(), atol=0.015)
    again = EpochSampler(4, 7, weights)
    again.set_epoch(2999)
    assert list(again) == list(sampler)


def test_without_weights_every_image_is_seen_once() -> None:
    sampler = EpochSampler(50, 7)
    first = list(sampler)
    sampler.set_epoch(1)
    assert sorted(first) == list(range(50))
    assert list(sampler) != first
