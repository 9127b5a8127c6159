import numpy as np
import pandas as pd

from ushydra_lab.audit import placement
from ushydra_lab.audit.outliers import RobustCovariance

BOX = ["nt_x1", "nt_y1", "nt_x2", "nt_y2"]


def boxes(rows: int, size: float = np.nan) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    corner, extent = rng.normal([300, 200], 20, (rows, 2)), rng.normal([120, 40], 5, (rows, 2))
    table = pd.DataFrame(np.concatenate([corner, corner + extent], axis=1), columns=BOX)
    return table.assign(image=[f"{k}.png" for k in range(rows)], site="a", width=size, height=size)


def test_a_shifted_box_and_a_box_of_another_size_are_named_with_their_row() -> None:
    table = boxes(200)
    table.loc[3, ["nt_x1", "nt_x2"]] += 250
    table.loc[8, ["nt_x2", "nt_y2"]] = table.loc[8, ["nt_x1", "nt_y1"]].to_numpy() + 15
    texts = {flag.rows[0]: flag.text for flag in placement.audit(table).flags}
    assert texts[3].startswith("row 3 (3.png): nt_box apart from")
    assert 8 in texts
    assert len(texts) <= 4


def test_only_images_that_are_there_are_judged_and_in_px_only_where_none_is() -> None:
    table = boxes(50, size=800.0)
    table.loc[3, ["nt_x1", "nt_x2"]] += 300
    assert "of the image" in placement.audit(table).flags[0].text
    table.loc[9, "width"] = np.nan
    table.loc[9, ["nt_x1", "nt_x2"]] += 300
    assert {row for flag in placement.audit(table).flags for row in flag.rows} & {3, 9} == {3}
    assert "of the largest coordinate" in placement.audit(table.assign(width=np.nan)).flags[0].text


def test_a_site_of_few_rows_is_skipped_and_said_so() -> None:
    table = boxes(60)
    table.loc[:4, "site"] = "small"
    table.loc[2, BOX] = 0.0, 0.0, 5.0, 5.0
    finding = placement.audit(table)
    assert finding.skipped == "nt_box of small: 5 rows, 20 are needed"
    assert all(flag.rows[0] > 4 for flag in finding.flags)


def test_annotations_that_are_all_alike_are_no_outliers() -> None:
    table = boxes(30)
    table[BOX] = 10.0, 20.0, 110.0, 60.0
    table.loc[5, "nt_x1"] = 10.5
    assert placement.audit(table).flags == []


def test_about_as_many_clean_rows_are_flagged_as_stated() -> None:
    rng = np.random.default_rng(0)
    rates = {}
    for rows, repeats in ((20, 40), (1000, 3)):
        clean = [rng.normal(size=(rows, 4)) for _ in range(repeats)]
        spreads = [RobustCovariance(each, np.zeros(4)) for each in clean]
        beyond = [(s.squared(each) > s.limit).mean() for s, each in zip(spreads, clean, strict=True)]
        rates[rows] = np.mean(beyond)
    assert rates[20] < 0.03
    assert rates[1000] < 0.003
