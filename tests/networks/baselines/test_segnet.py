"""SegNet is VGG16 there and back, and what it unpools goes where the maxima were."""

import pytest
import torch
import torch.nn.functional as F

from ushydra_lab.networks.baselines.segnet import SegNet

SMALL = (4, 5, 6, 7, 8)


def small(**settings) -> SegNet:
    torch.manual_seed(0)
    return SegNet(3, widths=SMALL, **settings)


def test_the_encoder_is_vgg16_with_batch_norm_and_the_decoder_its_mirror_image():
    with torch.device("meta"):
        network = SegNet(11, in_channels=3)
    convolutions = [m for m in network.modules() if isinstance(m, torch.nn.Conv2d)]
    encoder, decoder = convolutions[:13], convolutions[13:]
    assert sum(p.numel() for p in network.encoder.parameters()) == 14_714_688 + 2 * 4224 - 4224, "no conv biases"
    assert [c.in_channels for c in decoder[:-1]] == [c.out_channels for c in reversed(encoder[1:])]
    assert [c.out_channels for c in decoder] == [c.in_channels for c in reversed(encoder[1:])] + [11]


@pytest.mark.parametrize("size", [(32, 64), (33, 47), (101, 63)])
def test_logits_have_the_images_size_even_of_one_image_in_training(size):
    assert small()(torch.rand(1, 1, *size)).shape == (1, 3, *size)


def test_each_decoder_stage_starts_from_the_values_below_at_the_encoders_maxima():
    network, maxima, unpooled, below = small().eval(), [], [], []
    for stage in network.encoder:
        stage.register_forward_hook(lambda module, args, out: maxima.append(out.detach()))
    for stage in network.decoder:
        stage.register_forward_pre_hook(lambda module, args: unpooled.append(args[0].detach()))
        stage.register_forward_hook(lambda module, args, out: below.append(out.detach()))
    network(torch.rand(2, 1, 64, 96))
    below = [F.max_pool2d(maxima[-1], 2), *below]
    for features, sparse, values in zip(reversed(maxima), unpooled, below, strict=False):
        b, c, h, w = features.shape
        windows = features.view(b, c, h // 2, 2, w // 2, 2).transpose(3, 4).flatten(4)
        placed = F.one_hot(windows.argmax(4), 4) * values[..., None]
        torch.testing.assert_close(sparse, placed.unflatten(4, (2, 2)).transpose(3, 4).reshape(b, c, h, w))


def test_one_step_changes_every_parameter():
    network = small().double()
    before = {key: p.detach().clone() for key, p in network.named_parameters()}
    target = torch.randint(3, (2, 64, 96))
    F.cross_entropy(network(torch.rand(2, 1, 64, 96, dtype=torch.double)), target).backward()
    torch.optim.SGD(network.parameters(), lr=1).step()
    assert {key for key, p in network.named_parameters() if (p - before[key]).norm() < 1e-9} == set()


def test_in_evaluation_an_image_does_not_depend_on_its_batch_or_memory_layout():
    network = small().double().eval()
    x = torch.rand(3, 1, 64, 96, dtype=torch.double)
    together = network(x)
    torch.testing.assert_close(network(x[1:2]), together[1:2])
    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(x.contiguous(memory_format=torch.channels_last)), together)


def test_a_rehearsal_on_the_meta_device_makes_no_weights():
    with torch.device("meta"):
        assert small()(torch.empty(2, 1, 33, 64)).shape == (2, 3, 33, 64)


def test_what_does_not_fit_is_named():
    with pytest.raises(ValueError, match=r"5 stages.*\[4, 8\]"):
        SegNet(2, widths=[4, 8])
    with pytest.raises(ValueError, match=r"32 px.*\(1, 1, 31, 64\)"):
        small()(torch.rand(1, 1, 31, 64))
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\).*\(1, 1, 64, 64\)"):
        small(in_channels=3)(torch.rand(1, 1, 64, 64))
