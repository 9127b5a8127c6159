from math import pi

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ellipe

from ushydra_lab.geometry.ellipse import Ellipse
from ushydra_lab.metrics.circumference import circumference

WHOLE, SAME = torch.tensor([[0.0, 0.0, 160.0, 128.0]]), torch.ones(1, 2)


def painted(ellipse: Ellipse) -> torch.Tensor:
    return torch.from_numpy(ellipse.inside((128, 160)).astype(np.uint8))[None]


@settings(max_examples=40, deadline=None)
@given(st.floats(30, 50), st.floats(0.7, 0.9), st.floats(-1.5, 1.5))
def test_a_whole_head_has_the_perimeter_of_its_ellipse(major: float, ratio: float, angle: float) -> None:
    labels = painted(Ellipse(80, 64, major, major * ratio, angle))
    expected = 4 * major * ellipe(1 - ratio**2)
    assert circumference(labels, 1, WHOLE, SAME).item() == pytest.approx(expected, rel=0.005)


def test_each_axis_has_its_own_scale_to_native_px() -> None:
    labels = painted(Ellipse(80, 64, 40, 32, 0.0))
    found = circumference(labels, 1, WHOLE, torch.tensor([[2.0, 2.5]])).item()
    assert found == pytest.approx(2 * pi * 80, rel=0.005)


@pytest.mark.parametrize("content", [(0, 40, 160, 128), (45, 0, 160, 128), (0, 0, 115, 128), (0, 0, 160, 88)])
def test_a_head_cut_by_the_images_border_is_completed(content: tuple[int, ...]) -> None:
    x1, y1, x2, y2 = content
    whole = painted(Ellipse(80, 64, 45, 36, 0.2))
    labels = torch.zeros_like(whole)
    labels[:, y1:y2, x1:x2] = whole[:, y1:y2, x1:x2]
    expected = 4 * 45 * ellipe(1 - 0.8**2)
    assert circumference(labels, 1, torch.tensor([content]).float(), SAME).item() == pytest.approx(expected, rel=0.01)
    assert circumference(labels, 1, WHOLE, SAME).item() < 0.97 * expected


def test_only_the_largest_part_of_the_label_counts_and_nothing_has_no_circumference() -> None:
    labels = painted(Ellipse(80, 64, 30, 30, 0))
    labels[:, 5:9, 5:9], labels[:, 100:104, 5:9] = 1, 2
    assert circumference(labels, 1, WHOLE, SAME).item() == pytest.approx(2 * pi * 30, rel=0.005)
    labels[:, 0, 150] = 3
    assert circumference(labels, 4, WHOLE, SAME).isnan().all()
    assert circumference(labels, 3, WHOLE, SAME).isnan().all()
