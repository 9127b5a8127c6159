"""What a network looked at, and one code an image, from inside any network."""

import pytest
import torch
from torch import Tensor, nn

from ushydra_lab.errors import UserError
from ushydra_lab.networks.activation import deepest_code, grad_cam, middle_code
from ushydra_lab.networks.attention_unet import AttentionUNet
from ushydra_lab.networks.baselines.resnet import ResNet
from ushydra_lab.networks.baselines.segnet import SegNet
from ushydra_lab.networks.baselines.vit import ViT
from ushydra_lab.networks.heatmap_unet import HeatmapUNet
from ushydra_lab.networks.hrnet import HRNet
from ushydra_lab.networks.hydra import HydraUNet, HydraViT

NETWORKS: dict[str, tuple[nn.Module, int]] = {
    "attention_unet": (AttentionUNet(2, widths=(4, 8, 12)), 12),
    "heatmap_unet": (HeatmapUNet(widths=(4, 8, 12)), 12),
    "hrnet": (HRNet(widths=(4, 8, 12)), 12),
    "segnet": (SegNet(2, widths=(4, 8, 8, 12, 12)), 12),
    "resnet": (ResNet(3, 18, width=8), 64),
    "vit": (ViT(3, canvas=(64, 64), hidden_size=24, layers=1, heads=2, patch_size=8), 24),
    "hydra_unet": (HydraUNet(2, 2, widths=(4, 8, 12)), 12),
    "hydra_vit": (HydraViT(3, 3, canvas=(64, 64), hidden_size=24, layers=1, heads=2, patch_size=8), 24),
}


def run(network: nn.Module, x: Tensor) -> Tensor:
    network.eval()
    if isinstance(network, HydraUNet | HydraViT):
        return deepest_code(network.encoders[0], lambda: network.encode(x))
    return deepest_code(network, lambda: network(x))


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_every_network_has_a_code_that_is_of_the_image_alone(name: str) -> None:
    network, width = NETWORKS[name]
    x = torch.rand(3, 1, 64, 64)
    codes = run(network, x)
    assert codes.shape == (3, width)
    assert torch.allclose(run(network, x[1:2]), codes[1:2], atol=1e-5)
    assert not torch.allclose(codes[0], codes[1])


@torch.no_grad()
def test_the_code_is_the_mean_of_the_deepest_map() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.MaxPool2d(4), nn.ReLU(), nn.Upsample(scale_factor=4), nn.Conv2d(4, 2, 1)
    )
    x = torch.rand(2, 1, 18, 18)
    assert torch.equal(deepest_code(network, lambda: network(x)), network[:3](x).mean((2, 3)))


def test_a_network_without_maps_is_refused() -> None:
    network = nn.Linear(3, 2)
    with pytest.raises(UserError, match="makes no feature map"):
        deepest_code(network, lambda: network(torch.rand(1, 3)))


@pytest.mark.parametrize("name", NETWORKS)
@torch.no_grad()
def test_every_network_has_a_middle_code_that_is_of_the_image_alone(name: str) -> None:
    network, x = NETWORKS[name][0].eval(), torch.rand(3, 1, 64, 64)

    def middle(image: Tensor) -> Tensor:
        if isinstance(network, HydraUNet | HydraViT):
            code = middle_code(network, lambda: network.decode_all(network.encodings(image)))
        else:
            code = middle_code(network, lambda: network(image))
        assert code is not None
        return code

    assert middle(x).ndim == 2
    assert len(middle(x)) == 3
    torch.testing.assert_close(middle(x[1:2]), middle(x)[1:2], atol=1e-5, rtol=1e-4)
    assert not torch.allclose(middle(x)[0], middle(x)[1])


@torch.no_grad()
def test_the_middle_code_is_the_mean_of_the_last_map_of_each_size_in_between() -> None:
    down = nn.Sequential(nn.Conv2d(1, 4, 1), nn.MaxPool2d(2), nn.ReLU(), nn.MaxPool2d(2))
    network = nn.Sequential(down, nn.Upsample(scale_factor=2), nn.Conv2d(4, 3, 1), nn.Upsample(scale_factor=2))
    x = torch.rand(2, 1, 16, 16)
    code = middle_code(network, lambda: network(x))
    torch.testing.assert_close(code, network[:3](x).mean((2, 3)))
    assert middle_code(nn.Linear(3, 2), lambda: nn.Linear(3, 2)(torch.rand(1, 3))) is None


class Averaged(nn.Module):
    """Classes by the mean of a map's patches, or of tokens of these after a layer norm, with a class token before."""

    def __init__(self, tokens: bool) -> None:
        super().__init__()
        self.patches, self.norm, self.head = nn.Conv2d(1, 4, 8, 8), nn.LayerNorm(4), nn.Linear(4, 3)
        self.tokens = tokens

    def seen(self, x: Tensor) -> Tensor:
        """(B, h * w, 4), what the head averages."""
        patches = self.patches(x).flatten(2).mT
        return self.norm(torch.cat([torch.ones(len(x), 1, 4), patches], 1))[:, 1:] if self.tokens else patches

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.seen(x).mean(1))


@pytest.mark.parametrize("tokens", [False, True])
@pytest.mark.parametrize("size", [(16, 40), (40, 16)])
def test_grad_cam_of_an_average_is_its_head_at_each_place_where_it_speaks_for_the_class(
    tokens: bool, size: tuple[int, int]
) -> None:
    torch.manual_seed(0)
    network, x = Averaged(tokens), torch.rand(1, 1, *size)
    found = grad_cam(network, lambda: network(x))
    weights = network.head.weight[network(x)[0].argmax()]
    expected = (network.seen(x)[0] @ weights).relu().detach().unflatten(0, (size[0] // 8, size[1] // 8))
    torch.testing.assert_close(found, expected / expected.max())


def test_a_network_without_maps_has_no_grad_cam() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    assert grad_cam(network, lambda: network(torch.rand(1, 1, 8, 8))) is None


@pytest.mark.parametrize("deciding", [0, 1])
def test_grad_cam_of_tokens_of_two_grids_is_that_of_the_last_on_which_the_class_depends(deciding: int) -> None:
    class Shrinking(nn.Module):
        """Patches of 8 px, then of 16 px, each after a layer norm and with a class token before."""

        def __init__(self) -> None:
            super().__init__()
            self.maps = nn.ModuleList([nn.Conv2d(1, 4, 8, 8), nn.Conv2d(4, 4, 2, 2)])
            self.norms, self.head = nn.ModuleList([nn.LayerNorm(4), nn.LayerNorm(4)]), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            tokens = []
            for make, norm in zip(self.maps, self.norms, strict=True):
                x = make(x)
                tokens.append(norm(torch.cat([torch.ones(len(x), 1, 4), x.flatten(2).mT], 1)))
            return self.head(tokens[deciding].mean(1))

    torch.manual_seed(0)
    network, x = Shrinking(), torch.rand(1, 1, 32, 64)
    found = grad_cam(network, lambda: network(x))
    assert found is not None
    assert found.shape == [(4, 8), (2, 4)][deciding]


def test_grad_cam_is_0_where_nothing_speaks_for_the_class() -> None:
    network = Averaged(tokens=False)
    nn.init.zeros_(network.head.weight)
    torch.testing.assert_close(grad_cam(network, lambda: network(torch.rand(1, 1, 16, 24))), torch.zeros(2, 3))
