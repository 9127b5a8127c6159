"""Images that are read nearly black are told by site."""

import numpy as np
import pandas as pd
import pytest

from ushydra_lab.audit.grey_range import audit


@pytest.mark.parametrize(("peak", "dim"), [(4095, True), (16383, True), (16384, False), (65535, False), (None, False)])
def test_sixteen_bits_of_which_a_quarter_at_most_is_used_are_flagged(peak: int | None, dim: bool) -> None:
    table = pd.DataFrame({"site": ["a", "a", "b"]})
    flags = audit(table, [60000, peak, 60000], np.array([255.0, 255, 255])).flags
    assert [flag.rows for flag in flags] == [(1,)] * dim
    assert all(f"site a: 1 of 2 images with 16 bits have no value above {peak} of 65535" in flag.text for flag in flags)


@pytest.mark.parametrize(("brightest", "dark"), [(0.0, True), (63.0, True), (64.0, False), (np.nan, False)])
def test_other_images_are_dark_below_grey_value_64(brightest: float, dark: bool) -> None:
    table = pd.DataFrame({"site": ["a", "a", "b"]})
    flags = audit(table, [None, None, 60000], np.array([255.0, brightest, 15.0])).flags
    assert [flag.rows for flag in flags] == [(1,)] * dark
    assert all(f"no grey value above {brightest:.0f} of 255" in flag.text for flag in flags)
