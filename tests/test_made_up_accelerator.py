"""The made-up accelerator refuses what would make a process wait for a GPU, and computes the rest."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from .made_up_accelerator import DEVICE, Accelerator, Far, Refused, near

SYNCS: dict[str, Callable[[Tensor], Any]] = {
    "a number is read": lambda x: x.sum().item(),
    "a list is read": lambda x: x.tolist(),
    "a truth is asked": lambda x: bool((x > 0).all()),
    "it goes to the CPU": lambda x: x.cpu(),
    "it goes to NumPy": lambda x: x.numpy(),
    "where it is not 0": lambda x: x.nonzero(),
    "which values it has": lambda x: x.unique(),
    "a mask chooses": lambda x: x[x > 0],
    "a mask is filled with several values": lambda x: x.masked_select(x > 0),
    "a constant is sent": lambda x: torch.tensor([1.0, 2.0], device=x.device),
    "a new tensor is sent": lambda x: x.new_tensor([1.0, 2.0]),
    "a list is an index": lambda x: x[[0, 2]],
    "it is waited for what is sent": lambda x: torch.ones(3).to(x.device),
    "another device's is added": lambda x: x + torch.ones(3),
}
NO_SYNCS: dict[str, Callable[[Tensor], Any]] = {
    "it is computed": lambda x: (x * 2 + torch.arange(3, device=x.device)).sum(),
    "a mask is filled": lambda x: x.clone().masked_fill_(x > 0, 1.0),
    "numbers of the CPU": lambda x: x + 1.0 + torch.tensor(1.0),
    "it is not waited for what is sent": lambda x: torch.ones(3).to(x.device, non_blocking=True),
    "rows are an index": lambda x: x[torch.arange(2, device=x.device)],
}


@pytest.mark.parametrize("what", SYNCS)
def test_it_refuses_what_would_wait(what: str) -> None:
    with Accelerator(), pytest.raises(Refused):
        SYNCS[what](torch.ones(3, device=DEVICE))


@pytest.mark.parametrize("what", NO_SYNCS)
def test_it_computes_what_would_not(what: str) -> None:
    with Accelerator():
        found = NO_SYNCS[what](torch.ones(3, device=DEVICE))
    assert isinstance(found, Far)
    torch.testing.assert_close(near(found), NO_SYNCS[what](torch.ones(3)))
