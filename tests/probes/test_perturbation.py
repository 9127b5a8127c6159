"""A code is moved along the directions in which other codes vary, by multiples of how much they do."""

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder, DecoderInput
from ushydra_lab.probes.interpolation import decoder_source
from ushydra_lab.probes.perturbation import DIRECTIONS, MOVES, draw, perturb, principal_directions

CANVAS = 48, 70


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(6, 1, *CANVAS, generator=torch.Generator().manual_seed(0))


def test_the_directions_are_the_principal_components_as_scikit_learn_finds_them() -> None:
    codes = torch.randn(12, 3, 5, 7, generator=torch.Generator().manual_seed(1)) * torch.linspace(1, 4, 7)
    directions, sd, shares = principal_directions(codes)
    reference = PCA(DIRECTIONS).fit(codes.flatten(1).double().numpy())
    products = (directions.flatten(1).double().numpy() * reference.components_).sum(1)
    np.testing.assert_allclose(np.abs(products), 1, rtol=1e-4)
    np.testing.assert_allclose(sd.numpy(), np.sqrt(reference.explained_variance_), rtol=1e-4)
    np.testing.assert_allclose(shares.numpy(), reference.explained_variance_ratio_, rtol=1e-4)


@pytest.mark.parametrize(("count", "expected"), [(2, 1), (3, 2), (9, 3)])
def test_few_codes_have_fewer_directions(count: int, expected: int) -> None:
    assert len(principal_directions(torch.randn(count, 8))[0]) == expected


@pytest.mark.parametrize("decoder_input", ["map", "latent", "grid"])
def test_the_middle_is_the_image_s_reconstruction_and_the_ends_are_the_size_away(
    images: torch.Tensor, decoder_input: DecoderInput
) -> None:
    network = ConvAutoencoder(CANVAS, decoder_input, widths=(4, 8), latent_dim=6, grid=(2, 2)).eval()
    with torch.inference_mode():
        codes, own = decoder_source(network, images[1:]), decoder_source(network, images[:1])
        steps, shares = perturb(network, images[:1], codes, 3.0)
        assert steps.shape == (DIRECTIONS, len(MOVES), *CANVAS)
        for row in steps:
            torch.testing.assert_close(row[MOVES.index(0)], network(images[:1])[0, 0])
        directions, sd, _ = principal_directions(codes)
        moved = network.decode(own + 3 * sd[1] * directions[1], CANVAS)[0, 0]
    torch.testing.assert_close(steps[1, -1], moved)
    assert shares.tolist() == sorted(shares.tolist(), reverse=True)


def test_the_picture_says_how_far_and_what_was_moved(images: torch.Tensor) -> None:
    steps = torch.rand(2, len(MOVES), *CANVAS).numpy()
    figure = draw(images[0, 0].numpy(), steps, np.array([0.5, 0.25]), 3.0, "the code z, 6 numbers")
    heads = [axis.get_title() for axis in figure.axes[: len(MOVES) + 1]]
    assert heads == ["image", "-3 SD", "-2 SD", "-1 SD", "decoded", "+1 SD", "+2 SD", "+3 SD"]
    assert [axis.get_ylabel() for axis in figure.axes[:: len(MOVES) + 1]] == [
        "direction 1\n50 % of variance",
        "direction 2\n25 % of variance",
    ]
    assert "the code z, 6 numbers" in figure.get_suptitle()
