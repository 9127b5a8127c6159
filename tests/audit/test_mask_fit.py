"""How far a mask lies from the edges that it was drawn along, in parts of the image."""

import numpy as np
import pytest

from ushydra_lab.audit.mask_fit import best_shift
from ushydra_lab.geometry.ellipse import Ellipse

SHAPE = (240, 320)


def ring(x: float, y: float) -> np.ndarray:
    """The pixels inside a head whose skull is bright."""
    return Ellipse(x, y, 60, 45, 0.3).inside(SHAPE)


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (32, 0), (0, -24), (-40, 30)])
def test_a_mask_that_was_moved_is_to_move_back(dx: int, dy: int) -> None:
    rng, inside = np.random.default_rng(0), ring(160, 120)
    grey = np.where(inside, 140, 40) + rng.normal(0, 5, SHAPE)
    x, y, gain = best_shift(grey.clip(0, 255).astype(np.uint8), ring(160 + dx, 120 + dy))
    assert (x, y) == pytest.approx((-dx / SHAPE[1], -dy / SHAPE[0]), abs=1.5 / 96)
    assert gain == pytest.approx(0, abs=0.1) if (dx, dy) == (0, 0) else gain > 2


@pytest.mark.parametrize("shape", [(3, 2000), (2000, 3), (1, 1)])
def test_an_image_of_any_shape_is_looked_at_and_without_an_outline_nothing_is_said(shape: tuple[int, int]) -> None:
    assert np.isnan(best_shift(np.full(shape, 9, np.uint8), np.zeros(shape, bool))).all()
