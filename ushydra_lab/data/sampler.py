"""The order in which training images are seen: a function of (seed, epoch) alone, so a resumed run goes on in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Sampler

from ushydra_lab.data.masks import MaskCode
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


@dataclass(frozen=True)
class Oversample:
    """Images that show any of `structures` are drawn `factor` times as often as others (thesis 4, section 3.3)."""

    structures: Sequence[str]
    factor: float = 3.0

    def weights(self, labels: Tensor, masks: MaskCode | None) -> NDArray[np.float64]:
        """The weight of each image, (N,), from label maps (N, H, W). Raises UserError for an unknown structure."""
        known = masks.structures if masks else ()
        if unknown := [f"{name!r}{nearest(name, known)}" for name in self.structures if name not in known]:
            raise UserError(f"oversample.structures: the masks show {', '.join(known)}, not {', '.join(unknown)}")
        shown = np.zeros(len(labels), bool)
        for name in self.structures:
            shown |= (labels == known.index(name) + 1).flatten(1).any(dim=1).numpy()
        return np.where(shown, self.factor, 1.0)
