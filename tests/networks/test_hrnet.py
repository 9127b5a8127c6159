"""The high-resolution network's cells lie where they are said to for every size, and its branches feed each other."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ushydra_lab.networks.hrnet import HRNet

SMALL = (4, 6, 8)


def small(modules: int = 1, **settings) -> HRNet:
    torch.manual_seed(0)
    return HRNet(widths=SMALL, modules=modules, **settings).double().eval()


def image(*size: int) -> Tensor:
    return torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(0), dtype=torch.double)


def silence(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)


def test_it_is_compact():
    with torch.device("meta"):
        assert sum(p.numel() for p in HRNet().parameters()) == 1_224_644


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (16, 16), (17, 95)])
def test_heatmaps_have_a_cell_for_every_4_px(size):
    assert small()(image(*size)).shape == (2, 4, *[-(-side // 4) for side in size])


def test_branches_have_a_4th_8th_and_16th_of_the_images_size():
    network, shapes = small(modules=2), []
    for block in network.units[1].blocks:
        block.register_forward_hook(lambda module, args, out: shapes.append(tuple(out.shape[1:])))
    network(image(64, 96))
    assert shapes == [(4, 16, 24), (6, 8, 12), (8, 4, 6)]


def test_heatmaps_move_with_the_image():
    """By 16 px, the smallest move that the coarsest branch follows exactly."""
    network, wide = small(), image(224, 240)
    here, there = network(wide[..., :224]), network(wide[..., 16:])
    torch.testing.assert_close(there[..., 22:-22, 22:-22], here[..., 22:-22, 26:-18])
    assert not torch.isclose(there[..., :1], here[..., 4:5]).all(), "borders differ"


def test_one_cell_is_4_px():
    """Seen with the finest branch alone, as the coarser ones follow only larger moves."""
    network, wide = small(), image(96, 100)
    for way in list(network.units[0].fusions[0])[1:]:
        silence(way)
    here, there = network(wide[..., :96]), network(wide[..., 4:])
    torch.testing.assert_close(there[..., 5:-5], here[..., 6:-4])
    assert here.std() > 0.01


def test_cells_lie_symmetrically_about_their_px():
    """A mirrored network mirrors the heatmaps of a mirrored image; a shift by any part of a cell would show."""
    mirrored, x = small(modules=2), image(64, 96)
    for layer in mirrored.modules():
        if isinstance(layer, nn.Conv2d):
            layer.weight.data = layer.weight.data.flip(-1)
    torch.testing.assert_close(mirrored(x.flip(-1)), small(modules=2)(x).flip(-1))


def test_an_odd_size_leaves_every_cell_in_its_place():
    network, x = small(), image(192, 192)
    torch.testing.assert_close(network(x[..., :187, :185])[..., :22, :22], network(x)[..., :22, :22])


def test_an_image_that_needs_padding_is_extended_by_its_border_and_cropped_back():
    network, x = small(), image(37, 50)
    extended = torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), (0, 11), (0, 14)), mode="edge"))
    torch.testing.assert_close(network(x), network(extended)[..., :10, :13])


@pytest.mark.parametrize("target", range(3))
@pytest.mark.parametrize("source", range(3))
def test_every_branch_feeds_every_branch(source, target):
    network = small(modules=2)
    branches = [image(32 // 2**level, 32 // 2**level).repeat(1, c, 1, 1) for level, c in enumerate(SMALL)]
    before = network.units[0](branches)
    branches[source] = branches[source] + 1
    assert not torch.isclose(network.units[0](branches)[target], before[target]).all()


def test_coarser_px_are_spread_over_the_finer_ones_they_cover():
    way = small().units[0].fusions[0][2]
    x = torch.zeros(1, 8, 3, 3, dtype=torch.double)
    spread = (way(x + 0) != way(torch.cat([x[..., :1, :], x[..., 1:2, :] + 1, x[..., 2:, :]], 2))).any(1)[0]
    assert spread.any(1).tolist() == [4 <= row < 8 for row in range(12)]


def test_a_residual_block_that_adds_nothing_passes_its_input_on():
    block = small(modules=2).units[1].blocks[1]
    silence(block)
    x = image(8, 8).abs().repeat(1, 6, 1, 1)
    assert torch.equal(block(x), x)


@pytest.mark.parametrize("modules", [1, 3])
def test_one_step_changes_every_parameter(modules):
    network, x = small(modules).train(), image(33, 48)
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    (network(x) - x.mean()).square().sum().backward()
    torch.optim.SGD(network.parameters(), lr=1).step()
    moved = {name: (p - before[name]).norm().item() for name, p in network.named_parameters()}
    assert {name for name, distance in moved.items() if distance < 1e-9} == set(), "rounding alone moves 1e-15"


def test_in_evaluation_an_image_does_not_depend_on_its_batch_or_memory_layout():
    network, x = small(modules=2), image(33, 48)
    together = network(x)
    torch.testing.assert_close(network(x[1:]), together[1:])
    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(x.contiguous(memory_format=torch.channels_last)), together)


def test_the_same_seed_gives_the_same_gradients_to_the_last_bit():
    def gradients() -> list[Tensor]:
        network = small(modules=2).float().train()
        network(image(33, 48).float()).square().sum().backward()
        return [p.grad for p in network.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(gradients(), gradients(), strict=True))


def test_shapes_can_be_rehearsed_without_memory():
    with torch.device("meta"):
        assert HRNet()(torch.zeros(8, 1, 871, 1279)).shape == (8, 4, 218, 320)


def test_other_points_and_colour_images_are_taken_where_asked_for():
    assert HRNet(points=2, in_channels=3, widths=SMALL).eval()(torch.rand(1, 3, 20, 20)).shape == (1, 2, 5, 5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"widths": [32, 64]}, r"three branches.*\[32, 64\]"),
        ({"widths": [32, 0, 64]}, r"at least one channel.*\[32, 0, 64\]"),
        ({"modules": 0}, "modules=0"),
        ({"points": 0}, "points=0"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        HRNet(**settings)


@pytest.mark.parametrize("shape", [(1, 1, 15, 40), (1, 3, 32, 32), (1, 32, 32)])
def test_images_that_do_not_fit_are_named(shape):
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\).*16 px.*\(1, [\d, ]+\)$"):
        small()(torch.rand(shape, dtype=torch.double))
