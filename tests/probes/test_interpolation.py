"""Between two images lies what the decoder makes of the straight line between what it reads."""

import numpy as np
import pytest
import torch

from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder, DecoderInput
from ushydra_lab.probes.interpolation import STEPS, draw, interpolate, pair_indices, source_name

CANVAS = 48, 70


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(4, 1, *CANVAS, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("decoder_input", ["map", "latent", "grid"])
def test_the_ends_are_the_images_own_reconstructions(images: torch.Tensor, decoder_input: DecoderInput) -> None:
    network = ConvAutoencoder(CANVAS, decoder_input, widths=(4, 8), latent_dim=6, grid=(2, 2)).eval()
    steps = interpolate(network, images)
    assert steps.shape == (2, STEPS, *CANVAS)
    with torch.inference_mode():
        own = network(images)[:, 0]
    torch.testing.assert_close(steps[:, 0], own[::2])
    torch.testing.assert_close(steps[:, -1], own[1::2])


def test_the_middle_is_decoded_from_the_mean_of_the_two_codes(images: torch.Tensor) -> None:
    network = ConvAutoencoder(CANVAS, "latent", widths=(4, 8), latent_dim=6).eval()
    with torch.inference_mode():
        code, _ = network.encode(images[:2])
        middle = network.decode(code.mean(0, keepdim=True))[:, 0]
    torch.testing.assert_close(interpolate(network, images[:2])[:, STEPS // 2], middle)


@pytest.mark.parametrize(("count", "expected"), [(0, []), (1, []), (2, [0, 1]), (3, [0, 2]), (60, [0, 20, 39, 59])])
def test_pairs_are_of_different_images_spread_over_all(count: int, expected: list[int]) -> None:
    assert pair_indices(count) == expected


def test_the_picture_shows_both_images_around_the_steps_and_says_what_is_interpolated(images: torch.Tensor) -> None:
    network = ConvAutoencoder(CANVAS, "map", widths=(4, 8), latent_dim=6).eval()
    figure = draw(images[:, 0].numpy(), interpolate(network, images).numpy(), source_name(network))
    shown = [np.asarray(axis.images[0].get_array()) for axis in figure.axes]
    assert len(shown) == 2 * (STEPS + 2)
    for place, index in ((0, 0), (STEPS + 1, 1), (STEPS + 2, 2), (-1, 3)):
        np.testing.assert_array_equal(shown[place], images[index, 0].numpy())
    assert [axis.get_title() for axis in figure.axes[: STEPS + 2]] == [
        "image A", "A decoded", *(f"{1 - x:.2f} A + {x:.2f} B" for x in np.arange(1, STEPS - 1) / (STEPS - 1)),
        "B decoded", "image B",
    ]  # fmt: skip
    assert "8 x 12 x 18 map" in figure.get_suptitle()
    assert "the code z, 6 numbers" in source_name(ConvAutoencoder(CANVAS, "latent", widths=(4, 8), latent_dim=6))
