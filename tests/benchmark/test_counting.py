"""What is counted agrees with closed forms."""

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ushydra_lab.benchmark.counting import Count, Operation, peak_bytes
from ushydra_lab.losses.ms_ssim import ms_ssim
from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder

CPU = torch.device("cpu")
MIB = 2**20


def test_a_linear_layer_costs_two_operations_a_weight_and_row_forward_and_twice_that_backward() -> None:
    layer, x = nn.Linear(30, 20, bias=False), torch.rand(8, 30, requires_grad=True)
    with Count() as forward:
        y = layer(x)
    with Count() as backward:
        y.sum().backward()
    assert forward.flops == 2 * 8 * 30 * 20
    assert backward.flops == 2 * forward.flops


def test_the_autoencoder_s_convolutions_cost_what_their_shapes_say() -> None:
    network = ConvAutoencoder((176, 256), widths=(4, 8))
    with Count() as count, torch.no_grad():
        network(torch.rand(2, 1, 176, 256))
    channels = [(1, 4, 88 * 128), (4, 8, 44 * 64)]  # each output pixel of a 4x4 convolution; transposed ones mirror it
    expected = 2 * sum(2 * 2 * 16 * a * b * pixels for a, b, pixels in channels) + 2 * 2 * 8 * 8 * 44 * 64
    assert count.flops == expected


def test_operations_of_a_training_step_are_those_of_torch_s_own_counter() -> None:
    network, x = ConvAutoencoder((176, 192), widths=(2, 4, 4, 8)), torch.rand(2, 1, 176, 192)

    def step() -> None:
        (1 - ms_ssim(network(x), x)).mean().backward()

    with Count() as ours:
        step()
    with FlopCounterMode(display=False) as theirs:
        step()
    assert ours.flops == theirs.get_total_flops() > 0


@pytest.mark.parametrize(
    ("work", "passes"),
    [
        (lambda a, b: a + b, 3),
        (lambda a, b: a.add_(b), 3),
        (lambda a, b: b.copy_(a), 3),
        (lambda a, b: a.view(10, 100).T, 0),
        (lambda a, b: torch.empty_like(a), 0),
    ],
    ids=["new", "in place", "copy", "view", "allocation"],
)
def test_every_operand_and_result_is_moved_once_and_a_view_moves_nothing(work, passes: int) -> None:
    a, b = torch.rand(1000), torch.rand(1000)
    with Count() as count:
        work(a, b)
    assert count.moved == passes * 4000


def test_the_least_time_is_that_of_the_scarcer_of_operations_and_bytes_one_after_the_other() -> None:
    count = Count()
    count.operations = [Operation(flops=100, moved=1), Operation(flops=1, moved=40)]
    assert count.least_seconds(flops_per_s=10, bytes_per_s=20) == 100 / 10 + 40 / 20


def test_the_peak_counts_what_is_held_at_once() -> None:
    def work() -> None:
        a = torch.zeros(MIB)
        b = a + 1
        del a
        c = b + 1
        del b, c

    assert peak_bytes(work, CPU) == pytest.approx(2 * 4 * MIB, rel=1e-4)
