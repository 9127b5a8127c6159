"""After calibration every term pulls equally hard on the network."""

from functools import partial

import lightning as L
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ushydra_lab.errors import UserError
from ushydra_lab.losses.reconstruction import global_ms_ssim
from ushydra_lab.losses.roi import roi_edge, roi_l1
from ushydra_lab.losses.weighting import FixedWeights
from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder
from ushydra_lab.tasks.base import Batch
from ushydra_lab.tasks.reconstruction import Reconstruction
from ushydra_lab.training.callbacks.gradient_calibration import GradientCalibration, term_gradient_norms

TERMS = {"global": global_ms_ssim, "roi_l1": roi_l1, "roi_edge": roi_edge}


def batches(count: int = 3) -> list[Batch]:
    rng = torch.Generator().manual_seed(0)
    boxes = torch.tensor([[30.0, 120.0, 130.0, 150.0], [40.0, 90.0, 100.0, 110.0]])
    return [{"image": torch.rand(2, 1, 176, 176, generator=rng), "nt_box": boxes} for _ in range(count)]


class Data(L.LightningDataModule):
    def train_dataloader(self) -> DataLoader:
        return DataLoader(batches(), batch_size=None)

    def calibration_batches(self, count: int) -> list[Batch]:
        return batches()[:count]


class Blurred(ConvAutoencoder):
    """A network that draws random numbers in training."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(torch.nn.functional.dropout(x, 0.2, self.training))


def fitted(
    callbacks: list[L.Callback],
    precision: str = "32-true",
    terms: dict = TERMS,
    lr: float = 0.0,
    weights: list[float] | None = None,
) -> tuple[L.Trainer, Reconstruction]:
    L.seed_everything(0, verbose=False)
    network = Blurred((176, 176), widths=(2, 4, 4, 8)) if lr else ConvAutoencoder((176, 176), widths=(2, 4, 4, 8))
    weighting = partial(FixedWeights, weights=weights)
    task = Reconstruction(network, lambda parameters: torch.optim.SGD(parameters, lr), terms, weighting=weighting)
    trainer = L.Trainer(
        max_epochs=1, accelerator="cpu", precision=precision, callbacks=callbacks, logger=False,
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(task, datamodule=Data())
    return trainer, task


@pytest.mark.parametrize(("precision", "tolerance"), [("32-true", 0.01), ("bf16-mixed", 0.05)])
def test_weight_times_gradient_norm_is_the_same_for_every_term(precision: str, tolerance: float) -> None:
    trainer, task = fitted([GradientCalibration(batches=3)], precision)
    found = [term_gradient_norms(trainer, task, batch) for batch in batches()]
    products = task.weighting.present().numpy() * [np.mean([norms[name] for norms in found]) for name in TERMS]
    np.testing.assert_allclose(products, products.mean(), rtol=tolerance)
    assert float(task.weighting.present().sum()) == pytest.approx(3)


def test_a_term_that_moves_nothing_is_named() -> None:
    nothing = {"global": global_ms_ssim, "silent": lambda x_hat, x, box: 0 * x_hat.mean(dim=(1, 2, 3))}
    with pytest.raises(UserError, match="silent"):
        fitted([GradientCalibration(batches=1)], terms=nothing)


def test_a_resumed_stage_keeps_its_weights() -> None:
    callback = GradientCalibration()
    callback.load_state_dict({"norms": {"global": 1.0, "roi_l1": 2.0, "roi_edge": 4.0}})
    _, task = fitted([callback])
    assert task.weighting.present().tolist() == [1.0, 1.0, 1.0]


def test_training_draws_as_if_the_calibrated_weights_had_been_given() -> None:
    _, calibrated = fitted([GradientCalibration(batches=3)], lr=0.1)
    given = calibrated.weighting.present().tolist()
    assert given != [1.0, 1.0, 1.0]
    _, plain = fitted([], lr=0.1, weights=given)
    states = calibrated.state_dict(), plain.state_dict()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])
