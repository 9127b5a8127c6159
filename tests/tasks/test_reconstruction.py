"""What the NT caliper says of originals and reconstructions that show an NT, or do not."""

import math

import torch
from torch import Tensor, nn

from ushydra_lab.losses.weighting import FixedWeights
from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder
from ushydra_lab.tasks.reconstruction import Reconstruction


class Answer(nn.Module):
    """A network that always gives the same."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, image: Tensor) -> Tensor:
        return self.output


def test_drift_and_loss_are_of_originals_that_show_an_nt() -> None:
    shown = torch.full((1, 1, 176, 256), 0.5)
    shown[..., 80:83, 60:200] = shown[..., 95:98, 60:200] = 1.0
    shown[..., 83:95, 60:200] = 0.05
    plain = torch.full_like(shown, 0.5)
    batch = {
        "image": torch.cat([shown, shown, plain, plain]),
        "nt_box": torch.tensor([[60.0, 75, 200, 103]]).expand(4, 4),
        "content": torch.tensor([[0.0, 0, 256, 176]]).expand(4, 4),
        "pixel_mm": torch.full((4,), 0.2),
    }
    task = Reconstruction(Answer(torch.cat([shown, plain, shown, plain])), None, {})  # type: ignore[arg-type]
    found = {name: values.tolist() for name, values in task.evaluate(batch).items()}
    assert found["nt_lost"][:2] == [0, 1]
    assert all(math.isnan(value) for value in found["nt_lost"][2:])
    for name in ("nt_drift_px", "nt_abs_drift_px", "nt_drift_mm", "nt_abs_drift_mm"):
        assert [math.isnan(value) for value in found[name]] == [False, True, True, True]
    for name in ("nt_px", "nt_mm"):
        assert [math.isnan(value) for value in found[name]] == [False, False, True, True]


def test_an_auxiliary_decoder_s_loss_is_neither_weighed_nor_selected_by() -> None:
    torch.manual_seed(0)
    network = ConvAutoencoder((32, 48), widths=(2, 4), latent_dim=5, auxiliary="detached")
    terms = {"l1": lambda x_hat, x, box: (x_hat - x).abs().mean((1, 2, 3))}
    task = Reconstruction(network, None, terms, weighting=lambda names: FixedWeights(names, [3.0]))  # type: ignore[arg-type]
    batch = {"image": torch.rand(2, 1, 32, 48), "nt_box": torch.tensor([[4.0, 5, 40, 25]]).expand(2, 4)}
    losses = task.losses(batch | {"content": torch.tensor([[0.0, 0, 48, 32]]).expand(2, 4)})
    assert losses.keys() == {"l1", "thumbnail"}
    for objective in (task.total(losses), task.selection_loss(losses)):
        assert torch.equal(objective, 3 * losses["l1"])
    assert task.auxiliary(losses) is losses["thumbnail"]
    assert task.pictures(batch)["from z"].shape == (2, 32, 48)
