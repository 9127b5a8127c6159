"""Image and annotations move together."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from ushydra_lab.data.augment import FlipShift


def marked(x: int, y: int, height: int = 20, width: int = 30) -> dict[str, torch.Tensor]:
    """A canvas with one bright 3 x 2 patch, its box, and content that leaves a margin."""
    image = torch.zeros(1, 1, height, width)
    image[0, 0, y : y + 2, x : x + 3] = 1
    box = torch.tensor([[x, y, x + 3, y + 2]], dtype=torch.float32)
    content = torch.tensor([[0.0, 1.0, width, height - 1.0]])
    return {"image": image, "nt_box": box, "content": content, "record": torch.tensor([7])}


@given(x=st.integers(0, 27), y=st.integers(0, 18), seed=st.integers(0, 1000), shift=st.integers(0, 9))
def test_the_box_still_encloses_exactly_what_it_enclosed(x: int, y: int, seed: int, shift: int) -> None:
    moved = FlipShift(flip=0.5, shift=shift)(marked(x, y), np.random.default_rng(seed))
    rows, columns = torch.where(moved["image"][0, 0] > 0)
    bounds = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert moved["nt_box"][0].tolist() == [float(bound) for bound in bounds]
    assert moved["image"].sum() == 6
    assert moved["record"].tolist() == [7]


def test_mirroring_twice_changes_nothing() -> None:
    batch, always = marked(4, 5), FlipShift(flip=1.0, shift=0)
    twice = always(always(batch, np.random.default_rng(0)), np.random.default_rng(0))
    assert all(torch.equal(batch[key], twice[key]) for key in batch)


def test_every_shift_occurs_and_none_beyond_the_limit() -> None:
    shifts = {
        tuple(FlipShift(0.0, 2)(marked(12, 9), np.random.default_rng(seed))["nt_box"][0, :2].int().tolist())
        for seed in range(400)
    }
    assert shifts == {(12 + dx, 9 + dy) for dx in range(-2, 3) for dy in range(-2, 3)}


def test_a_missing_box_is_no_obstacle() -> None:
    batch = marked(12, 9) | {"nt_box": torch.full((1, 4), torch.nan)}
    moved = FlipShift(1.0, 3)(batch, np.random.default_rng(0))
    assert moved["nt_box"].isnan().all()
    assert moved["image"].isfinite().all()
