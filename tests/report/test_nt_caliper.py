"""The automatic NT thickness stands beside the reference, of originals and reconstructions."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ushydra_lab.report.render import markdown
from ushydra_lab.report.sections.measurement_figures import FIGURE_CAPTION
from ushydra_lab.report.sections.nt_caliper import section, with_originals
from ushydra_lab.results.collect import Collected

from .. import fake_runs

BIAS = {"phase1": 0.30, "phase2 roi": -0.10}
"""Of the reconstructions; the originals read 0.20 mm too much."""


def images(held_out: str = "anna", records: int = 6) -> pd.DataFrame:
    """Two seeds; the second one's thicknesses are 0.02 mm larger. Errors alternate by 0.05 mm either way."""
    index = np.arange(records)
    wave = 0.05 * (-1.0) ** index
    rows = [
        pd.DataFrame(
            {"held_out": held_out, "fold": held_out, "seed": seed, "method": method, "stage": method.split(" ")[0]}
            | {"part": part, "record": index, "site": held_out, "subject": index.astype(str)}
            | {"nt_true_mm": 1.5 + 0.1 * index, "nt_mm": 1.7 + 0.1 * index + wave + 0.02 * (seed - 1)}
            | {"nt_drift_mm": bias - 0.2}
        )
        for seed in (1, 2)
        for method, bias in BIAS.items()
        for part in ("val", "test")
    ]
    return pd.concat(rows, ignore_index=True)


def collected_from(table: pd.DataFrame) -> Collected:
    return Collected(table, pd.DataFrame(), {})


def rows(table: pd.DataFrame, folder: Path) -> pd.DataFrame:
    section(collected_from(table), folder)
    return fake_runs.read_texts(folder / "nt_caliper.csv").set_index(["Held out", "Images", "Measured in"])


def test_bias_sd_and_limits_are_those_of_the_differences_averaged_over_seeds(tmp_path: Path) -> None:
    table = rows(images(), tmp_path)
    sd = float(np.std(0.05 * (-1.0) ** np.arange(6), ddof=1))
    for method, bias in {"original": 0.21, "phase1": 0.31, "phase2 roi": -0.09}.items():
        row = table.loc[("anna", "test", method)]
        assert row["Bias (mm)"] == f"{bias:+.3f}"
        assert row["SD (mm)"] == f"{sd:.3f}"
        assert row["Limits of agreement (mm)"] == f"{bias - 1.96 * sd:+.3f} to {bias + 1.96 * sd:+.3f}"
        assert row["n"] == "2 x 6"
        assert row["Not measured"] == "0.0 %"
    assert len(table) == 6


def test_originals_and_reconstructions_without_nt_are_counted_each_on_its_own(tmp_path: Path) -> None:
    table = images()
    table.loc[table["record"] == 0, ["nt_mm", "nt_drift_mm"]] = np.nan
    table.loc[(table["record"] == 1) & (table["method"] == "phase1"), "nt_drift_mm"] = np.nan
    missed = rows(table, tmp_path)["Not measured"].sort_index()["anna", "test"]
    assert missed.to_dict() == {"original": "16.7 %", "phase1": "33.3 %", "phase2 roi": "16.7 %"}


def test_images_measured_and_lost_are_counted_also_without_a_reference(tmp_path: Path) -> None:
    table = images().drop(columns=["nt_mm", "nt_true_mm"]).assign(nt_px=9.0, nt_lost=0.0)
    table.loc[table["record"] == 0, ["nt_px", "nt_lost"]] = np.nan
    table.loc[(table["record"] < 3) & (table["record"] > 0) & (table["method"] == "phase1"), "nt_lost"] = 1.0
    section(collected_from(table), tmp_path)
    counted = fake_runs.read_texts(tmp_path / "nt_measured.csv").set_index(["Images", "Method"]).loc["test"]
    assert counted["Measured"].to_dict() == {"phase1": "10 of 12", "phase2 roi": "10 of 12"}
    assert counted["Lost"].to_dict() == {"phase1": "4 of 10", "phase2 roi": "0 of 10"}
    assert not (tmp_path / "nt_caliper.csv").exists()


def test_an_original_counts_once_however_many_networks_rebuilt_it() -> None:
    table = with_originals(images())
    originals = table[table["method"] == "original"]
    assert len(originals) == 2 * 2 * 6 / 2
    assert not originals.duplicated(["seed", "record"]).any()


def test_images_without_a_reference_are_left_out_and_a_site_without_any_has_no_row(tmp_path: Path) -> None:
    table = pd.concat([images(), images("berta")], ignore_index=True)
    table.loc[(table["held_out"] == "berta") | (table["record"] == 5), "nt_true_mm"] = np.nan
    shown = rows(table, tmp_path)
    assert set(shown.index.get_level_values("Held out")) == {"anna"}
    assert set(shown["n"]) == {"2 x 5"}


def test_an_nt_found_nowhere_is_told(tmp_path: Path) -> None:
    table = pd.concat([images(), images("berta")], ignore_index=True)
    table.loc[table["held_out"] == "berta", ["nt_mm", "nt_drift_mm"]] = np.nan
    row = rows(table, tmp_path).loc[("berta", "test", "original")]
    assert (row["Not measured"], row["n"]) == ("100.0 %", "2 x 6")
    assert row["Bias (mm)"] == "n/a"


@pytest.mark.parametrize("column", ["nt_mm", "nt_true_mm"])
def test_experiments_without_both_thicknesses_have_none_of_it(tmp_path: Path, column: str) -> None:
    assert section(collected_from(images().drop(columns=column)), tmp_path) == []
    assert section(collected_from(images().assign(**{column: np.nan})), tmp_path) == []


@pytest.mark.usefixtures("whole_pictures")
def test_there_is_a_figure_of_the_unseen_images_and_the_same_images_give_the_same_bytes(tmp_path: Path) -> None:
    once = markdown.render(section(collected_from(images()), tmp_path))
    picture = (tmp_path / "anna_nt_agreement.png").read_bytes()
    assert markdown.render(section(collected_from(images()), tmp_path)) == once
    assert (tmp_path / "anna_nt_agreement.png").read_bytes() == picture
    assert FIGURE_CAPTION in once
