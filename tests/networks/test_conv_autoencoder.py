"""The autoencoder has the printed sizes and gives back the input's size whatever it is."""

import pytest
import torch
from torch import nn

from ushydra_lab.networks.conv_autoencoder import THUMBNAIL, ConvAutoencoder, RunningStandardise, grid_pool

SMALL = {"widths": (2, 4, 4, 8), "latent_dim": 5}


def test_as_printed_it_has_the_papers_parameters_and_sizes():
    with torch.device("meta"):
        network = ConvAutoencoder((872, 1280), decoder_input="latent", auxiliary="detached")
        x = torch.empty(1, 1, 872, 1280)
    z, features = network.encode(x)
    assert sum(p.numel() for p in network.parameters()) == 146_782_273
    assert z.shape == (1, 128)
    assert features.shape == (1, 256, 55, 80)
    assert network(x).shape == x.shape
    slopes = [layer.negative_slope for layer in network.modules() if isinstance(layer, nn.LeakyReLU)]
    assert slopes == [0.1] * 7


@pytest.mark.parametrize("canvas", [(32, 48), (33, 47), (17, 16), (30, 63)])
@pytest.mark.parametrize("decoder_input", ["map", "latent", "grid"])
def test_output_has_the_inputs_size_and_range(canvas, decoder_input):
    network = ConvAutoencoder(canvas, decoder_input, grid=(1, 1), **SMALL)
    out = network(torch.rand(2, 1, *canvas))
    assert out.shape == (2, 1, *canvas)
    assert ((out >= 0) & (out <= 1)).all()


@pytest.mark.parametrize("decoder_input", ["map", "latent", "grid"])
def test_forward_is_decode_of_encode(decoder_input):
    network = ConvAutoencoder((40, 56), decoder_input, grid=(2, 3), **SMALL)
    x = torch.rand(2, 1, 40, 56)
    z, features = network.encode(x)
    assert torch.equal(network(x), network.decode(features if decoder_input == "map" else z))


def test_reconstruction_is_aligned_with_an_input_that_needs_padding():
    """The same content must come out at the same place whether or not padding was needed."""
    network = ConvAutoencoder((80, 80), **SMALL).double()
    x = torch.zeros(1, 1, 80, 80, dtype=torch.double)
    x[..., 32:48, 32:48] = torch.rand(16, 16)
    cropped = x[..., 4:-4, 4:-4]
    torch.testing.assert_close(network(cropped), network(x)[..., 4:-4, 4:-4])


def test_padding_makes_no_edge_at_a_bright_border():
    network = ConvAutoencoder((48, 64), **SMALL).double()
    bright = torch.full((1, 1, 48, 64), 0.8, dtype=torch.double)
    torch.testing.assert_close(network(bright[..., 3:-4, 3:-4]), network(bright)[..., 3:-4, 3:-4])


def test_map_takes_images_of_any_size():
    network = ConvAutoencoder((32, 48), **SMALL)
    assert network(torch.rand(1, 1, 50, 20)).shape == (1, 1, 50, 20)


def test_in_map_mode_the_code_is_a_frozen_projection_and_all_else_learns():
    network = ConvAutoencoder((32, 48), **SMALL)
    network(torch.rand(2, 1, 32, 48)).sum().backward()
    without = {name for name, p in network.named_parameters() if p.grad is None}
    assert without == {name for name, p in network.named_parameters() if not p.requires_grad}
    assert without == {"to_code.weight", "to_code.bias"}


def test_an_auxiliary_decoder_leaves_all_other_weights_and_the_random_stream_as_they_are():
    built = {}
    for auxiliary in ("none", "detached", "joint"):
        torch.manual_seed(0)
        built[auxiliary] = ConvAutoencoder((32, 48), auxiliary=auxiliary, **SMALL).state_dict(), torch.rand(3)
    without, drawn = built.pop("none")
    for weights, after in built.values():
        assert all(torch.equal(weights[name], values) for name, values in without.items())
        assert {name.partition(".")[0] for name in weights.keys() - without.keys()} == {"standardise", "thumbnail"}
        assert torch.equal(after, drawn)


