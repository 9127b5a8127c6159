"""Intervals are calibrated on seen sites alone; what an uncertainty is worth is measured, not assumed."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.stats import binomtest

from ushydra_lab.report.document import Note
from ushydra_lab.report.render import markdown
from ushydra_lab.report.sections.uncertainty import PERFECT, _cells, draw, intervals_table, risk_table, section
from ushydra_lab.results.collect import Collected


@pytest.fixture
def images() -> pd.DataFrame:
    """99 validation and 200 test images under two seeds; the spread of heatmaps is the SD of the error."""
    rng = np.random.default_rng(0)
    tables = []
    for seed in (1, 2):
        spread = rng.uniform(0.5, 3, 299)
        signed = {m: rng.normal(0, spread) for m in ("ofd", "bpd", "hc")}
        table = pd.DataFrame({f"{m}_abs_error_mm": np.abs(error) for m, error in signed.items()})
        tables.append(
            table.assign(
                ofd_spread_mm=spread,
                bpd_spread_mm=spread,
                entropy=np.log(spread),
                ofd_percent_error=0.0,
                nme=table["ofd_abs_error_mm"] / 100,
                part=["val"] * 99 + ["test"] * 200,
                site=["a"] * 99 + ["c"] * 200,
                subject=[str(i) for i in range(299)],
                method="net",
                seed=seed,
                stage="train",
                held_out="c",
                fold="c",
            )
        )
    return pd.concat(tables, ignore_index=True)


def test_the_half_width_is_the_90th_of_99_validation_errors_and_coverage_the_share_within(images: pd.DataFrame) -> None:
    first = images[images["seed"] == 1]
    row = intervals_table(images).query("length == 'OFD' and interval == 'plain'").iloc[0]
    width = np.sort(first.loc[first["part"] == "val", "ofd_abs_error_mm"])[89]
    assert row["half-width (mm)"] == pytest.approx(width)
    assert row["coverage"] == (first.loc[first["part"] == "test", "ofd_abs_error_mm"] <= width).mean()
    assert (row["calibrated on"], row["images"]) == (99, 200)


def test_nothing_on_the_unseen_site_moves_an_interval(images: pd.DataFrame) -> None:
    other = images.copy()
    other.loc[other["part"] == "test", "ofd_abs_error_mm"] *= 100
    plain = "length == 'OFD' and interval == 'plain'"
    before, after = (intervals_table(table).query(plain) for table in (images, other))
    assert before["half-width (mm)"].tolist() == after["half-width (mm)"].tolist()
    assert after["coverage"].max() < 0.2


def test_weighted_intervals_are_wide_where_heatmaps_are_spread(images: pd.DataFrame) -> None:
    table = intervals_table(images)
    assert set(zip(table["length"], table["interval"], strict=True)) == {
        ("OFD", "plain"), ("OFD", "weighted"), ("BPD", "plain"), ("BPD", "weighted"), ("HC", "plain")
    }  # fmt: skip
    assert table["coverage"].between(0.8, 0.99).all()


def test_the_certain_half_errs_less_and_a_perfect_ranking_least(images: pd.DataFrame) -> None:
    table = risk_table(images[images["part"] == "test"])
    assert len(table) == 2
    assert (table["NME, half"] < 0.75 * table["NME"]).all()
    assert (table["AURC, perfect"] < table["AURC"]).all()
    assert (table["AURC"] < table["NME"]).all()
    assert (table["ρ"] > 0.3).all()


def test_the_section_writes_tables_and_a_figure_and_nothing_for_other_systems(
    images: pd.DataFrame, tmp_path: Path
) -> None:
    texts = markdown.render(section(Collected(images, pd.DataFrame(), {}), tmp_path))
    assert "| net | OFD | plain | c | 99 | 200 | 200 |" in texts
    assert {f.name for f in tmp_path.iterdir()} == {
        "c_intervals.csv", "c_risk.csv", "c_risk_coverage.png", "c_risk_coverage.pdf",
        "c_calibration.png",
        "c_calibration.pdf"
    }  # fmt: skip
    points = Collected(images.drop(columns=["entropy", "ofd_spread_mm", "bpd_spread_mm"]), pd.DataFrame(), {})
    assert "Error of the most certain" not in markdown.render(section(points, tmp_path / "points"))
    assert section(Collected(images[["nme"]], pd.DataFrame(), {}), tmp_path / "none") == []


def test_validation_images_move_no_figure(
    images: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[NDArray[Any]]] = []

    def remember(figure: Figure, *_: object) -> Note:
        drawn.append([np.asarray(line.get_xydata()) for line in figure.axes[0].lines])
        return Note("")

    monkeypatch.setattr("ushydra_lab.report.sections.uncertainty.save_figure", remember)
    moved = images.assign(nme=images["nme"].where(images["part"] == "test", 9))
    for table in (images, moved):
        section(Collected(table, pd.DataFrame(), {}), tmp_path)
    assert len(drawn) == 4
    for before, after in zip(drawn[:2], drawn[2:], strict=True):
        for one, other in zip(before, after, strict=True):
            np.testing.assert_array_equal(one, other)


def test_coverage_below_the_promise_is_marked_by_subjects_not_by_images(images: pd.DataFrame) -> None:
    """Of 200 images, 20 % lie outside: too many for 200 subjects of a like site, but not for 20 of ten images each."""
    number = images.groupby(["seed", "part"]).cumcount()
    test, plain = images["part"] == "test", "length == 'OFD' and interval == 'plain'"
    unlike = images.assign(ofd_abs_error_mm=np.where(test & (number % 20 < 4), 9.0, 1.0))
    few = unlike.assign(subject=np.where(test, number % 20, images["subject"]).astype(str))
    marked, unmarked = (_cells(intervals_table(table)).query(plain).iloc[0] for table in (unlike, few))
    low, high = binomtest(160, 200).proportion_ci()
    assert (marked["subjects"], marked["coverage"]) == ("200", f"0.800 ± 0.000 [{low:.3f}, {high:.3f}] ↓")
    low, high = binomtest(16, 20).proportion_ci()  # a subject's images all lie within or all without
    assert (unmarked["subjects"], unmarked["coverage"]) == ("20", f"0.800 ± 0.000 [{low:.3f}, {high:.3f}]")
    assert not _cells(intervals_table(images))["coverage"].str.contains("↓").any()


def test_few_calibrating_subjects_of_many_images_promise_less(images: pd.DataFrame) -> None:
    number = images.groupby(["seed", "part"]).cumcount()
    test, plain = images["part"] == "test", "length == 'OFD' and interval == 'plain'"
    unlike = images.assign(ofd_abs_error_mm=np.where(test & (number % 20 < 4), 9.0, 1.0))
    few = unlike.assign(subject=np.where(test, images["subject"], number % 12).astype(str))
    assert set(intervals_table(few)["calibration subjects"]) == {12}
    assert _cells(intervals_table(few)).query(plain)["coverage"].str.startswith("0.800 ± 0.000 [").tolist() == [True]


def test_the_legend_names_the_dotted_line_of_a_perfect_ranking(images: pd.DataFrame) -> None:
    axis = draw(images[images["part"] == "test"]).axes[0]
    legend = axis.get_legend()
    entries = {text.get_text(): line for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)}
    assert list(entries) == ["net", PERFECT]
    assert entries[PERFECT].get_linestyle() == ":"
    assert entries["net"].get_linestyle() == "-"


def test_every_fold_has_the_interval_of_its_own_validation_images(images: pd.DataFrame) -> None:
    """Networks of different folds err differently: one quantile for both would be too narrow for the worse."""
    worse = images.assign(fold="d")
    worse[["ofd_abs_error_mm", "ofd_spread_mm"]] *= 5
    plain = "length == 'OFD' and interval == 'plain'"
    alone, both = (intervals_table(t).query(plain) for t in (images, pd.concat([images, worse], ignore_index=True)))
    assert both["half-width (mm)"].to_numpy() == pytest.approx(3 * alone["half-width (mm)"].to_numpy())
    assert both["coverage"].to_numpy() == pytest.approx(alone["coverage"].to_numpy())
    assert set(both["calibrated on"]) == {99}


def test_runs_with_different_counts_are_one_row_and_lengths_without_spacing_are_in_px(images: pd.DataFrame) -> None:
    fewer = images.drop(images[(images["seed"] == 2) & (images["part"] == "val")].index[:4])
    fewer = fewer.assign(ofd_abs_error_px=2 * fewer["ofd_abs_error_mm"], bpd_abs_error_px=1.0, hc_abs_error_px=1.0)
    cells = _cells(intervals_table(fewer)).query("length == 'OFD' and interval == 'plain'")
    assert cells["calibrated on"].tolist() == ["95 to 99"]
    for name in ("ofd", "bpd", "hc"):
        fewer.loc[fewer["part"] == "test", f"{name}_abs_error_mm"] = np.nan
    table = intervals_table(fewer)
    assert "half-width (px)" in table
    assert table["coverage"].notna().all()


@pytest.mark.parametrize(("calibrating", "coverage"), [(0, False), (8, False), (9, True)])
def test_of_too_few_validation_images_there_is_no_interval_and_no_coverage(
    images: pd.DataFrame, calibrating: int, coverage: bool
) -> None:
    """An infinite one would cover everything."""
    rank = images.groupby(["seed", "part"]).cumcount()
    fewer = images[(images["part"] == "test") | (rank < max(calibrating, 1))].copy()
    fewer.loc[fewer["part"].eq("val") & (calibrating == 0), ["ofd_abs_error_mm", "ofd_spread_mm"]] = np.nan
    fewer = fewer.assign(**{f"{name}_abs_error_px": 2 * fewer[f"{name}_abs_error_mm"] for name in ("ofd", "bpd", "hc")})
    cells = _cells(intervals_table(fewer)).query("length == 'OFD' and interval == 'plain'").iloc[0]
    assert (cells["coverage"] != "n/a") == coverage
    assert cells["calibrated on"] == str(calibrating)


def test_where_validation_images_have_no_spacing_lengths_are_in_px(images: pd.DataFrame) -> None:
    for name in ("ofd", "bpd", "hc"):
        images[f"{name}_abs_error_px"] = 2 * images[f"{name}_abs_error_mm"]
        images.loc[images["part"] == "val", f"{name}_abs_error_mm"] = np.nan
    table = intervals_table(images)
    assert table["half-width (px)"].notna().all()
    assert table["calibrated on"].eq(99).all()
