"""Measured lengths stand against the reference as Bland and Altman have it."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pingouin import intraclass_corr

from ushydra_lab.report.render import markdown
from ushydra_lab.report.sections.measurement_figures import draw
from ushydra_lab.report.sections.measurements import agreements, cells, section


@pytest.fixture
def images() -> pd.DataFrame:
    """Two methods and seeds of twenty heads; the second method measures 3 mm too much; one head of it is not found."""
    rng = np.random.default_rng(0)
    true = rng.uniform(150, 300, 20)
    tables = [
        pd.DataFrame({"hc_mm": true + bias + rng.normal(0, 2, 20), "hc_true_mm": true}).assign(
            method=method, seed=seed, stage="train", record=range(20), site="a", subject=range(20)
        )
        for method, bias in (("good", 0), ("wide", 3))
        for seed in (1, 2)
    ]
    table = pd.concat(tables, ignore_index=True)
    table.loc[len(table) - 1, "hc_mm"] = np.nan
    return table


def test_bias_and_limits_are_of_each_method_and_seed(images: pd.DataFrame) -> None:
    found = agreements(images, "hc", "mm")
    assert list(found) == [("good", 1), ("good", 2), ("wide", 1), ("wide", 2)]
    apart = images.query("method == 'wide' and seed == 1").eval("hc_mm - hc_true_mm")
    wide = found["wide", 1]
    assert (wide.bias, wide.high) == (
        pytest.approx(apart.mean()),
        pytest.approx(apart.mean() + 1.96 * apart.std(), 1e-4),
    )
    table, of_limits = cells(found, images.dropna(), "hc", "mm")
    assert table["images"].tolist() == ["20", "20", "20", "19"]
    percent = 100 * apart.abs() / images.query("method == 'wide' and seed == 1")["hc_true_mm"]
    assert table.loc[2, "median |error| (mm)"] == f"{apart.abs().median():.2f} ({percent.median():.2f} %)"
    assert table.loc[2, "middle 95 % (mm)"] == "{:+.2f} to {:+.2f}".format(*np.percentile(apart, [2.5, 97.5]))
    assert table.loc[2, "largest error (mm)"] == f"{apart[apart.abs().idxmax()]:+.2f}"
    beyond = ((apart < wide.low) | (apart > wide.high)).sum()
    assert of_limits.loc[2, "outside the limits"] == f"{beyond} ({5 * beyond:.1f} %)"
    both = images.query("method == 'wide' and seed == 1").melt(["record"], ["hc_mm", "hc_true_mm"])
    reference = intraclass_corr(both, "record", "variable", "value").set_index("Type")
    assert float(table.loc[2, "ICC"]) == pytest.approx(reference.loc["ICC(A,1)", "ICC"], abs=6e-4)
    assert of_limits.loc[2, "bias (mm)"].startswith(f"{apart.mean():+.2f}\n[")


def test_images_of_one_subject_are_one_unit_of_the_intervals(images: pd.DataFrame) -> None:
    """Four images of each subject that share its error leave the bias where it is, and widen its interval."""
    one = images.query("method == 'wide' and seed == 1")
    four = pd.concat([one] * 4, ignore_index=True)
    alone, repeated = (agreements(table, "hc", "mm")["wide", 1] for table in (one, four))
    assert (repeated.bias, repeated.n, repeated.subjects) == (pytest.approx(alone.bias), 80, 20)
    assert repeated.bias_interval == pytest.approx(alone.bias_interval)
    of_sites = pd.concat([one, one.assign(site="b")], ignore_index=True)
    assert agreements(of_sites, "hc", "mm")["wide", 1].subjects == 40


def test_the_error_is_held_against_the_declared_limits_of_a_head_circumference(images: pd.DataFrame) -> None:
    small = images.assign(hc_mm=images["hc_true_mm"] * (1 + 0.005 * np.where(images["record"] % 2, 1, -1)))
    for table, expected in ((small, "yes"), (small.assign(hc_mm=small["hc_mm"] * 1.025), "no")):
        _, limits = cells(agreements(table, "hc", "mm"), table, "hc", "mm")
        assert set(limits["within ±3 %"]) == {expected}
    diameters = small.rename(columns={"hc_mm": "ofd_mm", "hc_true_mm": "ofd_true_mm"})
    _, limits = cells(agreements(diameters, "ofd", "mm"), diameters, "ofd", "mm")
    assert not any(column.startswith("within") for column in limits)


def test_a_bias_that_grows_with_the_head_is_marked(images: pd.DataFrame) -> None:
    grown = images.assign(hc_mm=1.1 * images["hc_true_mm"] - 20)
    _, limits = cells(agreements(grown, "hc", "mm"), grown, "hc", "mm")
    assert limits["proportional bias"].str.startswith("+0.095‡").all()


def test_of_one_subject_there_are_no_limits_and_the_cells_say_so(images: pd.DataFrame, tmp_path: Path) -> None:
    alone = images.assign(subject="1")
    errors, limits = cells(agreements(alone, "hc", "mm"), alone, "hc", "mm")
    assert set(errors["subjects"]) == {"1"}
    assert set(limits["upper limit (mm)"]) == set(limits["within ±3 %"]) == {"n/a"}
    assert limits["bias (mm)"].str.endswith("[no interval]").all()
    assert "nan" not in markdown.render(section(alone, tmp_path / "a"))


def test_the_figure_shows_every_image_and_lines_where_the_table_has_them(images: pd.DataFrame) -> None:
    pairs = images.dropna()
    found = agreements(pairs, "hc", "mm")
    good, wide = draw(pairs, "hc", "mm", found).axes
    assert [len(points.get_offsets()) for points in wide.collections] == [20, 19]
    first = found["good", 1]
    heights = [line.get_ydata()[0] for line in good.lines[:3]]
    assert sorted(heights) == [first.low, first.bias, first.high]
    assert good.get_ylabel() == "measured − reference HC (mm)"
    assert {points.get_facecolor()[0, :3].tobytes() for points in good.collections} == {
        points.get_facecolor()[0, :3].tobytes() for points in wide.collections
    }


def test_the_axes_cover_the_limits_and_images_of_all_methods(images: pd.DataFrame) -> None:
    """The first method's errors are small, those of the second ten times as large."""
    worse = images["method"] == "wide"
    images.loc[worse, "hc_mm"] += 9 * (images["hc_mm"] - images["hc_true_mm"])[worse]
    images.loc[worse, ["hc_mm", "hc_true_mm"]] += 200
    found = agreements(images, "hc", "mm")
    axes = draw(images, "hc", "mm", found).axes
    assert [axis.get_title() for axis in axes] == ["good", "wide"], "no image lies beyond the axis"
    for axis in axes:
        low, high = axis.get_ylim()
        assert low < min(one.low for one in found.values()) < max(one.high for one in found.values()) < high
        least, most = axis.get_xlim()
        means = images[["hc_mm", "hc_true_mm"]].mean(axis=1)
        assert least < means.min() < means.max() < most


