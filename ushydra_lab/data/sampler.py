"""Samplers of training images: the order is a function of (seed, epoch) alone, so a resumed run continues it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

from ushydra_lab.data.io.mask_codes import AnyCode
from ushydra_lab.data.vocabulary import nearest
from ushydra_lab.errors import UserError


class EpochSampler(Sampler[int]):
    """A permutation of all images, or with `weights` as many draws with replacement, in proportion to them."""

    def __init__(self, size: int, seed: int, weights: NDArray[np.float64] | None = None) -> None:
        self.size, self.seed, self.weights, self.epoch = size, seed, weights, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before every epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        if self.weights is None:
            yield from rng.permutation(self.size).tolist()
        else:
            yield from rng.choice(self.size, self.size, p=self.weights / self.weights.sum()).tolist()


class RankShare(Sampler[int]):
    """One process' share of another sampler's order, so that all `ranks` together do what one process would.

    In training every rank takes an equal part of every batch; the first images again fill the last batch up to a
    multiple of `ranks`. Else every rank takes whole batches, in turn, and no image comes twice.
    """

    def __init__(self, order: Sampler[int], batch_size: int, rank: int, ranks: int, training: bool) -> None:
        self.order, self.batch_size, self.rank, self.ranks, self.training = order, batch_size, rank, ranks, training

    def set_epoch(self, epoch: int) -> None:
        """Called by the Trainer before every epoch."""
        if isinstance(self.order, EpochSampler):
            self.order.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self._share(range(len(self.order))))  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[int]:
        return iter(self._share(list(self.order)))

    def _share(self, order: Sequence[int]) -> list[int]:
        if self.training:
            return [*order, *order[: -len(order) % self.ranks]][self.rank :: self.ranks]
        step = self.batch_size * self.ranks
        starts = range(self.rank * self.batch_size, len(order), step)
        return [index for start in starts for index in order[start : start + self.batch_size]]


@dataclass(frozen=True)
class Oversample:
    """Images that show any of `structures` are drawn `factor` times as often as others (thesis 4, section 3.3)."""

    structures: Sequence[str]
    factor: float = 3.0

    def weights(self, labels: Iterable[Tensor], masks: AnyCode | None) -> NDArray[np.float64]:
        """The weight of each image, (N,), from label maps (N, H, W) that come in parts along N.

        Raises UserError for an unknown structure.
        """
        known = masks.structures if masks else ()
        if unknown := [f"{name!r}{nearest(name, known)}" for name in self.structures if name not in known]:
            raise UserError(f"oversample.structures: the masks show {', '.join(known)}, not {', '.join(unknown)}")
        wanted = torch.tensor([known.index(name) + 1 for name in self.structures], dtype=torch.uint8)
        shown = [torch.isin(some, wanted).flatten(1).any(dim=1) for some in labels]
        return np.where(torch.cat(shown).numpy(), self.factor, 1.0)
