"""Tasks whose losses and metrics all follow from class logits, wherever these come from."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor

from ushydra_lab.devices import reading_waits
from ushydra_lab.errors import UserError
from ushydra_lab.tasks.base import Answer, Batch
from ushydra_lab.tasks.from_output import FromOutput


class FromLogits(FromOutput):
    """The output is logits, (B,K) of whole images, or (B,K,H,W)."""

    def output(self, batch: Batch) -> Tensor:
        logits: Tensor = self(batch["image"])
        return logits

    def answer(self, image: Tensor, content: Tensor) -> Answer:
        """`logits`."""
        return {"logits": self(image)}

    def decided(self, answer: Answer, batch: Batch) -> Tensor:
        """Logits that are measured and drawn: the answer's, unless the batch's annotations choose among several."""
        return answer["logits"]

    def score(self, logits: Tensor, batch: Batch) -> Tensor:
        """The one number (B,) by which answers to an image are compared, higher is better; NaN where undefined."""
        raise NotImplementedError

    def lacking(self, batch: Batch) -> dict[str, Tensor]:
        """Requirements on images to be trained or selected on -> mask (B,) of the images that lack it."""
        return {}

    def check_images(self, batches: Iterable[Batch]) -> None:
        self.refuse(batches)

    def refuse_now(self, batch: Batch) -> None:
        """`refuse` in a step: not on an accelerator, where it would wait; `rehearse` has read the manifest's words."""
        if not reading_waits(batch["record"]):
            self.refuse([batch])

    def refuse(self, batches: Iterable[Batch]) -> None:
        """Raises UserError naming all images that lack anything."""
        problems = [
            f"record {record}: no {what}"
            for batch in batches
            for what, rows in self.lacking(batch).items()
            for record in batch["record"][rows].tolist()
        ]
        if problems:
            remedy = "fill in the manifest's column, name their word in the configuration, or leave the images out"
            raise UserError.listing(
                f"Images to be trained or selected on are unlabelled: {remedy}. Their rows, from 0, of the data:",
                problems,
                20,
            )
