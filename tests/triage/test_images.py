"""Damaged copies are seen by the networks as the images themselves are."""

import numpy as np
import torch

from ushydra_lab.geometry.letterbox import Letterbox
from ushydra_lab.triage.images import _batch


def test_copies_are_letterboxed_and_from_0_to_1() -> None:
    greys = [np.random.default_rng(0).integers(0, 256, (30, 50), np.uint8), np.full((24, 20), 255, np.uint8)]
    found = _batch(greys, [(10.0, 0.0, 50.0, 30.0), (0.0, 0.0, 20.0, 24.0)], (32, 40))
    fits = [Letterbox.fit((30, 50), (32, 40), (10.0, 0.0, 50.0, 30.0)), Letterbox.fit((24, 20), (32, 40))]
    for row, (fit, grey) in enumerate(zip(fits, greys, strict=True)):
        expected = torch.from_numpy(fit.apply_image(grey) / 255).float()
        torch.testing.assert_close(found["image"][row, 0], expected, atol=1e-6, rtol=0)
        assert found["content"][row].tolist() == list(np.float32(fit.content))
    assert found["image"][1].max() == 1
