import numpy as np
import pandas as pd
import pytest

from ushydra_lab.audit import numbers
from ushydra_lab.geometry.ellipse import Ellipse


def table_of(**columns: object) -> pd.DataFrame:
    rows = max(len(c) for c in columns.values() if isinstance(c, list | np.ndarray))
    base = {"image": [f"{k}.png" for k in range(rows)], "site": "a", "height": np.nan, "width": np.nan}
    return pd.DataFrame(base | columns, index=pd.RangeIndex(2, rows + 2, name="line"))


def texts(table: pd.DataFrame, which: int = 0) -> list[str]:
    return [flag.text for flag in numbers.audit(table)[which].flags]


@pytest.mark.parametrize(
    ("wrong", "reading"),
    [(0.011, "cm per px it would be 0.11"), (9.0, "px per mm it would be 0.111"), (1.1, "1/10 mm per px it would be")],
)
def test_spacing_in_another_unit_is_read_back(wrong: float, reading: str) -> None:
    spacing = [0.1, 0.12, 0.11, wrong, 0.1, 0.13, 0.09]
    (text,) = texts(table_of(pixel_mm=spacing))
    assert text.startswith("line 5 (3.png): pixel_mm")
    assert reading in text


def test_a_machine_that_always_has_one_spacing_is_told_from_one_that_varies() -> None:
    assert len(texts(table_of(pixel_mm=[0.1] * 10 + [0.2]))) == 1
    assert texts(table_of(pixel_mm=list(np.linspace(0.05, 0.2, 11)))) == []


def test_rows_are_compared_with_their_own_site() -> None:
    table = table_of(pixel_mm=[0.08] * 7 + [0.3] * 6)
    assert len(texts(table)) == 6
    assert texts(table.assign(site=["a"] * 7 + ["b"] * 6)) == []


@pytest.mark.parametrize(("wrong", "reading"), [(0.009, "cm per px it would be 0.09"), (0.9, "1/10 mm per px")])
def test_a_whole_site_in_another_unit_stands_out_among_the_sites(wrong: float, reading: str) -> None:
    table = table_of(pixel_mm=[0.08, 0.1, wrong] * 5, width=1200.0).assign(site=["st_anna", "mitte", "st_josef"] * 5)
    text, *more = texts(table)
    assert "medians of pixel_mm differ by a factor of 11" in text
    assert f"st_josef {wrong:g}" in text
    assert f"; st_josef as {reading}" in text
    assert text.count(" it would be ") == 1
    assert all("site st_josef: 5 of 5 images would be 1.08e+03 mm wide" in other for other in more)
    lengths = table.assign(pixel_mm=0.1, hc_mm=[300.0, 280.0, 29.0] * 5)
    (of_lengths,) = texts(lengths)
    assert "medians of hc_mm differ by a factor of 10" in of_lengths


def test_images_wider_or_narrower_than_any_scan_are_named_once_per_site() -> None:
    table = table_of(pixel_mm=[1.9] * 6 + [0.02] * 6, width=[700.0] * 6 + [400.0] * 6, site=["a"] * 6 + ["b"] * 6)
    found = [text for text in texts(table) if "wide by" in text]
    assert [text.split(" mm wide")[0] for text in found] == [
        "site a: 6 of 6 images would be 1.33e+03",
        "site b: 6 of 6 images would be 8",
    ]
    assert texts(table_of(pixel_mm=[0.3] * 6, width=1600.0)) == []
    assert texts(table_of(pixel_mm=[0.03] * 6, width=350.0)) == []


def test_circumference_and_bpd_are_compared_with_landmarks_and_spacing() -> None:
    ellipse = Ellipse(400.0, 300.0, 250.0, 200.0, 0.3)
    ends = dict(
        zip([f"{d}_{k}_{x}" for d in ("ofd", "bpd") for k in "12" for x in "xy"], ellipse.ends.ravel(), strict=True)
    )
    right = ellipse.perimeter * 0.2
    table = table_of(pixel_mm=[0.2, 0.2, 0.2, 0.02], hc_mm=[right, 1.04 * right, 1.06 * right, np.nan], **ends)
    found = texts(table)
    assert [text[:14] for text in found] == ["line 5 (3.png)", "line 4 (2.png)"]
    assert "BPD is 8.0 mm" in found[0]
    assert f"the circumference is {right:.1f} mm" in found[1]


def test_a_thickness_longer_than_its_box_is_in_px() -> None:
    table = table_of(pixel_mm=[0.1, 0.1], nt_mm=[2.0, 18.0], nt_x1=0.0, nt_y1=0.0, nt_x2=80.0, nt_y2=30.0)
    (text,) = texts(table)
    assert text.startswith("line 3 (1.png): nt_mm = 18 is more than the 8.5 mm")


def test_image_sizes_stand_alone_only_where_most_are_of_one_size() -> None:
    common = table_of(height=[540.0] * 20 + [541.0], width=[800.0] * 20 + [760.0])
    assert texts(common, 1) == [
        "site a: 1 of 21 images have sizes that stand alone beside 800 x 540 px: 760 x 541; from line 22 (20.png)"
    ]
    assert texts(table_of(height=list(np.arange(21.0) + 400), width=[500.0] * 21), 1) == []
    assert texts(common.assign(height=np.nan), 1) == []
