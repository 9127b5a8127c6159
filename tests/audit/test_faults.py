"""Faults planted in copies of phantom heads: each is named with its file and line, and nothing is in the clean copy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

Audited = Callable[[pd.DataFrame], dict[str, list[str]]]


def place(rows: pd.DataFrame, position: int) -> str:
    return f"line {rows.index[position]} ({rows['image'].iloc[position]})"


def rewritten(rows: pd.DataFrame, position: int, column: str, pixels: np.ndarray, folder: Path) -> pd.DataFrame:
    """The rows with another file in place of one row's image or mask."""
    path = folder / f"{column}{position}.png"
    Image.fromarray(pixels).save(path)
    rows = rows.copy()
    rows.iloc[position, rows.columns.get_loc(column)] = str(path)
    return rows


def mask_of(rows: pd.DataFrame, position: int) -> np.ndarray:
    return np.array(Image.open(rows["mask"].iloc[position]))


def test_clean_heads_have_few_flags_and_none_of_the_planted_kinds(head_rows: pd.DataFrame, audited: Audited) -> None:
    found = audited(head_rows)
    order = found.pop("end_point_order")
    assert all(
        "OFD: the second end" in text for text in order
    )  # the phantom's end points are in random order, as real ones
    assert sum(map(len, found.values())) <= 2
    assert not any(
        found[kind]
        for kind in (
            "problems",
            "near_duplicates",
            "masks",
            "mask_shift",
            "units",
            "site_names",
            "shared_files",
            "grey_range",
        )
    )


def test_a_subject_in_two_parts_is_a_problem(head_rows: pd.DataFrame, audited: Audited) -> None:
    rows = head_rows.assign(part="train")
    rows.iloc[[3, 4], rows.columns.get_loc("subject")] = "twice"
    rows.iloc[4, rows.columns.get_loc("part")] = "test"
    assert any("'twice'" in text and "train" in text and "test" in text for text in audited(rows)["problems"])


def test_a_changed_copy_at_another_site_is_a_near_duplicate(
    head_rows: pd.DataFrame, audited: Audited, tmp_path: Path
) -> None:
    original = Image.open(head_rows["image"].iloc[5])
    smaller = original.resize((9 * original.width // 10, 9 * original.height // 10))
    rows = rewritten(
        head_rows.drop(columns="mask"), 40, "image", np.clip(1.1 * np.asarray(smaller), 0, 255).astype("u1"), tmp_path
    )
    rows.iloc[40, rows.columns.get_indexer([c for c in rows if c.startswith(("ofd", "bpd", "hc"))])] = np.nan
    (text,) = audited(rows)["near_duplicates"]
    assert text.startswith(f"{place(rows, 5)} is nearly the same in {place(rows, 40)}: sites hospital_a and hospital_b")


def test_exchanged_colours_of_a_mask_are_found(head_rows: pd.DataFrame, audited: Audited, tmp_path: Path) -> None:
    position = next(k for k in range(60) if {1, 2} <= set(np.unique(mask_of(head_rows, k))))
    swapped = np.array([0, 2, 1, 3], np.uint8)[mask_of(head_rows, position)]
    rows = rewritten(head_rows, position, "mask", swapped, tmp_path)
    (text,) = audited(rows)["masks"]
    assert text.startswith(place(rows, position))
    assert "exchanged colours?" in text


def test_a_colour_that_no_structure_has_is_a_problem(head_rows: pd.DataFrame, audited: Audited, tmp_path: Path) -> None:
    rows = rewritten(head_rows, 7, "mask", np.where(mask_of(head_rows, 7) > 0, 9, 0).astype(np.uint8), tmp_path)
    (text,) = audited(rows)["problems"]
    assert text.startswith(f"{place(rows, 7)}: mask has unknown colours (9:")


def test_a_mask_shifted_by_15_percent_of_the_image_is_found(
    head_rows: pd.DataFrame, audited: Audited, tmp_path: Path
) -> None:
    for position, axis, sign in ((2, 0, 1), (11, 0, -1), (35, 1, 1), (50, 1, -1)):
        mask = mask_of(head_rows, position)
        moved = np.roll(mask, sign * round(0.15 * mask.shape[axis]), axis)
        (text,) = audited(rewritten(head_rows, position, "mask", moved, tmp_path))["mask_shift"]
        assert text.startswith(
            f"{place(rewritten(head_rows, position, 'mask', moved, tmp_path), position)}: the mask's"
        )


def test_shifted_landmarks_are_found(head_rows: pd.DataFrame, audited: Audited) -> None:
    rows = head_rows.drop(columns="mask").copy()
    ends = rows.columns.get_indexer([c for c in rows if c.startswith(("ofd", "bpd"))])
    rows.iloc[20, ends] = rows.iloc[20, ends].astype(float) * 0.3 + 5
    found = audited(rows)
    assert any(text.startswith(place(rows, 20)) for text in found["placement"])


def test_spacing_in_another_unit_is_found_and_read_back(head_rows: pd.DataFrame, audited: Audited) -> None:
    spacing = float(head_rows["pixel_mm"].iloc[9])
    for wrong, unit in ((spacing / 10, "cm per px"), (1 / spacing, "px per mm")):
        rows = head_rows.drop(columns="mask").copy()
        rows.iloc[9, rows.columns.get_loc("pixel_mm")] = str(wrong)
        found = audited(rows)
        texts = [*found["units"], *found["problems"]]
        assert any(text.startswith(place(rows, 9)) for text in texts)
        assert any(unit in text for text in texts)


def test_a_length_given_in_px_is_found(head_rows: pd.DataFrame, audited: Audited) -> None:
    rows = head_rows.drop(columns="mask").copy()
    for position in (14, 44):
        length = float(rows["hc_mm"].iloc[position]) / float(rows["pixel_mm"].iloc[position])
        rows.iloc[position, rows.columns.get_loc("hc_mm")] = str(length)
    found = audited(rows)
    for position in (14, 44):
        assert any(text.startswith(place(rows, position)) for text in [*found["units"], *found["problems"]])
