"""Half precision trains as the papers ask for it: with a fused optimiser, and gradients clipped."""

from pathlib import Path

import pandas as pd
import pytest

from ..small_systems import train, words, write_images


def test_gradients_of_half_precision_are_clipped_also_with_a_fused_optimiser(tmp_path: Path) -> None:
    images = write_images("biometry_stage3", tmp_path / "images")
    losses = {}
    for precision in ("32-true", "bf16-mixed"):
        settings = [f"trainer.precision={precision}", "trainer.gradient_clip_val=0.01"]
        run = train(words("biometry_stage3", images, tmp_path / precision, 1, *settings))
        losses[precision] = pd.read_csv(run / "history" / "train.csv")["val/loss"].tolist()
    assert losses["bf16-mixed"] == pytest.approx(losses["32-true"], rel=0.2)
    assert losses["bf16-mixed"] != losses["32-true"]
