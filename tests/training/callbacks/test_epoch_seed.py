"""What an epoch draws is a function of the seed and the epoch, whatever was drawn before."""

import random
from types import SimpleNamespace

import numpy as np
import torch

from ushydra_lab.training.callbacks.epoch_seed import EpochSeed


def drawn(seed: int, epoch: int) -> tuple[float, float, float]:
    EpochSeed(seed).on_train_epoch_start(SimpleNamespace(current_epoch=epoch), None)  # type: ignore[arg-type]
    return random.random(), float(np.random.rand()), float(torch.rand(()))  # noqa: NPY002  what it seeds


def test_an_epoch_draws_the_same_after_any_other_and_no_two_alike() -> None:
    first = drawn(3, 0)
    others = [drawn(3, 1), drawn(4, 0), drawn(4, 1), drawn(0, 3)]
    assert drawn(3, 0) == first
    assert len({first, *others}) == 5
