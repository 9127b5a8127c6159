"""The Attention U-Net has the sizes it says, takes images of any size, and its gates are what they are called."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from ushydra_lab.networks.attention_unet import AttentionUNet
from ushydra_lab.networks.unet import AttentionGate

SMALL = (4, 6, 8, 10, 12)
BUILDS = [{"upsampling": "transposed"}, {"upsampling": "bilinear"}, {"attention": False}]


def small(**settings) -> AttentionUNet:
    torch.manual_seed(0)
    return AttentionUNet(3, widths=SMALL, **settings)


@pytest.mark.parametrize(
    ("settings", "parameters"),
    [
        ({}, 31_387_244),
        ({"upsampling": "bilinear"}, 34_869_804),
        ({"upsampling": "bilinear", "widths": [42 * 2**level for level in range(5)]}, 15_020_997),
        ({"attention": False}, 31_036_676),
    ],
)
def test_parameters_are_those_of_the_described_builds(settings, parameters):
    with torch.device("meta"):
        network = AttentionUNet(4, **settings)
    assert sum(p.numel() for p in network.parameters()) == parameters


def test_each_width_is_a_level_of_half_the_size():
    with torch.device("meta"):
        network = AttentionUNet(4)
        x = torch.empty(1, 1, 256, 256)
    shapes = []
    for block in network.encoder:
        block.register_forward_hook(lambda module, args, out: shapes.append(tuple(out.shape[1:])))
    assert network(x).shape == (1, 4, 256, 256)
    assert shapes == [(64, 256, 256), (128, 128, 128), (256, 64, 64), (512, 32, 32), (1024, 16, 16)]


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (17, 16), (16, 95)])
@pytest.mark.parametrize("settings", BUILDS)
def test_logits_have_the_images_size(settings, size):
    assert small(**settings).eval()(torch.rand(2, 1, *size)).shape == (2, 3, *size)


def test_an_image_that_needs_padding_is_extended_by_its_border_and_cropped_back():
    network = small().double().eval()
    x = torch.rand(1, 1, 37, 50, dtype=torch.double)
    extended = torch.from_numpy(np.pad(x.numpy(), ((0, 0), (0, 0), (5, 6), (7, 7)), mode="edge"))
    torch.testing.assert_close(network(x), network(extended)[..., 5:42, 7:57])


@pytest.mark.parametrize("settings", BUILDS)
def test_one_step_changes_every_parameter(settings):
    network = small(**settings).double()
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    target = torch.randint(3, (2, 32, 48))
    F.cross_entropy(network(torch.rand(2, 1, 32, 48, dtype=torch.double)), target).backward()
    torch.optim.SGD(network.parameters(), lr=1).step()
    moved = {name: (p - before[name]).norm().item() for name, p in network.named_parameters()}
    assert {name for name, distance in moved.items() if distance < 1e-9} == set(), "rounding alone moves 1e-15"


def test_a_gate_is_the_published_formula_with_batch_norm():
    torch.manual_seed(1)
    gate = AttentionGate(6).double().eval()
    for module in gate.modules():
        if isinstance(module, nn.BatchNorm2d):
            for values in (module.weight.data, module.bias.data, module.running_mean, module.running_var):
                values.uniform_(0.5, 2)
    skip, signal = torch.randn(2, 2, 6, 5, 7, dtype=torch.double).unbind()

    def linear(layer: nn.Sequential, x: np.ndarray) -> np.ndarray:
        mixed = np.einsum("oc,bchw->bohw", layer[0].weight.detach().numpy()[..., 0, 0], x)
        norm = {name: value.numpy()[:, None, None] for name, value in layer[1].state_dict().items() if value.ndim}
        scaled = (mixed - norm["running_mean"]) / np.sqrt(norm["running_var"] + 1e-5)
        return scaled * norm["weight"] + norm["bias"]

    joined = np.maximum(linear(gate.skip, skip.numpy()) + linear(gate.signal, signal.numpy()), 0)
    expected = 1 / (1 + np.exp(-linear(gate.psi, joined)))
    assert expected.shape == (2, 1, 5, 7)
    np.testing.assert_allclose(gate(skip, signal).detach().numpy(), expected, rtol=1e-12)


def set_gates(network: AttentionUNet, logit: float) -> None:
    for block in network.decoder:
        nn.init.zeros_(block.gate.psi[1].weight)
        nn.init.constant_(block.gate.psi[1].bias, logit)


def test_with_open_gates_it_is_the_plain_unet():
    network, plain = small().eval(), small(attention=False).eval()
    set_gates(network, 100)
    plain.load_state_dict({name: value for name, value in network.state_dict().items() if ".gate." not in name})
    x = torch.rand(1, 1, 32, 48)
    assert torch.equal(network(x), plain(x))


def test_closed_gates_leave_the_decoder_only_what_comes_from_below():
    network = small().eval()
    set_gates(network, -1000)
    joined = []
    for block in network.decoder:
        block.conv.register_forward_pre_hook(lambda module, args: joined.append(args[0]))
    network(torch.rand(1, 1, 32, 48))
    for features in joined:
        skip, below = features.chunk(2, 1)
        assert (skip == 0).all()
        assert (below != 0).any()


def test_attention_maps_are_the_gates_at_the_images_size_finest_first():
    network = small().eval()
    seen = []
    for block in network.decoder:
        block.gate.register_forward_hook(lambda module, args, out: seen.append(out))
    x = torch.rand(2, 1, 40, 48)
    maps = network.gates(x)
    assert maps.shape == (2, 4, 40, 48)
    assert not maps.requires_grad
    assert ((maps > 0) & (maps < 1)).all()
    for level, gate in enumerate(reversed(seen)):
        enlarged = gate.repeat_interleave(2**level, 2).repeat_interleave(2**level, 3)
        assert torch.equal(maps[:, level], enlarged[:, 0, 4:44])


def test_fresh_gates_are_half_open_on_average():
    gates = AttentionUNet(3, widths=SMALL).gates(torch.rand(4, 1, 64, 64))
    assert gates.mean((0, 2, 3)) == pytest.approx([0.5] * 4, abs=0.1)


@pytest.mark.parametrize("settings", BUILDS)
def test_in_evaluation_an_image_does_not_depend_on_its_batch_or_memory_layout(settings):
    network = small(**settings).double().eval()
    x = torch.rand(3, 1, 32, 48, dtype=torch.double)
    together = network(x)
    torch.testing.assert_close(network(x[1:2]), together[1:2])
    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(x.contiguous(memory_format=torch.channels_last)), together)


def test_a_colour_image_is_taken_where_asked_for():
    assert AttentionUNet(2, in_channels=3, widths=SMALL).eval()(torch.rand(1, 3, 20, 20)).shape == (1, 2, 20, 20)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"'nearest'.*transposed or bilinear"):
        AttentionUNet(2, upsampling="nearest")
    with pytest.raises(ValueError, match=r"two widths.*\[64\]"):
        AttentionUNet(2, widths=[64])
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\).*16 px.*\(1, 1, 15, 40\)"):
        small()(torch.rand(1, 1, 15, 40))
    with pytest.raises(ValueError, match=r"\(1, 3, 32, 32\)"):
        small()(torch.rand(1, 3, 32, 32))
    with pytest.raises(ValueError, match="no gates"):
        small(attention=False).gates(torch.rand(1, 1, 32, 32))
