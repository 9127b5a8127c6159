"""System 4: segmentation of structures that are small and often absent (fetal brain thesis)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ClassVar

import pandas as pd
import torch
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.segmentation import MeanIoU

from ushydra_lab.errors import UserError
from ushydra_lab.geometry.boxes import box_mask
from ushydra_lab.losses.segmentation import IGNORE, class_weights
from ushydra_lab.metrics.circumference import circumference
from ushydra_lab.metrics.overlap import overlap
from ushydra_lab.metrics.segmentation import confusion, counts_of
from ushydra_lab.metrics.shape import ShapePrior, shape_features
from ushydra_lab.tasks.base import Answer, Batch, inside, native_mm, summed
from ushydra_lab.tasks.from_logits import FromLogits
from ushydra_lab.tasks.structures import areas, spacing_of, structure_scores

Term = Callable[[Tensor, Tensor, Tensor | None], Tensor]
"""(logits (B,K,H,W), labels (B,H,W), weights (K,) or None) -> scalar."""


class Segmentation(FromLogits):
    """A label map under a weighted sum of terms (thesis 4, section 3.5).

    The checkpoint with the best validation Dice of `select` is kept: mean over images that show each, then over all.

    Args:
        structures: of labels 1, 2, ...; 'head=parenchyma+csp' is one that joins several of the data's.
        terms: name -> loss.
        shares: name -> its part of the objective.
        class_weighted: terms that weigh classes inversely to their frequency in the training images.
        weight_cap: largest weight of a class.
        head: the structure whose circumference is measured, if any.
        postprocess: (label maps (B,H,W), K) -> label maps, as `metrics.postprocessing.clean`; after training alone,
            on what is measured and drawn. Without it both are of the network's own answer.
        select: structures whose validation Dice selects the checkpoint.

    Raises:
        ValueError: shares of other terms, unknown names in `class_weighted` or `select`.
    """

    selection: ClassVar[str] = "val/dice_lost"
    only_evaluated: ClassVar[frozenset[str]] = frozenset({"postprocess", "head"})
    class_weights: Tensor

    def __init__(
        self,
        network: nn.Module,
        optimizer: Callable[..., Any],
        structures: Sequence[str],
        terms: Mapping[str, Term],
        shares: Mapping[str, float],
        class_weighted: Sequence[str],
        select: Sequence[str],
        weight_cap: float = 10.0,
        head: str | None = None,
        postprocess: Callable[[Tensor, int], Tensor] | None = None,
        scheduler: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(network, optimizer, scheduler)
        if set(shares) != set(terms) or not set(class_weighted) <= set(terms):
            raise ValueError(
                f"shares {list(shares)}, class_weighted {list(class_weighted)}: the terms are {list(terms)}"
            )
        self.structures = [text.partition("=")[0] for text in structures]
        if not select or not {*select, *([head] if head else [])} <= set(self.structures):
            raise ValueError(f"select {list(select)}, head {head}: the structures are {self.structures}")
        self.terms, self.shares = dict(terms), dict(shares)
        self.class_weighted, self.weight_cap = set(class_weighted), weight_cap
        self.selected = [self.structures.index(name) + 1 for name in select]
        self.head = self.structures.index(head) + 1 if head else 0
        self.postprocess = postprocess
        self.register_buffer("class_weights", torch.ones(self.classes))
        self.shapes = ShapePrior(self.classes)
        self.validated: list[Tensor] = []

    @staticmethod
    def requires(settings: Mapping[str, Any]) -> tuple[str, ...]:
        return ("mask",)

    @property
    def classes(self) -> int:
        return len(self.structures) + 1

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B,K,H,W) of an image (B,1,H,W) in [0, 1]."""
        return self.network((image - 0.5) / 0.5).float()

    def prepare(self, batches: Iterable[Batch]) -> None:
        """Class weights and the prior over shapes, from the training masks."""
        counts, features, spacing = torch.zeros(self.classes, dtype=torch.long), [], []
        for batch in batches:
            counts += _without_padding(batch).flatten().bincount(minlength=256)[: self.classes]
            features.append(shape_features(batch["mask"], self.classes))
            spacing.append(spacing_of(batch))
        self.shapes.fit(torch.cat(features), torch.cat(spacing))
        if self.class_weighted:
            self.class_weights.copy_(class_weights(counts, self.weight_cap))

    def loss_terms(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        weights = {name: self.class_weights if name in self.class_weighted else None for name in self.terms}
        return {name: term(output, batch["mask"], weights[name]) for name, term in self.terms.items()}

    def score(self, logits: Tensor, batch: Batch) -> Tensor:
        """Mean Dice over the structures that the image shows."""
        counts = counts_of(confusion(self.labels(logits, batch["content"]), _without_padding(batch), self.classes))
        return overlap(counts)["dice"][:, 1:].nanmean(1)

    def total(self, losses: dict[str, Tensor]) -> Tensor:
        return torch.stack([self.shares[name] * loss for name, loss in losses.items()]).sum()

    def loss_weights(self) -> dict[str, float]:
        return self.shares

    def curves(self) -> dict[str, Metric]:
        """The IoU of each structure, the mean over images that show it or where it is found; besides, see below, Dice.

        Of the network's own answer: `postprocess` is of the evaluation.
        """
        return {f"iou_{name}": _IoU(num_classes=1, per_class=True) for name in self.structures}

    def observe(self, output: Tensor, batch: Batch) -> dict[str, tuple[Tensor, ...]]:
        pred, true = output.argmax(1), _without_padding(batch)
        self.validated.append(overlap(counts_of(confusion(pred, true, self.classes)))["dice"])
        pred = pred.where(true != IGNORE, IGNORE)[:, None]
        labels = enumerate(self.structures, 1)
        return {f"iou_{name}": (pred == label, true[:, None] == label) for label, name in labels}

    def on_validation_epoch_end(self) -> None:
        super().on_validation_epoch_end()
        dice = torch.cat(self.validated)
        self.validated.clear()
        dice = summed(dice.nansum(0)) / summed((~dice.isnan()).sum(0))
        for name, value in zip(self.structures, dice[1:], strict=True):
            self.log(f"val/dice_{name}", value)
        selected = dice[self.selected].nanmean()
        if selected.isnan():
            shown = ", ".join(self.structures[label - 1] for label in self.selected)
            raise UserError(
                f"no validation image shows {shown}: nothing selects a checkpoint; raise split.val_fraction"
            )
        self.log(self.selection, 1 - selected)

    def rehearse(self, canvas: tuple[int, int]) -> None:
        """Raises ValueError where the network does not fit the canvas, or it or `postprocess` the structures."""
        logits = self(torch.zeros(2, 1, *canvas, device=self.class_weights.device))
        if logits.shape[1] != self.classes:
            raise ValueError(f"network.classes={logits.shape[1]}, but {self.classes - 1} structures and background")
        if self.postprocess:
            nothing = torch.zeros(1, *canvas, dtype=torch.long, device="cpu")  # logits may have a shape and no values
            self.postprocess(nothing, self.classes)

    def labels(self, logits: Tensor, content: Tensor) -> Tensor:
        """The predicted label map, (B,H,W) integers, of logits (B,K,H,W); background outside the boxes (B,4) px."""
        shown = box_mask(content, (logits.shape[-2], logits.shape[-1]))[:, 0]
        labels = logits.argmax(1).where(shown, 0)
        return self.postprocess(labels, self.classes).where(shown, 0) if self.postprocess else labels

    def truth(self, batch: Batch) -> dict[str, Tensor]:
        return {"truth": batch["mask"]}

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """`prediction`, integer labels; `prob NAME` of each selected structure; `disagreement`; each (B,H,W).

        Disagreement is 0 where prediction and truth agree and on the padding, else the predicted label's probability:
        positive where its number is above the true one's, negative where below. Where `structures` go from the outside
        to the inside, as parenchyma, csp do, these are structures that are too much, or missed.
        """
        logits = self.decided(self.answer(batch["image"], batch["content"]), batch)
        probability, pred = logits.softmax(1), self.labels(logits, batch["content"])
        true = _without_padding(batch).long()
        sign = torch.where(true == IGNORE, 0, (pred - true).sign())
        selected = {f"prob {self.structures[label - 1]}": probability[:, label] for label in self.selected}
        confidence = probability.gather(1, pred[:, None])[:, 0]
        return {"prediction": pred, **selected, "disagreement": sign * confidence}

    def measure(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """Metrics of each structure: overlap, surface distance, presence in truth and prediction, and counts of pixels.

        `dice_NAME`, `iou_`, `precision_`, `recall_` are NaN where the structure is absent from the truth, `dice_empty_`
        is then 1 or 0 (`metrics.overlap`). `assd_px_`, `hd95_px_` are NaN where either is empty; `nsd_px_` as Dice.
        `hits_`, `true_px_`, `found_px_`: pixels of both, of the truth, of the prediction.
        `disagreement_`: pixels of one of both alone over those of the truth; NaN where that is empty, `found_px_` then
        being false. `shape_`: distance of the prediction from the shapes of training masks, NaN where it is empty;
        `anomaly_`: the same, an empty one being beyond the farthest training mask; `eccentricity_`, `x_px_`, `y_px_`:
        of the prediction, the centroid relative to that of all its structures (`metrics.shape`).
        Lengths are in canvas px, and where the spacing of any image is known also in mm, `assd_mm_` and so on, NaN
        where it is not; areas `true_mm2_`, `found_mm2_` likewise. `hc_px` is in native px. Padding counts nowhere.
        """
        logits = self.decided(answer, batch)
        pred, true = self.labels(logits, batch["content"]), _without_padding(batch)
        peak = logits.softmax(1).where((true != IGNORE)[:, None], 0).amax((2, 3))
        scores = structure_scores(pred, true, peak, self.shapes, batch)
        found = self._of_structures(scores)
        found |= {f"{score}_background": scores[score][:, 0].float() for score in ("hits", "true_px")}
        if self.head:
            found |= self._circumference(pred, batch)
        return found | _circumference_error(found, batch)

    def describe(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """`found_NAME`, `found_px_NAME`, `found_mm2_NAME` of each structure, and `hc_px`, `hc_mm`, as in `measure`."""
        pred = self.labels(self.decided(answer, batch), batch["content"])
        found = self._of_structures(areas(pred, self.classes, batch))
        return found | (self._circumference(pred, batch) if self.head else {})

    def _of_structures(self, scores: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            f"{score}_{name}": values[:, label].float()
            for score, values in scores.items()
            for label, name in enumerate(self.structures, 1)
        }

    def doubts(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """`structure_absent`: how many structures are not found, NaN where none is: such an answer says nothing."""
        labels = self.labels(self.decided(answer, batch), batch["content"]).flatten(1)
        found = [(labels == label).any(1) for label in range(1, self.classes)]
        absent = (~torch.stack(found)).sum(0).float()
        return {"structure_absent": absent.masked_fill(absent == len(found), torch.nan)}

    def difficulty(self, images: pd.DataFrame) -> pd.Series:
        """1 - Dice, the mean over structures; one that is rightly not found has 1."""
        return (1 - images[[f"dice_empty_{name}" for name in self.structures]].mean(axis=1)).rename(
            "1 - Dice (all images)"
        )

    def _circumference(self, pred: Tensor, batch: Batch) -> dict[str, Tensor]:
        """Head circumference of the prediction, in native px and mm."""
        in_px = circumference(pred, self.head, batch["content"], batch["native_px"])
        mm = native_mm(batch)
        return {"hc_px": in_px} if mm is None else {"hc_px": in_px, "hc_mm": in_px * mm.cpu()}


def _circumference_error(found: dict[str, Tensor], batch: Batch) -> dict[str, Tensor]:
    """The error of a head circumference where there is an expert's."""
    if "hc_mm" not in found or "hc_mm" not in batch:
        return {}
    expert = batch["hc_mm"].cpu()
    error = found["hc_mm"] - expert
    return {"hc_true_mm": expert, "hc_error_mm": error, "hc_abs_error_mm": error.abs()}


class _IoU(MeanIoU):
    """torchmetrics' mean IoU, with NaN in place of -1 for a class that no image has."""

    def compute(self) -> Tensor:
        return self.score / self.num_batches


def _without_padding(batch: Batch) -> Tensor:
    """The true labels (B,H,W), IGNORE outside the image on the canvas."""
    return torch.where(inside(batch)[:, 0], batch["mask"], IGNORE)
