"""Coordinates in other units."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ushydra_lab.audit import coordinates
from ushydra_lab.data import geometry
from ushydra_lab.data.vocabulary import ANNOTATIONS

BOX, ENDS = (list(ANNOTATIONS[name].columns) for name in ("nt_box", "landmarks"))
SIZE = np.array([640, 480])


def px(rows: int, columns: list[str]) -> pd.DataFrame:
    """Annotations in the middle of the image, px."""
    rng = np.random.default_rng(0)
    centres = rng.uniform(0.35, 0.6, (rows, 1, 2)) * SIZE
    offsets = np.array([[-60, -25], [60, 25], [-20, 35], [20, -35]])[: len(columns) // 2]
    table = pd.DataFrame((centres + offsets).reshape(rows, -1), columns=columns)
    return table.assign(image=[f"{k}.png" for k in range(rows)], site="a", width=float(SIZE[0]), height=float(SIZE[1]))


def found(table: pd.DataFrame) -> str:
    problems = [text for _, text in [*geometry.boxes(table), *geometry.points(table)]]
    return "\n".join([*problems, *(flag.text for flag in coordinates.audit(table).flags)])


def scaled(table: pd.DataFrame, columns: list[str], x: float, y: float) -> pd.DataFrame:
    return table.assign(**{c: table[c] * (x if c[-2] == "x" or c.endswith("_x") else y) for c in columns})


@pytest.mark.parametrize("columns", [BOX, ENDS], ids=["box", "points"])
def test_px_are_px(columns: list[str]) -> None:
    assert found(px(20, columns)) == ""
    assert found(px(20, columns).round()) == ""


@pytest.mark.parametrize("columns", [BOX, ENDS], ids=["box", "points"])
def test_fractions_of_the_image_are_a_problem_of_every_row(columns: list[str]) -> None:
    table = scaled(px(4, columns), columns, 1 / SIZE[0], 1 / SIZE[1])
    assert found(table).count("like fractions of the image, not px") == 4
    assert "multiply x by the image's width and y by its height" in found(table)


@given(st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_any_box_of_fractions_is_told(box: list[float]) -> None:
    table = px(1, BOX).assign(**dict(zip(BOX, box, strict=True)))
    assert "looks like fractions of the image" in found(table)


def test_centre_and_size_are_told_from_edges() -> None:
    yolo = px(1, BOX).assign(nt_x1=0.7, nt_y1=0.6, nt_x2=0.2, nt_y2=0.1)
    assert "here of its centre and size as YOLO writes them" in found(yolo)
    coco = px(1, BOX).assign(nt_x1=300.0, nt_y1=200.0, nt_x2=120.0, nt_y2=50.0)
    assert "are the last two a width and a height? Then add x1 and y1" in found(coco)


@pytest.mark.parametrize("columns", [BOX, ENDS], ids=["box", "points"])
def test_percent_and_mm_are_told(columns: list[str]) -> None:
    percent = scaled(px(10, columns), columns, 100 / SIZE[0], 100 / SIZE[1])
    assert "10 images lie all within the first" in found(percent)
    assert "percent of the image, or mm?" in found(percent)
    assert "percent of the image, or mm?" in found(scaled(px(10, columns), columns, 0.15, 0.15))
    assert found(percent.assign(width=128.0, height=96.0)) == ""  # there px look the same


def test_pixels_counted_from_one_are_told() -> None:
    table = px(10, BOX).round()
    assert found(table) == ""
    table.loc[0, BOX] = [1, 1, 640, 480]
    assert "subtract 1 from nt_x1 and nt_y1" in found(table)
    table.loc[1, "nt_x1"] = 0
    assert found(table) == ""
    ends = px(10, ENDS).round()
    ends.loc[0, ["ofd_1_x", "ofd_2_x"]] = [1, 640]
    assert "Then subtract 0.5" in found(ends)


def test_rows_and_columns_exchanged_are_told() -> None:
    table = px(3, BOX).assign(nt_x1=100.0, nt_y1=500.0, nt_x2=150.0, nt_y2=600.0)
    assert found(table).count("it fits with x and y swapped: were rows and columns mixed up?") == 3


def test_a_box_beside_the_image_is_refused_even_where_it_only_touches_it() -> None:
    assert "lies outside the image" in found(px(1, BOX).assign(nt_x1=640.0, nt_x2=641.0))
    assert "lies outside the image" in found(px(1, BOX).assign(nt_y1=-1.0, nt_y2=0.0))
