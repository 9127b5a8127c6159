"""Intersection over union is that of counted pixels."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from ushydra_lab.geometry.boxes import iou

SIDE = st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda ends: ends[0] != ends[1]).map(sorted)


@given(SIDE, SIDE, SIDE, SIDE)
def test_it_is_that_of_counted_pixels(x: list[int], y: list[int], u: list[int], v: list[int]) -> None:
    masks = np.zeros((2, 12, 12), bool)
    masks[0, y[0] : y[1], x[0] : x[1]] = masks[1, v[0] : v[1], u[0] : u[1]] = True
    a, b = (torch.tensor([[p[0], q[0], p[1], q[1]]], dtype=torch.float64) for p, q in ((x, y), (u, v)))
    expected = (masks[0] & masks[1]).sum() / (masks[0] | masks[1]).sum()
    np.testing.assert_allclose(float(iou(a, b)), expected, rtol=1e-12)