@pytest.mark.parametrize(("auxiliary", "encoder_learns"), [("detached", False), ("joint", True)])
def test_the_auxiliary_decoder_trains_the_code_and_the_encoder_only_where_told(auxiliary, encoder_learns):
    network = ConvAutoencoder((32, 48), auxiliary=auxiliary, **SMALL)
    x = torch.rand(2, 1, 32, 48)
    reconstruction, thumbnail = network.with_thumbnail(x)
    assert torch.equal(reconstruction, network(x))
    assert thumbnail.shape == (2, 1, *THUMBNAIL)
    assert ((thumbnail >= 0) & (thumbnail <= 1)).all()
    thumbnail.sum().backward()
    trained = {name.partition(".")[0] for name, p in network.named_parameters() if p.grad is not None}
    assert trained == {"to_code", "thumbnail"} | ({"encoder"} if encoder_learns else set())


def test_a_code_that_learns_stands_on_averages_without_their_common_part():
    torch.manual_seed(0)
    standardise = RunningStandardise(3)
    batches = torch.randn(200, 8, 3) * torch.tensor([0.1, 1.0, 5.0]) + torch.tensor([9.0, 0.0, -2.0])
    for batch in batches:
        standardise(batch)
    assert standardise(batches[0, :1]).isfinite().all(), "a batch may be one image"
    found = standardise.eval()(batches.flatten(0, 1))
    torch.testing.assert_close(found.mean(0), torch.zeros(3), atol=0.3, rtol=0)
    torch.testing.assert_close(found.std(0), torch.ones(3), atol=0.3, rtol=0)
    assert torch.equal(standardise(batches[0]), standardise(batches[0])), "nothing moves in evaluation"


@pytest.mark.parametrize("decoder_input", ["latent", "grid"])
def test_where_the_decoder_reads_the_code_everything_learns(decoder_input):
    network = ConvAutoencoder((32, 48), decoder_input, grid=(2, 2), **SMALL)
    network(torch.rand(2, 1, 32, 48)).sum().backward()
    assert all(p.grad is not None for p in network.parameters())


def test_code_is_the_projected_global_average():
    network = ConvAutoencoder((48, 64), **SMALL)
    z, features = network.encode(torch.rand(2, 1, 48, 64))
    torch.testing.assert_close(z, network.to_code(features.mean((2, 3))))


def test_grid_code_tells_where_and_the_printed_one_does_not():
    left, right = torch.zeros(2, 1, 3, 4, 8).unbind()
    left[..., 0], right[..., 7] = 1, 1
    assert torch.equal(grid_pool(left, (1, 1)), grid_pool(right, (1, 1)))
    assert not torch.equal(grid_pool(left, (2, 4)), grid_pool(right, (2, 4)))


@pytest.mark.parametrize("grid", [(1, 1), (4, 6), (5, 7), (55, 80)])
def test_grid_pooling_is_the_librarys(grid):
    features = torch.rand(2, 3, 55, 80, dtype=torch.double)
    torch.testing.assert_close(grid_pool(features, grid), nn.functional.adaptive_avg_pool2d(features, grid))


def test_channels_last_gives_the_same_reconstruction():
    network = ConvAutoencoder((32, 48), **SMALL)
    x = torch.rand(2, 1, 32, 48)
    expected = network(x)
    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(x.contiguous(memory_format=torch.channels_last)), expected)


def test_reconstruction_keeps_its_precision_under_autocast():
    network = ConvAutoencoder((32, 48), **SMALL)
    with torch.autocast("cpu", torch.bfloat16):
        assert network(torch.rand(1, 1, 32, 48)).dtype == torch.float32


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"decoder_input": "vector"}, "'vector'.*map, latent or grid"),
        ({"widths": []}, r"needs a width.*widths=\[\]"),
        ({"widths": [4, 0]}, r"at least one channel.*widths=\[4, 0\]"),
        ({"latent_dim": 0}, r"in z.*latent_dim=0"),
        ({"auxiliary": "much"}, "'much'.*none, detached or joint"),
        ({"canvas": (0, 48)}, "canvas"),
        ({"decoder_input": "grid", "grid": (4, 6)}, r"grid \(4, 6\).*2x3 map"),
        ({"decoder_input": "grid", "grid": (0, 1)}, r"grid \(0, 1\)"),
    ],
)
def test_arguments_that_do_not_fit_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        ConvAutoencoder(**{"canvas": (32, 48), **SMALL, **arguments})


def test_images_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\).*\(2, 3, 32, 48\)"):
        ConvAutoencoder((32, 48), **SMALL)(torch.rand(2, 3, 32, 48))
    with pytest.raises(ValueError, match=r"canvas \(32, 48\).*\(32, 64\)"):
        ConvAutoencoder((32, 48), "latent", **SMALL)(torch.rand(2, 1, 32, 64))
