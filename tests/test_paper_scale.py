"""The printed network on the printed canvas."""

import pytest
import torch

from ushydra_lab.losses.reconstruction import global_ms_ssim
from ushydra_lab.losses.roi import roi_edge, roi_l1
from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder
from ushydra_lab.tasks.reconstruction import Reconstruction


@pytest.mark.slow
def test_one_phase_2_step_at_872_by_1280_changes_every_trained_weight() -> None:
    torch.manual_seed(0)
    network = ConvAutoencoder((872, 1280))
    terms = {"global": global_ms_ssim, "roi_l1": roi_l1, "roi_edge": roi_edge}
    task = Reconstruction(network, lambda parameters: torch.optim.Adam(parameters, lr=1e-5), terms)
    optimizer = task.configure_optimizers()
    batch = {"image": torch.rand(1, 1, 872, 1280), "nt_box": torch.tensor([[300.0, 600.0, 700.0, 680.0]])}
    before = {name: p.detach().clone() for name, p in network.named_parameters() if p.requires_grad}
    total = task.total(task.losses(batch))
    total.backward()
    optimizer.step()
    assert torch.isfinite(total)
    assert network(batch["image"]).shape == (1, 1, 872, 1280)
    unchanged = [name for name, p in network.named_parameters() if name in before and torch.equal(p, before[name])]
    assert not unchanged
