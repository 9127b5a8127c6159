"""Heatmap cells lie where they are said to for every size, and each decoder draws its own points."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ushydra_lab.networks.heatmap_unet import HeatmapUNet

SMALL = (4, 6, 8)
BUILDS = [{"stride": 1}, {"stride": 2}, {"stride": 1, "heads": [2, 2]}, {"stride": 2, "heads": [1, 2, 1]}]


def small(**settings) -> HeatmapUNet:
    torch.manual_seed(0)
    return HeatmapUNet(widths=SMALL, **settings).double().eval()


def image(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(seed), dtype=torch.double)


def mirrored(network: nn.Module) -> nn.Module:
    """The network that does with a mirror image what `network` does with the image."""
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            layer.weight.data = layer.weight.data.flip(-1)
    return network


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (35, 30), (4, 4), (5, 31)])
@pytest.mark.parametrize("settings", BUILDS)
def test_heatmaps_have_a_cell_for_every_px_or_pair_of_px(settings, size):
    network = small(**settings)
    cells = [-(-side // network.stride) for side in size]
    assert network(image(*size)).shape == (2, 4, *cells)


@pytest.mark.parametrize("settings", BUILDS)
def test_heatmaps_move_with_the_image(settings):
    """By the reduction of the encoder (4 px), the smallest move that pooling of any depth follows exactly."""
    network, wide = small(**settings), image(96, 100)
    here, there = network(wide[..., :96]), network(wide[..., 4:])
    step, border = 4 // network.stride, 30 // network.stride
    expected = here[..., border:-border, border + step : step - border]
    torch.testing.assert_close(there[..., border:-border, border:-border], expected)


@pytest.mark.parametrize("stride", [1, 2])
def test_one_cell_is_as_many_px_as_the_stride_says(stride):
    """Seen with only the finest level of the decoder, as coarser ones do not follow every px."""
    network, wide = small(stride=stride), image(64, 64 + stride)
    for p in network.decoders[0][-1].up.parameters():
        nn.init.zeros_(p)
    here, there = network(wide[..., :64]), network(wide[..., stride:])
    torch.testing.assert_close(there[..., 10:-10], here[..., 11:-9])
    assert here.std() > 0.01


@pytest.mark.parametrize("settings", BUILDS)
def test_cells_lie_symmetrically_about_their_px(settings):
    """A mirrored network mirrors the heatmaps of a mirrored image; a shift by any part of a cell would show."""
    x = image(32, 48)
    torch.testing.assert_close(mirrored(small(**settings))(x.flip(-1)), small(**settings)(x).flip(-1))


@pytest.mark.parametrize("settings", BUILDS)
def test_an_odd_size_leaves_every_cell_in_its_place(settings):
    network, x = small(**settings), image(96, 96)
    whole, part = network(x), network(x[..., :91, :93])
    inside = slice(0, 60 // network.stride)
    torch.testing.assert_close(part[..., inside, inside], whole[..., inside, inside])


@pytest.mark.parametrize("stride", [1, 2])
def test_an_image_that_needs_padding_is_extended_by_its_border_and_cropped_back(stride):
    network, x = small(stride=stride), image(37, 50)
    extended = torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), (0, 3), (0, 2)), mode="edge"))
    expected = network(extended)[..., : -(-37 // stride), : 50 // stride]
    torch.testing.assert_close(network(x), expected)


def test_each_decoder_draws_its_own_points_in_their_order():
    network, x = small(heads=[2, 2]), image(32, 32)
    before = network(x)
    for p in network.decoders[1].parameters():
        p.data *= 1.5
    after = network(x)
    assert torch.equal(after[:, :2], before[:, :2])
    assert not torch.isclose(after[:, 2:], before[:, 2:]).all((0, 2, 3)).any()


def test_decoders_share_one_encoder_and_nothing_else():
    network = small(heads=[2, 2])
    network(image(32, 32))[:, :2].square().sum().backward()
    reached = {name[: name.index(".") + 2] for name, p in network.named_parameters() if p.grad.any()}
    assert reached == {"encoder.0", "encoder.1", "encoder.2", "decoders.0", "heads.0"}
    single = sum(p.numel() for p in small().parameters())
    decoder = sum(p.numel() for p in network.decoders[0].parameters())
    assert sum(p.numel() for p in network.parameters()) == single + decoder


def test_one_decoder_is_the_default():
    assert torch.equal(small()(image(32, 32)), small(heads=[4])(image(32, 32)))


@pytest.mark.parametrize("settings", BUILDS)
def test_one_step_changes_every_parameter(settings):
    network = small(**settings).train()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    (network(image(33, 48)) - image(33, 48).mean()).square().sum().backward()
    torch.optim.SGD(network.parameters(), lr=1).step()
    moved = {name: (p - before[name]).norm().item() for name, p in network.named_parameters()}
    assert {name for name, distance in moved.items() if distance < 1e-9} == set(), "rounding alone moves 1e-15"


@pytest.mark.parametrize("settings", BUILDS)
def test_in_evaluation_an_image_does_not_depend_on_its_batch_or_memory_layout(settings):
    network, x = small(**settings), image(33, 48)
    together = network(x)
    torch.testing.assert_close(network(x[1:]), together[1:])
    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(x.contiguous(memory_format=torch.channels_last)), together)


def test_the_same_seed_gives_the_same_gradients_to_the_last_bit():
    def gradients() -> list[Tensor]:
        network = small(heads=[2, 2]).float().train()
        network(image(33, 48).float()).square().sum().backward()
        return [p.grad for p in network.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(gradients(), gradients(), strict=True))


def test_shapes_can_be_rehearsed_without_memory():
    with torch.device("meta"):
        assert HeatmapUNet(heads=[2, 2])(torch.zeros(8, 1, 871, 1279)).shape == (8, 4, 436, 640)


def test_other_points_and_colour_images_are_taken_where_asked_for():
    network = HeatmapUNet(points=2, in_channels=3, widths=SMALL).eval()
    assert network(torch.rand(1, 3, 20, 20)).shape == (1, 2, 10, 10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"heads": [2, 1]}, r"heads \[2, 1\].*4 in all"),
        ({"heads": [4, 0]}, r"heads \[4, 0\].*at least one"),
        ({"points": 0}, r"heads \[0\]"),
        ({"heads": [], "points": 0}, r"heads \[\]"),
        ({"stride": 4}, "stride 4: choose 1 or 2"),
        ({"widths": [8, 16]}, r"stride 2.*3 widths: \[8, 16\]"),
        ({"widths": [8], "stride": 1}, r"stride 1.*2 widths: \[8\]"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        HeatmapUNet(**settings)


@pytest.mark.parametrize("shape", [(1, 1, 3, 40), (1, 3, 32, 32), (1, 32, 32)])
def test_images_that_do_not_fit_are_named(shape):
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\).*4 px.*\(1, [\d, ]+\)$"):
        small()(torch.rand(shape, dtype=torch.double))
