"""The classifiers have the sizes published for them, learn in every weight, and take the images they say."""

import pytest
import torch
import torch.nn.functional as F

from ushydra_lab.networks.baselines.densenet import DenseNet121
from ushydra_lab.networks.baselines.resnet import ResNet
from ushydra_lab.networks.baselines.vit import ViT

ANY_SIZE = {
    "resnet18": lambda **settings: ResNet(3, 18, width=8, **settings),
    "resnet50": lambda **settings: ResNet(3, 50, width=4, **settings),
    "densenet121": lambda **settings: DenseNet121(3, growth=4, **settings),
}
BUILDS = ANY_SIZE | {"vit": lambda **settings: ViT(3, (64, 96), hidden_size=24, layers=2, heads=3, **settings)}


def build(name: str, **settings) -> torch.nn.Module:
    torch.manual_seed(0)
    return BUILDS[name](**settings)


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (lambda: ViT(1000, in_channels=3), 86_567_656),
        (lambda: ResNet(1000, 18, in_channels=3), 11_689_512),
        (lambda: ResNet(1000, 50, in_channels=3), 25_557_032),
        (lambda: DenseNet121(1000, in_channels=3), 7_978_856),
    ],
)
def test_for_imagenet_parameters_are_as_many_as_published(network, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in network().parameters()) == parameters


@pytest.mark.parametrize("name", BUILDS)
def test_one_step_changes_every_parameter(name):
    network = build(name).double()
    before = {key: p.detach().clone() for key, p in network.named_parameters()}
    logits = network(torch.rand(4, 1, 64, 96, dtype=torch.double))
    assert logits.shape == (4, 3)
    F.cross_entropy(logits, torch.tensor([0, 1, 2, 0])).backward()
    torch.optim.SGD(network.parameters(), lr=1).step()
    still = {key for key, p in network.named_parameters() if (p - before[key]).norm() < 1e-10}
    # A key's bias adds the same to all of a token's scores, which the softmax takes away again.
    assert {key for key in still if not key.endswith("k_proj.bias")} == set()


@pytest.mark.parametrize("name", BUILDS)
def test_in_evaluation_an_image_does_not_depend_on_its_batch_or_memory_layout(name):
    network = build(name).double().eval()
    x = torch.rand(3, 1, 64, 96, dtype=torch.double)
    together = network(x)
    assert together.std(0).min() > 0
    torch.testing.assert_close(network(x[1:2]), together[1:2])
    network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(network(x.contiguous(memory_format=torch.channels_last)), together)


@pytest.mark.parametrize("name", BUILDS)
def test_the_same_seed_gives_the_same_weights(name):
    assert all(torch.equal(a, b) for a, b in zip(build(name).parameters(), build(name).parameters(), strict=True))


@pytest.mark.parametrize("name", BUILDS)
def test_a_rehearsal_on_the_meta_device_makes_no_weights(name):
    with torch.device("meta"):
        logits = build(name)(torch.empty(2, 1, 64, 96))
    assert (logits.shape, logits.device.type) == ((2, 3), "meta")


@pytest.mark.parametrize("name", ANY_SIZE)
@pytest.mark.parametrize("size", [(64, 64), (65, 101)])
def test_an_epoch_may_end_on_one_image_of_any_size(name, size):
    assert build(name)(torch.rand(1, 1, *size)).shape == (1, 3)


@pytest.mark.parametrize("name", BUILDS)
def test_images_of_other_channels_or_too_small_are_refused(name):
    assert build(name, in_channels=3)(torch.rand(2, 3, 64, 96)).shape == (2, 3)
    for wrong in [(2, 3, 64, 96), (2, 1, 63, 96), (1, 64, 96)]:
        with pytest.raises(ValueError, match=rf"\(B, 1, .*got \({', '.join(map(str, wrong))}\)"):
            build(name)(torch.rand(wrong))


def test_settings_that_do_not_fit_are_named():
    with pytest.raises(ValueError, match=r"34 layers.*18 or 50"):
        ResNet(2, 34)
    with pytest.raises(ValueError, match=r"\[100, 128\].*16 px"):
        ViT(2, (100, 128))
    with pytest.raises(ValueError, match=r"hidden_size=100.*heads=12"):
        ViT(2, hidden_size=100)
    with pytest.raises(ValueError, match=r"\(B, 1, 64, 96\).*\(2, 1, 96, 64\)"):
        build("vit")(torch.rand(2, 1, 96, 64))
