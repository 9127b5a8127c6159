"""Batches are the same wherever they are made."""

import numpy as np
import pytest
import torch

from ushydra_lab.data import canvases
from ushydra_lab.data.canvases import Canvases

from ..made_up_accelerator import DEVICE, Accelerator, Far, near


def test_a_batch_made_on_an_accelerator_is_to_the_bit_the_one_made_on_the_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = torch.arange(6 * 16 * 16).reshape(6, 16, 16).byte()
    fields = {"record": torch.arange(6), "mask": pixels // 100, "nt_box": torch.rand(6, 4)}
    images, indices = Canvases(pixels, fields, torch.tensor([5, 1, 2])), [2, 0]
    assert images.near(DEVICE) is images, "of no other device is known how much memory is free"
    monkeypatch.setattr(canvases, "has_room", lambda device, size: size == 3 * (2 * 16 * 16 + 8 + 16))
    with Accelerator():
        resident = images.near(DEVICE)
        there = resident.__getitems__(indices)
    assert len(resident) == 3
    assert isinstance(resident.pixels, Far)
    assert resident.pixels.dtype == torch.uint8
    here = images.__getitems__(indices)
    assert here["record"].tolist() == [2, 5]
    assert there.keys() == here.keys()
    assert all(torch.equal(near(there[name]), values) for name, values in here.items())
    assert np.array_equal(here["image"][:, 0].numpy(), pixels[[2, 5]].numpy().astype(np.float32) / np.float32(255))
