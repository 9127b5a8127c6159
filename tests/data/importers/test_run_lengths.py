"""Run lengths of COCO and CVAT, beside texts that pycocotools 2.0.11 has written."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from ushydra_lab.data.importers.problem import ExportProblem
from ushydra_lab.data.importers.run_lengths import lengths_of, unpacked

from .exports import run_lengths


def packed(lengths: list[int]) -> str:
    """The text of COCO, as maskApi.c describes it: digits of five bits with a mark that more follow."""
    text = ""
    for index, length in enumerate(lengths):
        value = length - lengths[index - 2] if index > 2 else length
        while True:
            digit, value = value & 31, value >> 5
            done = value == (-1 if digit & 16 else 0)
            text += chr(48 + digit + (0 if done else 32))
            if done:
                break
    return text


def rectangle() -> np.ndarray:
    drawn = np.zeros((300, 400), bool)
    drawn[100:260, 50:333] = True
    return drawn


def holed() -> np.ndarray:
    drawn = np.zeros((9, 7), bool)
    drawn[2:7, 1:5] = True
    drawn[4, 3] = False
    return drawn


NOISE = ["..#.##", ".#.#..", "#.####", "##.##.", "...##."]


@pytest.mark.parametrize(
    ("mask", "text"),
    [
        (holed(), ";5400MM033`0"),
        (np.array([[cell == "#" for cell in row] for row in NOISE]), "222OO0000024NO0M1"),
        (rectangle(), "lg>P5\\4" + "0" * 563 + "Pac0"),
    ],
)
def test_texts_of_pycocotools(mask: np.ndarray, text: str) -> None:
    np.testing.assert_array_equal(unpacked(lengths_of(text), mask.shape, "F"), mask)
    assert packed(run_lengths(mask)) == text


@settings(deadline=None)
@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_a_mask_comes_back(mask: np.ndarray) -> None:
    lengths = run_lengths(mask)
    np.testing.assert_array_equal(unpacked(lengths, mask.shape, "F"), mask)
    np.testing.assert_array_equal(unpacked(run_lengths(mask.T), mask.shape, "C"), mask)
    assert lengths_of(packed(lengths)) == lengths


@settings(deadline=None)
@given(st.lists(st.integers(0, 2**30), max_size=20))
def test_lengths_of_any_size_come_back(lengths: list[int]) -> None:
    assert lengths_of(packed(lengths)) == lengths


@settings(deadline=None)
@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(ExportProblem):
        assert unpacked(lengths_of(text), (3, 4), "F").shape == (3, 4)


@pytest.mark.parametrize("lengths", [[], [5, -1, 8], [13], [10**30], [4, 4, 3]])
def test_lengths_that_do_not_fill_the_mask_are_refused(lengths: list[int]) -> None:
    with pytest.raises(ExportProblem, match="px in a mask of 4 x 3"):
        unpacked(lengths, (3, 4), "F")
