"""A loss that is no finite number ends the stage, with the terms that are at fault and what to do."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ushydra_lab.errors import UserError
from ushydra_lab.tasks.base import Batch, Task
from ushydra_lab.training.callbacks import finite_loss
from ushydra_lab.training.callbacks.finite_loss import FiniteLoss

GOOD, BAD = torch.tensor(1.0), torch.tensor(float("nan"))


class Two(Task):
    """Its terms are in the batch."""

    selection = "val/score"

    def __init__(self) -> None:
        super().__init__(nn.Identity(), None)  # type: ignore[arg-type]

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return batch


def trainer(**found: Tensor) -> Any:
    known = {"val/loss": GOOD, "val/score": GOOD} | {name.replace("_", "/"): value for name, value in found.items()}
    return SimpleNamespace(current_epoch=2, callback_metrics=known)


def trained(callback: FiniteLoss, loss: Tensor, **terms: Tensor) -> None:
    callback.on_train_batch_start(trainer(), Two(), terms, 0)
    callback.on_before_backward(trainer(), Two(), loss)


@pytest.mark.parametrize("loss", [BAD, torch.tensor(float("inf"))])
def test_a_step_of_training_is_refused_by_its_terms(loss: Tensor) -> None:
    callback = FiniteLoss("phase2")
    trained(callback, GOOD, a=GOOD)
    callback.on_validation_end(trainer(), Two())
    said = r"phase2, epoch 3: the training loss .*\(b = nan\)\. Lower stages\.phase2\.task\.optimizer\.lr.*variant=NAME"
    with pytest.raises(UserError, match=said):
        trained(callback, loss, a=GOOD, b=BAD)
    with pytest.raises(UserError, match="the sum of its terms"):
        trained(callback, loss, a=GOOD)


@pytest.mark.parametrize("name", ["val_loss", "val_score"])
def test_validation_is_refused_by_its_loss_or_what_selects(name: str) -> None:
    with pytest.raises(UserError, match=rf"the validation loss .*\({name.replace('_', '/')} = nan\)"):
        FiniteLoss("phase2").on_validation_end(trainer(**{name: BAD}), Two())
    FiniteLoss("phase2").on_validation_end(trainer(val_other=BAD), Two())


def test_where_reading_waits_training_is_refused_at_the_end_of_its_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finite_loss, "reading_waits", lambda _: True)
    callback = FiniteLoss("phase2")
    for loss in (GOOD, BAD, GOOD):
        trained(callback, loss, a=loss)
    with pytest.raises(UserError, match="epoch 3: the training loss"):
        callback.on_validation_end(trainer(), Two())
    callback.on_validation_end(trainer(), Two())  # that epoch is over
    trained(callback, GOOD, a=GOOD)
    callback.on_validation_end(trainer(), Two())
