from inspect import signature
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ushydra_lab.audit import landmarks, order
from ushydra_lab.audit.flags import Finding
from ushydra_lab.audit.order import order_entropy
from ushydra_lab.tasks.landmarks import Landmarks

MULTICENTRE = "hc18/landmarks/multicentre_HC18/Head.csv"


def rightward(rows: int) -> np.ndarray:
    """(rows, 2): from the left end to the right one, within some 50° of the horizontal."""
    return np.random.default_rng(5).normal([100, 0], [5, 30], (rows, 2))


def audit(vectors: np.ndarray) -> Finding:
    """As the OFD of two hospitals, half the rows each."""
    sites = ["a" if k < len(vectors) / 2 else "b" for k in range(len(vectors))]
    table = pd.DataFrame({"image": [f"{k}.png" for k in range(len(vectors))], "site": sites})
    return order.audit(table.rename_axis("row"), {"OFD": vectors})


def test_a_coin_flip_order_of_ends_is_one_bit_and_a_convention_none() -> None:
    kept = rightward(2000)
    flipped = kept * np.random.default_rng(0).choice([-1, 1], (2000, 1))
    assert order_entropy(kept)[0] < 0.02
    assert order_entropy(flipped)[0] > 0.99
    assert audit(kept).flags == []
    (flag,) = audit(flipped).flags
    assert flag.text.startswith("OFD: the second end on one side of the first in 5")
    assert "1.00 bits: a coin flip" in flag.text
    assert "task.order=canonical" in flag.text
    assert signature(Landmarks).parameters["order"].default == "canonical", "as the flag says"


def test_the_share_shown_is_the_one_that_the_bits_are_of() -> None:
    """Upright diameters, each beginning at either end, lean to the right: x alone would look like a convention."""
    vectors = np.random.default_rng(1).normal([20, 100], [2, 10], (100, 2)) * np.tile([[1, 1], [1, -1]], (50, 1))
    (flag,) = audit(vectors).flags
    assert (vectors[:, 0] > 0).all()
    assert flag.text.startswith("OFD: the second end on one side of the first in 50 % of 100 rows; 1.00 bits")


def test_single_rows_with_their_ends_swapped_are_flagged_so_that_the_page_shows_them() -> None:
    vectors = rightward(60)
    vectors[[3, 40]] *= -1
    vectors[7] = [-10, 90]
    found = audit(vectors)
    assert [flag.rows for flag in found.flags] == [(3,), (40,)]
    assert found.flags[0].text == "row 3 (3.png) of a: OFD the other way round than in 93 % of the rows"


def test_a_site_with_its_own_order_is_named_instead_of_all_its_rows() -> None:
    vectors = rightward(60)
    vectors[30:] *= -1
    (flag,) = audit(vectors).flags
    assert flag.rows == ()
    assert "sites have opposite orders" in flag.text
    assert "100 % of " in flag.text
    assert "0 % of " in flag.text


def test_rows_without_ends_are_left_out_and_few_rows_say_so() -> None:
    vectors = rightward(60)
    vectors[:5] = np.nan
    assert "of 55 rows" in audit(vectors).summary
    vectors[10:] = np.nan
    assert audit(vectors).skipped == "OFD: 5 rows, 20 are needed"


@pytest.mark.real
def test_the_multicentre_labels_have_no_gross_errors_but_a_coin_flip_order(real_data: Path) -> None:
    table = pd.read_csv(real_data / MULTICENTRE).rename(columns={"image_name": "image"})
    shapes, ends = landmarks.audit(table.assign(site="HC18", subject="x"))
    assert shapes.flags == []
    assert "of 999 rows; 1.00 bits: a coin flip" in ends.flags[0].text