def test_a_gross_failure_squashes_no_other_point_and_is_counted_at_the_edge(images: pd.DataFrame) -> None:
    rng = np.random.default_rng(4)
    true = rng.uniform(150, 300, 400)
    many = pd.DataFrame({"hc_mm": true + rng.normal(0, 2, 400), "hc_true_mm": true, "method": "net", "seed": 1})
    many = many.assign(stage="train", site="a", subject=range(400))
    many.loc[7, "hc_mm"] = true[7] - 120
    found = agreements(many, "hc", "mm")
    axis = draw(many, "hc", "mm", found).axes[0]
    inside, failed = (points.get_offsets() for points in axis.collections)
    assert len(inside) == 399
    assert np.abs(inside[:, 1]).max() < 8
    assert -50 < axis.get_ylim()[0] < failed[0, 1] < found["net", 1].low
    assert axis.get_title() == "net\n1 below (to −120.0 mm)"
    assert [axis.get_title() for axis in draw(images.dropna(), "hc", "mm", agreements(images, "hc", "mm")).axes] == [
        "good",
        "wide",
    ]


def test_the_section_writes_its_files_and_adds_nothing_without_a_reference(
    images: pd.DataFrame, tmp_path: Path
) -> None:
    assert section(images.drop(columns="hc_true_mm"), tmp_path / "a") == []
    assert section(images.assign(hc_true_mm=np.nan), tmp_path / "a") == []
    texts = markdown.render(section(images, tmp_path / "a b_test"))
    assert {f.suffix for f in tmp_path.glob("a b_test_hc_agreement.*")} == {".csv", ".png", ".pdf"}
    assert "(<a b_test_hc_agreement.png>)" in texts
    assert "| wide | 2 | 19 of 20 | 19 |" in texts
    assert "normally distributed" in texts
    assert "expert" not in texts
    written = pd.read_csv(tmp_path / "a b_test_hc_agreement.csv")
    assert (written["bias_interval_low"] < written["bias"]).all()


def test_without_spacing_lengths_are_in_px_and_the_table_says_so(images: pd.DataFrame, tmp_path: Path) -> None:
    in_px = images.rename(columns={"hc_mm": "hc_px", "hc_true_mm": "hc_true_px"})
    text = markdown.render(section(in_px, tmp_path / "a"))
    assert "No pixel spacing is known" in text
    assert "bias (px)" in text
    assert "mm" not in text


def test_end_points_have_a_row_a_method_with_their_mean_distances(images: pd.DataFrame, tmp_path: Path) -> None:
    distances = {f"distance_{end}_mm": float(k) for k, end in enumerate(("ofd_1", "ofd_2", "bpd_1", "bpd_2"), 1)}
    lengths = {f"{name}{of}_mm": 100.0 + images.index for name in ("ofd", "bpd") for of in ("", "_true")}
    table = images.assign(**distances, **lengths, ofd_nme=0.02, bpd_nme=0.03)
    table.loc[table["seed"] == 2, "distance_ofd_1_mm"] = 3.0
    section(table, tmp_path / "a")
    written = pd.read_csv(tmp_path / "a_end_points.csv")
    assert written["method"].tolist() == ["good", "wide"]
    assert written["OFD 1 (mm)"].tolist() == ["2.00 ± 1.41"] * 2
    assert written["BPD 2 (mm)"].tolist() == ["4.00 ± 0.00"] * 2
    assert written["BPD NME"].tolist() == ["0.0300 ± 0.0000"] * 2
