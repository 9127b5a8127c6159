"""The base of all tasks: a LightningModule around a plain network, with one loss to select by and metrics per image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar

import pandas as pd
import torch
from lightning import LightningModule
from torch import Tensor, nn

from ushydra_lab.geometry.boxes import box_mask
from ushydra_lab.networks.activation import deepest_code, middle_code

Batch = dict[str, Tensor]
Answer = dict[str, Tensor]
"""What a task says of images, each (B, ...), on the canvas; its keys are those that the task's `answer` names."""


class Task(LightningModule):
    """Base of all tasks.

    A subclass gives `losses(batch)`, the unscaled terms it is trained on; `answer(image, content)`, what it says of
    images of which nothing else is known; and `measure(answer, batch)`, the metrics of such answers. The validation
    loss `val/loss` selects the checkpoint and stops the training.
    """

    selection: ClassVar[str] = "val/loss"
    """The score that selects a checkpoint; lower is better."""

    only_evaluated: ClassVar[frozenset[str]] = frozenset()
    """Settings that leave the trained weights as they are: variants that differ in these share one training."""

    @staticmethod
    def requires(settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Annotations an image must have to be of use to a task with these settings."""
        return ()

    @staticmethod
    def consults(settings: Mapping[str, Any]) -> tuple[str, ...]:
        """Annotations that some image must have; one that lacks them counts for the rest."""
        return ()

    def __init__(
        self,
        network: nn.Module,
        optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer],
        scheduler: Callable[[torch.optim.Optimizer], Any] | None = None,
    ) -> None:
        """scheduler: of the learning rate, stepped once an epoch; one that waits for a plateau sees the selection."""
        super().__init__()
        self.network = network
        self.optimizer, self.scheduler = optimizer, scheduler

    def categories(self) -> dict[str, tuple[str, list[str]]]:
        """Setting -> a category and its words, of which every image to be trained or selected on must have one."""
        return {}

    def check_images(self, batches: Iterable[Batch]) -> None:
        """Look at what is known of the training images, before the first stage of a job is trained.

        Raises:
            UserError: this task cannot be trained on them.
        """

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Fit what is fitted before training, on the training images as they are; it is saved with the model."""

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        """Unscaled loss terms, each a scalar."""
        raise NotImplementedError

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        """The training objective."""
        return torch.stack(list(losses.values())).sum()

    def selection_loss(self, losses: dict[str, Tensor]) -> Tensor:
        """The validation loss; the training objective unless its weights move."""
        return self.total(losses)

    def auxiliary(self, losses: dict[str, Tensor]) -> Tensor | float:
        """What is trained on beside the objective, and neither weighed against it nor selected by."""
        return 0.0

    def trained_on(self, losses: dict[str, Tensor]) -> Tensor:
        """What a training step goes down on: the objective and what is trained beside it."""
        return self.total(losses) + self.auxiliary(losses)

    def answer(self, image: Tensor, content: Tensor) -> Answer:
        """What the network says of images: all that is measured, drawn or predicted follows from it.

        Args:
            image: on the canvas, (B,1,H,W) in [0, 1].
            content: box (B,4) px of each image on the canvas; outside is padding.
        """
        raise NotImplementedError

    def measure(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """Metrics per image, each (B,), of answers to a batch's images."""
        raise NotImplementedError

    def describe(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """What an answer says of each image in numbers, each (B,): the part of `measure` that needs no annotation.

        Of the batch it reads `content`, `native_px`, where they are there `pixel_mm` and boxes that say where to look,
        and of a reconstruction the image.
        """
        raise NotImplementedError

    def evaluate(self, batch: Batch) -> dict[str, Tensor]:
        """Metrics per image, each (B,): the answers to a batch's images, measured."""
        return self.measure(self.answer(batch["image"], batch["content"]), batch)

    def code(self, batch: Batch) -> Tensor:
        """One code per image, (B, C), by the network's encoder, for the probes."""
        return deepest_code(self.network, lambda: self(batch["image"]))

    def doubts(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """Reason to have an image reviewed -> how much it holds (B,), more where larger; triage has its thresholds."""
        return {}

    def traits(self, answer: Answer, batch: Batch) -> Tensor:
        """What of an answer triage compares with the answers to training images, beside the network's code, (B, K)."""
        return batch["content"].new_empty(len(batch["content"]), 0)

    def answer_with_code(self, image: Tensor, content: Tensor) -> tuple[Answer, Tensor | None]:
        """The answer, and one code per image, (B, C), that the network made on the way: no second pass is needed.

        None of a network without feature maps.
        """
        found: list[Answer] = []
        code = middle_code(self.network, lambda: found.append(self.answer(image, content)))
        return found[0], code

    def difficulty(self, images: pd.DataFrame) -> pd.Series:
        """Difficulty of evaluated images (rows; metrics are columns): larger is a worse answer, NaN where undefined.

        Its name is a column that tables show (`tasks.columns`), or words for readers.
        """
        raise NotImplementedError

    def truth(self, batch: Batch) -> dict[str, Tensor]:
        """The annotations of each image, shown as `truth` beside `pictures`."""
        return {}

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """The network's outputs for people to look at, in the forms of `figures.panels.stage_panel`."""
        raise NotImplementedError

    def rehearse(self, canvas: tuple[int, int]) -> None:
        """Refuse a canvas (rows, columns) that the losses or metrics cannot be computed on.

        Raises:
            ValueError: saying what is too small.
        """

    def loss_weights(self) -> dict[str, float]:
        """The weight of each term at the end of the stage."""
        return {}

    def configure_optimizers(self) -> Any:
        optimizer: Any = self.optimizer(p for p in self.parameters() if p.requires_grad)
        optimizer._step_supports_amp_scaling = False  # else half precision's gradients, scaled, could not be clipped
        if self.scheduler is None:
            return optimizer
        schedule = {"scheduler": self.scheduler(optimizer), "monitor": self.selection}
        return {"optimizer": optimizer, "lr_scheduler": schedule}

    def training_step(self, batch: Batch, _: int) -> Tensor:
        losses = self.losses(batch)
        total = self.total(losses)
        self._log_losses("train", {**losses, "loss": total}, batch)
        return total + self.auxiliary(losses)

    def validation_step(self, batch: Batch, _: int) -> None:
        losses = self.losses(batch)
        self._log_losses("val", {**losses, "loss": self.selection_loss(losses)}, batch)

    def predict_step(self, batch: Batch, *_: Any) -> dict[str, Tensor]:
        return {"record": batch["record"], "site": batch["site"], **self.evaluate(batch)}

    def _log_losses(self, part: str, losses: dict[str, Tensor], batch: Batch) -> None:
        values = {f"{part}/{name}": value.detach() for name, value in losses.items()}
        # Lightning averages the images of all ranks to a whole number: a multiple of the ranks keeps it exact
        ranks = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
        self.log_dict(values, on_step=False, on_epoch=True, batch_size=len(batch["image"]) * ranks, sync_dist=True)


def inside(batch: Batch) -> Tensor:
    """(B,1,H,W) bool, False in the letterbox's padding."""
    height, width = batch["image"].shape[-2:]
    return box_mask(batch["content"], (height, width))


def native_mm(batch: Batch) -> Tensor | None:
    """mm per native px (B,), NaN where the spacing is unknown; None where no image's is known."""
    return batch["pixel_mm"] / batch["native_px"].prod(1).sqrt() if "pixel_mm" in batch else None


def summed(values: Tensor) -> Tensor:
    """Over all processes that train together."""
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(values)
    return values
