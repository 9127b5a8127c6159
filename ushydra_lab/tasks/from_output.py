"""Tasks whose losses and validation metrics follow from one output of the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor
from torchmetrics import Metric, MetricCollection

from ushydra_lab.tasks.base import Batch, Task


class FromOutput(Task):
    """A task with curves of metrics on the validation images, `val/NAME` after every epoch, besides those of losses.

    A subclass gives `output`, `loss_terms`, and `curves` with `observe`. The metrics follow from the output that the
    losses were computed from, so that they cost no second pass of the network; they neither train nor select, and are
    the same whatever is only evaluated (`only_evaluated`), since such variants share one training.
    """

    validation: MetricCollection

    def output(self, batch: Batch) -> Any:
        """The network's output on a batch, that is trained on, and that selects a checkpoint."""
        raise NotImplementedError

    def loss_terms(self, output: Any, batch: Batch) -> dict[str, Tensor]:
        """Unscaled loss terms of this output, each a scalar."""
        raise NotImplementedError

    def curves(self) -> dict[str, Metric]:
        """New metrics, one per curve."""
        raise NotImplementedError

    def observe(self, output: Any, batch: Batch) -> Mapping[str, tuple[Tensor, ...]]:
        """What each of the metrics is updated with, by its name in `curves`."""
        raise NotImplementedError

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        return self.loss_terms(self.output(batch), batch)

    def on_validation_epoch_start(self) -> None:
        self.validation = MetricCollection({**self.curves()}, prefix="val/", compute_groups=False).to(self.device)

    def validation_step(self, batch: Batch, _: int) -> None:
        output = self.output(batch)
        losses = self.loss_terms(output, batch)
        self._log_losses("val", {**losses, "loss": self.selection_loss(losses)}, batch)
        for name, values in self.observe(output, batch).items():
            self.validation[name].update(*values)

    def on_validation_epoch_end(self) -> None:
        for name, value in self.validation.compute().items():  # of all processes that train together
            self.log(name, value)
