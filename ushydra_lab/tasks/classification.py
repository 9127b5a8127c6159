"""System 3: classification of standard planes, with any network that gives class logits."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from functools import partial
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torchmetrics import Metric
from torchmetrics.classification import MulticlassAccuracy, MulticlassAUROC, MulticlassF1Score
from torchmetrics.utilities import dim_zero_cat

from ushydra_lab.data.vocabulary import ANNOTATIONS, nearest
from ushydra_lab.devices import sent
from ushydra_lab.networks.activation import grad_cam
from ushydra_lab.tasks.base import Answer, Batch
from ushydra_lab.tasks.from_logits import FromLogits


class Codes:
    """Some of the words of a category, in an order of their own: its codes in a batch -> their places in it."""

    def __init__(self, category: str, words: Sequence[str]) -> None:
        """Raises ValueError for words that the category does not have, or has twice."""
        levels = ANNOTATIONS[category].levels
        if unknown := [f"{word!r}{nearest(word, levels)}" for word in words if word not in levels]:
            raise ValueError(f"no such {category}: {', '.join(unknown)}; there are {', '.join(levels)}")
        if len(set(words)) < len(words) or not words:
            raise ValueError(f"each {category} once, and one at least: got {list(words)}")
        self.category, self.words = category, list(words)
        places = [self.words.index(level) if level in words else -1 for level in levels]
        self.places = torch.tensor([*places, -1], device="cpu")  # a code of -1, unknown, finds the last one

    def __call__(self, batch: Batch) -> Tensor:
        """The place (B,) of each image's word, -1 where it is another or unknown."""
        if self.category not in batch:
            return torch.full_like(batch["record"], -1)
        return sent(self.places, batch["record"])[batch[self.category]]

    def __str__(self) -> str:
        return f"{self.category} among {', '.join(self.words)}"


class Classification(FromLogits):
    """Cross-entropy over the planes; the checkpoint with the lowest validation loss is kept.

    Args:
        network: images (B,1,H,W) in [0, 1] -> logits (B,K).
        planes: the K classes, words of the annotation `plane`.

    Raises:
        ValueError: planes that the vocabulary does not have.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: Callable[..., Any],
        planes: Sequence[str],
        scheduler: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(network, optimizer, scheduler)
        self.planes = Codes("plane", planes)

    @staticmethod
    def requires(settings: Mapping[str, Any]) -> tuple[str, ...]:
        return ("plane",)

    def forward(self, image: Tensor) -> Tensor:
        """Logits (B,K) of an image (B,1,H,W) in [0, 1]."""
        logits: Tensor = self.network(image)
        return logits.float()

    def prepare(self, batches: Iterable[Batch]) -> None:
        self.refuse(batches)

    def categories(self) -> dict[str, tuple[str, list[str]]]:
        return super().categories() | {"planes": (self.planes.category, self.planes.words)}

    def lacking(self, batch: Batch) -> dict[str, Tensor]:
        return super().lacking(batch) | {str(self.planes): self.planes(batch) < 0}

    def loss_terms(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        self.refuse_now(batch)
        return {"ce": F.cross_entropy(output, self.planes(batch))}

    def curves(self) -> dict[str, Metric]:
        """Accuracy, and the means over the planes of F1 and of the area under the ROC curve, one against the rest."""
        classes = len(self.planes.words)
        return {
            "accuracy": MulticlassAccuracy(classes, average="micro", validate_args=False),
            "f1": MulticlassF1Score(classes, average="macro", validate_args=False),
            "auroc": _AUROC(classes, average="none", validate_args=False),
        }

    def observe(self, output: Tensor, batch: Batch) -> dict[str, tuple[Tensor, ...]]:
        return dict.fromkeys(("accuracy", "f1", "auroc"), (output.softmax(1), self.planes(batch)))

    def score(self, logits: Tensor, batch: Batch) -> Tensor:
        """1 where the plane is right, else 0; NaN where the image shows none of the classes."""
        true = self.planes(batch)
        return (logits.argmax(1) == true).float().where(true >= 0, torch.nan)

    def rehearse(self, canvas: tuple[int, int]) -> None:
        """Raises ValueError where the network does not fit the canvas or the planes."""
        logits = self(torch.zeros(2, 1, *canvas, device=next(self.parameters()).device))
        if logits.shape != (2, len(self.planes.words)):
            raise ValueError(f"the network gives {tuple(logits.shape[1:])}, but planes are {self.planes.words}")

    def measure(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """`correct` (0 or 1), `true` (a place in `planes`), and what `describe` says.

        An image of another plane has `true` -1 and no `correct`.
        """
        found = {"correct": self.score(self.decided(answer, batch), batch), "true": self.planes(batch)}
        return found | Classification.describe(self, answer, batch)

    def describe(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """`predicted` (a place in `planes`; of equal probabilities the first), `confidence` and `prob_PLANE`."""
        logits = self.decided(answer, batch)
        chances = logits.softmax(1)
        found = {"predicted": logits.argmax(1), "confidence": chances.amax(1)}
        return found | {f"prob_{name}": chances[:, k] for k, name in enumerate(self.planes.words)}

    def doubts(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """`uncertain`: 1 - the largest probability."""
        return {"uncertain": 1 - self.decided(answer, batch).softmax(1).amax(1)}

    def difficulty(self, images: pd.DataFrame) -> pd.Series:
        """1 - probability of the true plane."""
        chances = images[[f"prob_{name}" for name in self.planes.words]].to_numpy(float)
        true = images["true"].fillna(-1).to_numpy(int)
        own = pd.Series(chances[range(len(true)), true], images.index)
        return (1 - own.where(true >= 0)).rename("1 - probability of the true plane")

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        """Grad-CAM of the predicted plane, (B,H,W) in [0, 1]: `networks.activation`; nothing without feature maps."""
        with torch.inference_mode(False):  # what is made in inference mode has no gradients, a copy has
            model = deepcopy(self).requires_grad_(True)
            images = [
                {key: values[i : i + 1].clone() for key, values in batch.items()} for i in range(len(batch["image"]))
            ]
            found = [grad_cam(model.network, partial(_run, model, one)) for one in images]
        if not (known := [one for one in found if one is not None]):
            return {}
        maps = [torch.zeros_like(known[0]) if one is None else one for one in found]
        size = batch["image"].shape[-2:]
        return {"Grad-CAM of predicted": F.interpolate(torch.stack(maps)[:, None], size, mode="bilinear")[:, 0]}


class _AUROC(MulticlassAUROC):
    """The mean over the classes that some images show and others do not; torchmetrics' counts 0 for the rest."""

    def compute(self) -> Tensor:  # type: ignore[override]
        shown = F.one_hot(dim_zero_cat(self.target), self.num_classes).bool()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "No (positive|negative) samples")  # of those left out here
            return super().compute()[shown.any(0) & ~shown.all(0)].mean()


def _run(task: Classification, batch: Batch) -> Tensor:
    return task.decided(task.answer(batch["image"], batch["content"]), batch)
