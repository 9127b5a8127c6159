"""System 3: a decoder for each image quality, trained on its own (stage 1), then routed (stage 2, USHydraNet paper)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar, Literal, Self, get_args

import numpy as np
import torch
from torch import Tensor

from ushydra_lab.metrics.routing import routing_scores
from ushydra_lab.networks.routing import WEIGHT, Distance, Features, Router, rows_by_domain, soft_weights
from ushydra_lab.tasks.base import Answer, Batch
from ushydra_lab.tasks.by_quality import ByQuality, blank_unknown, where_known
from ushydra_lab.tasks.classification import Classification
from ushydra_lab.tasks.segmentation import Segmentation

EncoderTraining = Literal["joint", "frozen", "per_decoder"]
Route = Literal["weighted", "zscored", "mahalanobis", "soft", "random", "oracle"]


class Specialise(ByQuality):
    """Stage 1: one-hot routing by quality (equations 1 and 2). Evaluated likewise, NaN where quality is unknown.

    The loss of a batch is the mean over its images of their own decoder's. Its terms are computed on the images of
    one decoder at a time, so that nothing of one domain reaches the decoder of another.

    Args:
        encoder: `joint`: one, trained on all domains; `frozen`: one, left as it is; `per_decoder`: one each.
    """

    def __init__(self, *args: Any, encoder: EncoderTraining = "joint", **settings: Any) -> None:
        """Raises ValueError for an unknown `encoder`, or one that the network is not built for."""
        super().__init__(*args, **settings)
        if encoder not in get_args(EncoderTraining):
            raise ValueError(f"encoder={encoder!r} is not one of {', '.join(get_args(EncoderTraining))}")
        if (encoder == "per_decoder") != (len(self.network.encoders) > 1) and not self.single:
            raise ValueError(f"encoder={encoder} needs network.shared={encoder != 'per_decoder'}")
        self.frozen = encoder == "frozen"
        self.network.encoders.requires_grad_(not self.frozen)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.network.encoders.train(mode and not self.frozen)
        return self

    def output(self, batch: Batch) -> Tensor:
        return self.network.forward_routed(batch["image"], self.own_decoder(batch).clamp(min=0)).float()

    def loss_terms(self, output: Tensor, batch: Batch) -> dict[str, Tensor]:
        self.refuse_now(batch)
        total = dict[str, Tensor]()
        for rows in rows_by_domain(self.own_decoder(batch)).values():
            terms = super().loss_terms(output[rows], {key: values[rows] for key, values in batch.items()})
            for name, term in terms.items():
                total[name] = total.get(name, 0) + len(rows) / len(output) * term
        return total

    def answer(self, image: Tensor, content: Tensor) -> Answer:
        """`every`: logits (B,D,K,...) by every decoder: a quality chooses. With one decoder `logits`, its own."""
        every = self.network.decode_all(self.network.encodings(image)).float()
        return {"every": every} | ({"logits": every[:, 0]} if self.single else {})

    def decided(self, answer: Answer, batch: Batch) -> Tensor:
        return picked(answer["every"], self.own_decoder(batch).clamp(min=0))

    def measure(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        found = super().measure(answer, batch)
        return where_known(self.own_decoder(batch) >= 0, found) | {"domain": self.domains(batch)}

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        return blank_unknown(self.own_decoder(batch) >= 0, super().pictures(batch))


class Routed(ByQuality):
    """Stage 2: the encoder and the decoders' heads are fixed, and each decoder learns on from what is routed to it.

    Routes follow the statistics of the training images as they are, taken in `prepare` with the encoder of stage 1,
    and saved with the weights. Training and selection always follow the paper's rule, equation 11 with weight 10; the
    settings below change only the evaluation.

    Args:
        router: `weighted`, `zscored`, `mahalanobis` (`networks.routing.Router`); `soft`: the probabilities of all
            decoders, weighted by softmax(-weighted distance / temperature); `random`: a function of the image;
            `oracle`: the image's own domain, NaN where that is unknown.
        weight: of the SDs' difference in `weighted` and `soft`.
        temperature: of `soft`, in units of the distance.
    """

    settings: ClassVar[frozenset[str]] = frozenset({"router", "weight", "temperature"})

    def __init__(
        self,
        *args: Any,
        router: Route = "weighted",
        weight: float = WEIGHT,
        temperature: float = 0.1,
        **settings: Any,
    ) -> None:
        """Raises ValueError for an unknown router, or a temperature that is not above 0."""
        super().__init__(*args, **settings)
        if router not in get_args(Route):
            raise ValueError(f"router={router!r} is not one of {', '.join(get_args(Route))}")
        if temperature <= 0:
            raise ValueError(f"temperature={temperature} must be above 0")
        self.route_by, self.weight, self.temperature = router, weight, temperature
        self.router = Router(self.domains.words)
        for part in (self.network.encoders, *(decoder.head for decoder in self.network.decoders)):
            part.requires_grad_(False)

    def train(self, mode: bool = True) -> Self:
        super().train(mode)
        self.network.encoders.eval()
        return self

    def check_images(self, batches: Iterable[Batch]) -> None:
        super().check_images(batches)
        if not self.single:
            self.router.refuse(torch.cat([self.domains(batch) for batch in batches]))

    @torch.no_grad()
    def prepare(self, batches: Iterable[Batch]) -> None:
        super().prepare(batches)
        if not self.single:
            self.network.encoders.eval()
            found = [(self._styles(batch["image"], batch["content"]), self.domains(batch)) for batch in batches]
            self.router.fit(*(torch.cat(values) for values in zip(*found, strict=True)))

    def _styles(self, image: Tensor, content: Tensor, encodings: list[Features] | None = None) -> Tensor:
        with torch.no_grad():
            return self.network.styles(encodings or self.network.encodings(image), content)

    def output(self, batch: Batch) -> Tensor:
        if self.single:
            route = self.own_decoder(batch)
        else:
            route = self.router.distances(self._styles(batch["image"], batch["content"]), "weighted").argmin(1)
        return self.network.forward_routed(batch["image"], route).float()

    def answer(self, image: Tensor, content: Tensor) -> Answer:
        """`every`: logits (B,D,K,...) by every decoder; with one `logits`, its own.

        Of a router that looks at the image alone also `route` (B,), the decoder it picks; `margin` (B,), by how
        much the next one is farther; and `logits`, the routed ones.
        """
        encodings = self.network.encodings(image)
        every = self.network.decode_all(encodings).float()
        if self.single:
            return {"every": every, "logits": every[:, 0]}
        if self.route_by == "oracle" or self.route_by == "random":
            return {"every": every}
        how: Distance = "weighted" if self.route_by == "soft" else self.route_by
        distances = self.router.distances(self._styles(image, content, encodings), how, self.weight)
        nearest = distances.sort(1).values
        routed = {"route": distances.argmin(1), "margin": nearest[:, 1] - nearest[:, 0]}
        logits = self._mixed(every, distances) if self.route_by == "soft" else picked(every, routed["route"])
        return {"every": every, "logits": logits, **routed}

    def _mixed(self, every: Tensor, distances: Tensor) -> Tensor:
        weights = soft_weights(distances, self.temperature)
        shares = weights.log().view(*weights.shape, *[1] * (every.ndim - 2))
        return (every.log_softmax(2) + shares).logsumexp(1)

    def decided(self, answer: Answer, batch: Batch) -> Tensor:
        return answer["logits"] if "logits" in answer else picked(answer["every"], self._route(answer, batch))

    def _route(self, answer: Answer, batch: Batch) -> Tensor:
        """The decoder (B,) of each image: the router's, or what is known of the image tells."""
        if self.route_by == "oracle" or self.single:
            return self.own_decoder(batch).clamp(min=0)
        if self.route_by == "random":
            digests, decoders = batch["digest"].tolist(), len(self.network.decoders)
            picks = [int(np.random.default_rng(digest).integers(decoders)) for digest in digests]
            return torch.tensor(picks, device=answer["every"].device)
        return answer["route"]

    def _answered(self, batch: Batch) -> Tensor:
        """Which images (B,) this router can answer for."""
        return (
            self.own_decoder(batch) >= 0
            if self.route_by == "oracle"
            else torch.ones_like(batch["record"], dtype=torch.bool)
        )

    def measure(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """The metrics of the target; `domain`, the image's own (a place in `domains`, -1 where unknown), and `route`.

        With several decoders also the target's `score`, and `score_DOMAIN` by every decoder; `router_hit`, `regret`
        and `regret_best` (`metrics.routing`). For `soft`, `route` is the decoder with the largest weight, and score
        and regret are those of the mixture.
        """
        route, domain, answered = self._route(answer, batch), self.domains(batch), self._answered(batch)
        found = where_known(answered, super().measure(answer, batch) | {"route": route}) | {"domain": domain}
        if self.single:
            return found
        scores = torch.stack([self.score(one, batch) for one in answer["every"].unbind(1)], 1)
        routing, score = routing_scores(scores, route, domain), self.score(self.decided(answer, batch), batch)
        regret = {"regret": routing["oracle"] - score, "regret_best": routing["best"] - score}
        found |= where_known(answered, {"score": score, "router_hit": routing["router_hit"], **regret})
        return found | {f"score_{name}": scores[:, k] for k, name in enumerate(self.domains.words)}

    def describe(self, answer: Answer, batch: Batch) -> dict[str, Tensor]:
        """What the target says; where a router chose, `route`, and `route_margin`: how much farther the next one is."""
        routed = {"route": answer["route"], "route_margin": answer["margin"]} if "route" in answer else {}
        return super().describe(answer, batch) | routed

    def pictures(self, batch: Batch) -> dict[str, Tensor]:
        return blank_unknown(self._answered(batch), super().pictures(batch))


def picked(every: Tensor, route: Tensor) -> Tensor:
    """Logits (B,K,...) by the decoder that `route` (B,) names, of those (B,D,K,...) by every decoder."""
    return every[torch.arange(len(route), device=route.device), route]


class SpecialiseClassification(Specialise, Classification):
    """Stage 1 of USHydra-ViT."""


class SpecialiseSegmentation(Specialise, Segmentation):
    """Stage 1 of USHydra-UNet."""


class RoutedClassification(Routed, Classification):
    """Stage 2 of USHydra-ViT."""

    only_evaluated: ClassVar[frozenset[str]] = Classification.only_evaluated | Routed.settings


class RoutedSegmentation(Routed, Segmentation):
    """Stage 2 of USHydra-UNet."""

    only_evaluated: ClassVar[frozenset[str]] = Segmentation.only_evaluated | Routed.settings
