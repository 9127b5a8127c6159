"""torchvision's networks take one channel; without torchvision they say what to install."""

import sys

import pytest
import torch
import torch.nn.functional as F

from ushydra_lab.errors import UserError
from ushydra_lab.networks.baselines.torchvision_networks import VGG16, ResNet50Segmenter, torchvision_models

HEADS = ["fcn", "deeplabv3"]


@pytest.fixture
def installed():
    try:
        torchvision_models("VGG16")
    except UserError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("build", [lambda: VGG16(2), lambda: ResNet50Segmenter(2, "fcn")])
def test_without_torchvision_it_says_what_to_install(monkeypatch, build):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    monkeypatch.delitem(sys.modules, "torchvision.models", raising=False)
    with pytest.raises(UserError, match=r"(VGG16|fcn) is .*pip install torchvision.*torch \d"):
        build()


def test_a_torchvision_for_another_torch_is_told_as_such(monkeypatch, tmp_path):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text("raise RuntimeError('operator torchvision::nms is missing')")
    for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(UserError, match=r"torchvision::nms is missing.*made for torch"):
        VGG16(2)


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        (lambda: VGG16(1000, in_channels=3), 138_357_544),
        (lambda: ResNet50Segmenter(21, "fcn", in_channels=3), 35_322_218 - 2_365_205),
        (lambda: ResNet50Segmenter(21, "deeplabv3", in_channels=3), 42_004_074 - 2_365_205 - 2 * 256),
    ],
)
def test_parameters_are_as_many_as_published_without_auxiliary_head(network, parameters):
    with torch.device("meta"):
        assert sum(p.numel() for p in network().parameters()) == parameters


@pytest.mark.usefixtures("installed")
def test_vgg_gives_class_logits_and_learns():
    network = VGG16(3)
    F.cross_entropy(network(torch.rand(1, 1, 33, 47)), torch.tensor([1])).backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("head", HEADS)
def test_segmenters_give_logits_of_the_images_size_even_of_one_image_in_training(head):
    network = ResNet50Segmenter(3, head)
    logits = network(torch.rand(1, 1, 33, 47))
    assert logits.shape == (1, 3, 33, 47)
    F.cross_entropy(logits, torch.zeros(1, 33, 47, dtype=torch.long)).backward()
    assert all(p.grad is not None for p in network.parameters())


@pytest.mark.usefixtures("installed")
def test_images_of_other_channels_or_too_small_are_refused():
    with torch.device("meta"):
        networks = [VGG16(2), *(ResNet50Segmenter(2, head) for head in HEADS)]
        for network in networks:
            with pytest.raises(ValueError, match=r"\(B, 1, H, W\).*32 px"):
                network(torch.empty(1, 3, 64, 64))


def test_an_unknown_head_is_named():
    with pytest.raises(ValueError, match=r"'unet'.*fcn or deeplabv3"):
        ResNet50Segmenter(2, "unet")
