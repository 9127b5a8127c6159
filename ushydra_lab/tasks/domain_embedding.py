"""System 3's baseline DoFE: a segmentation network that is told the quality of its training images."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from torch import Tensor

from ushydra_lab.networks.baselines.dofe import DoFE, domain_loss
from ushydra_lab.tasks.base import Batch
from ushydra_lab.tasks.classification import Codes
from ushydra_lab.tasks.segmentation import Segmentation


class DomainEmbedding(Segmentation):
    """Segmentation with the loss `domain` besides the terms, of the network's guess at each image's quality.

    Evaluated as any segmentation: no image's quality is told to the network then.

    Args:
        domains: words of the annotation `quality`, as many as the network has.
        domain_share: of the loss `domain` in the objective; the authors'.

    Raises:
        ValueError: words that are no quality, or not as many as the network's domains.
    """

    network: DoFE

    def __init__(
        self, network: DoFE, *args: Any, domains: Sequence[str], domain_share: float = 0.1, **settings: Any
    ) -> None:
        super().__init__(network, *args, **settings)
        self.shares["domain"] = domain_share
        self.domains = Codes("quality", domains)
        if network.domain.out_features != len(domains):
            raise ValueError(f"the network has {network.domain.out_features} domains, the experiment {list(domains)}")

    def prepare(self, batches: Iterable[Batch]) -> None:
        self.refuse(batches)
        super().prepare(batches)

    def categories(self) -> dict[str, tuple[str, list[str]]]:
        return super().categories() | {"domains": (self.domains.category, self.domains.words)}

    def lacking(self, batch: Batch) -> dict[str, Tensor]:
        return super().lacking(batch) | {str(self.domains): self.domains(batch) < 0}

    def losses(self, batch: Batch) -> dict[str, Tensor]:
        domains = self.domains(batch)
        logits, guesses = self.network.forward_with_domains(2 * batch["image"] - 1, domains)
        return self.loss_terms(logits.float(), batch) | {"domain": domain_loss(guesses.float(), domains)}
