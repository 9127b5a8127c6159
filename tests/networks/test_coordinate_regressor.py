"""The regressor's points are canvas px, and it can tell where things are."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ushydra_lab.networks.coordinate_regressor import CoordinateRegressor

SMALL = (4, 6, 8)


def small(**settings) -> CoordinateRegressor:
    torch.manual_seed(0)
    return CoordinateRegressor(**{"widths": SMALL, **settings}).double().eval()


def image(*size: int) -> Tensor:
    return torch.randn(2, 1, *size, generator=torch.Generator().manual_seed(0), dtype=torch.double)


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (4, 4), (5, 31)])
def test_every_size_gives_as_many_points_as_asked_for(size):
    assert small(points=3)(image(*size)).shape == (2, 3, 2)


def test_points_are_x_and_y_as_parts_of_the_canvas_from_its_middle():
    network = small()
    nn.init.zeros_(network.to_points.weight)
    nn.init.zeros_(network.to_points.bias)
    network.to_points.bias.data[2:4] = torch.tensor([-0.25, 0.5])
    points = network(image(32, 48))
    assert points[0].tolist() == [[24, 16], [12, 32], [24, 16], [24, 16]]


def test_an_image_that_needs_padding_is_extended_by_its_border_and_its_points_stay():
    network, x = small(), image(37, 50)
    extended = torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), (0, 3), (0, 2)), mode="edge"))
    torch.testing.assert_close(network(x), network(extended))


def dots(count: int) -> tuple[Tensor, Tensor]:
    """Images 32x32 with a bright 3x3 square, and its centre in px (x, y)."""
    generator = torch.Generator().manual_seed(1)
    at, x = torch.randint(2, 30, (count, 2), generator=generator), torch.zeros(count, 1, 32, 32)
    for one, (column, row) in zip(x, at.tolist(), strict=True):
        one[:, row - 1 : row + 2, column - 1 : column + 2] = 3
    return x, at + 0.5


def test_it_learns_to_point_at_a_dot():
    torch.manual_seed(0)
    network, (x, at) = CoordinateRegressor(points=1, widths=(4, 8, 8, 8)), dots(208)
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for step in range(60):
        batch = slice(16 * (step % 12), 16 * (step % 12) + 16)
        optimizer.zero_grad()
        (network(x[batch])[:, 0] - at[batch]).abs().mean().backward()
        optimizer.step()
    unseen = (network.eval()(x[192:])[:, 0] - at[192:]).norm(dim=1)
    assert unseen.mean() < 4, "guessing the middle is 12 px off"


def test_one_step_changes_every_parameter():
    network = small().train()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    network(image(33, 48)).square().sum().backward()
    torch.optim.SGD(network.parameters(), lr=1).step()
    moved = {name: (p - before[name]).norm().item() for name, p in network.named_parameters()}
    assert {name for name, distance in moved.items() if distance < 1e-9} == set(), "rounding alone moves 1e-15"


def test_in_evaluation_an_image_does_not_depend_on_its_batch_or_memory_layout():
    network, x = small(), image(33, 48)
    together = network(x)
    torch.testing.assert_close(network(x[1:]), together[1:])
    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(x.contiguous(memory_format=torch.channels_last)), together)


def test_the_same_seed_gives_the_same_gradients_to_the_last_bit():
    def gradients() -> list[Tensor]:
        network = small().float().train()
        network(image(33, 48).float()).square().sum().backward()
        return [p.grad for p in network.parameters()]

    assert all(torch.equal(a, b) for a, b in zip(gradients(), gradients(), strict=True))


def test_points_keep_their_precision_under_autocast():
    network = small().float()
    nn.init.zeros_(network.to_points.weight)
    nn.init.constant_(network.to_points.bias, 0.2003)
    with torch.autocast("cpu", torch.bfloat16):
        points = network(image(32, 32).float())
    torch.testing.assert_close(points, torch.full((2, 4, 2), 0.7003 * 32), rtol=1e-6, atol=0)


def test_shapes_can_be_rehearsed_without_memory():
    with torch.device("meta"):
        assert CoordinateRegressor()(torch.zeros(8, 1, 871, 1279)).shape == (8, 4, 2)


def test_colour_images_are_taken_where_asked_for():
    assert small(in_channels=3)(image(20, 20).repeat(1, 3, 1, 1)).shape == (2, 4, 2)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"points": 0}, "points=0"),
        ({"widths": [8]}, r"two widths.*\[8\]"),
        ({"widths": [8, -8]}, r"at least one channel.*\[8, -8\]"),
    ],
)
def test_settings_that_do_not_fit_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        small(**settings)


@pytest.mark.parametrize("shape", [(1, 1, 3, 40), (1, 3, 32, 32), (1, 32, 32)])
def test_images_that_do_not_fit_are_named(shape):
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\).*4 px.*\(1, [\d, ]+\)$"):
        small()(torch.rand(shape, dtype=torch.double))
