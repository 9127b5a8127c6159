"""Tables from run directories: nothing averaged silently, nothing lost."""

import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ushydra_lab.errors import UserError
from ushydra_lab.report.build import report
from ushydra_lab.report.comparisons import compare_sites, comparison_cells, images_cells
from ushydra_lab.report.tables import count_cell, methods_in, metrics_in, values_table
from ushydra_lab.report.verdict import summaries
from ushydra_lab.results.collect import collect
from ushydra_lab.results.crossed import Common
from ushydra_lab.tasks.column import Metric

from .. import fake_runs
from ..cli import call

SUBJECTS = 12


def write_run(
    root: Path,
    seed: int,
    variant: str,
    gain: float,
    status: str = "finished",
    settings: str = "same",
    held_out: str = "site_c",
    task: dict[str, str] | None = None,
    network: dict[str, str | None] | None = None,
) -> Path:
    """A run of two stages; Phase 2 multiplies ROI-MAE by 1 - gain and adds 10 gain dB."""
    rng = np.random.default_rng(seed)
    mae = rng.uniform(0.01, 0.02, SUBJECTS)
    first = pd.DataFrame({"stage": "phase1", "part": "test", "record": range(SUBJECTS), "site": "site_c"})
    first = first.assign(psnr_content=30.0 + seed, roi_mae=mae)
    second = first.assign(stage="phase2", psnr_content=first["psnr_content"] + 10 * gain, roi_mae=mae * (1 - gain))
    stages = {"phase1": f"p1-{seed}", "phase2": f"p2-{seed}-{variant}"}
    config = {"stages": {stage: {"task": task or {}} for stage in stages}, "network": network or {}}
    run = root / "exp" / held_out / f"seed{seed}" / variant
    said = {"status": status, "settings": settings, "error": "out of memory"}
    return fake_runs.write(run, stages, pd.concat([first, second]), config=config, **said)


def compared(images: pd.DataFrame) -> pd.DataFrame:
    """The comparisons of the only held-out site."""
    return compare_sites({"site_c": images})["site_c"]


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    for seed in (1, 2):
        write_run(tmp_path, seed, "roi", 0.1)
        write_run(tmp_path, seed, "global", 0.02)
    return tmp_path / "exp"


def test_a_shared_stage_is_one_method_and_counted_once(experiment: Path) -> None:
    images = collect(experiment).images
    assert set(images["method"]) == {"phase1", "phase2 roi", "phase2 global"}
    assert (images.groupby(["method", "seed"]).size() == SUBJECTS).all()


def test_a_method_with_fewer_seeds_than_the_others_says_so_in_its_name(experiment: Path) -> None:
    write_run(experiment.parent, 3, "roi", 0.1)
    write_run(experiment.parent, 4, "global", 0.1, held_out="site_d")
    images = collect(experiment).images
    methods = images.groupby("held_out")["method"].unique().map(set)
    assert methods["site_c"] == {"phase1", "phase2 roi", "phase2 global (2 of 3 seeds)"}
    assert methods["site_d"] == {"phase1", "phase2 global"}
    assert "phase2 global (2 of 3 seeds)" in set(values_table(images[images["held_out"] == "site_c"])["method"])


def test_a_method_with_fewer_folds_says_so_and_a_stage_that_folds_and_variants_share_is_one(tmp_path: Path) -> None:
    for fold, variant in ((0, "roi"), (1, "roi"), (0, "global")):
        write_run(tmp_path, 1, variant, 0.1, held_out=f"fold{fold}of3")
    found = collect(tmp_path / "exp")
    assert set(found.images["held_out"]) == {"each of 3 folds"}
    names = {"phase1 (2 of 3 folds)", "phase2 roi (2 of 3 folds)", "phase2 global (1 of 3 folds)"}
    assert set(found.images["method"]) == names
    write_run(tmp_path, 2, "global", 0.1, held_out="fold0of3")
    assert "phase2 global (2 of 6 runs)" in set(collect(tmp_path / "exp").images["method"])


def test_variants_that_share_a_stage_but_not_with_all_stand_there_once_by_the_first_one_s_name(tmp_path: Path) -> None:
    for number, variant in enumerate(("weight_10", "random", "single", "soft")):
        run = write_run(tmp_path, 1, variant, 0.1)
        summary = json.loads((run / "run.json").read_text()) | {"started": f"2026-01-01T00:00:0{number}"}
        summary["stages"]["phase1"]["key"] = "alone" if variant == "single" else "shared"
        (run / "run.json").write_text(json.dumps(summary))
    images = collect(tmp_path / "exp").images
    methods = [f"phase2 {variant}" for variant in ("weight_10", "random", "single", "soft")]
    assert methods_in(images) == ["phase1 weight_10", "phase1 single", *methods]


def test_many_methods_are_each_compared_with_the_one_named_first_in_the_last_stage(tmp_path: Path) -> None:
    for number in range(6):
        run = write_run(tmp_path, 1, f"arm{5 - number}", 0.01 * number)
        summary = json.loads((run / "run.json").read_text()) | {"started": f"2026-01-01T00:00:0{number}"}
        (run / "run.json").write_text(json.dumps(summary))
    changes = compared(collect(tmp_path / "exp").images)
    assert set(changes["against"]) == {"phase2 arm5"}
    assert set(changes["method"]) == {"phase1", *(f"phase2 arm{k}" for k in range(5))}


def test_the_same_weights_evaluated_in_two_ways_are_two_methods(tmp_path: Path) -> None:
    for variant in ("raw", "cleaned"):
        run = write_run(tmp_path, 1, variant, 0.1, task={"postprocess": variant})
        summary = json.loads((run / "run.json").read_text())
        summary["stages"] = {stage: {"key": "same"} for stage in summary["stages"]}
        (run / "run.json").write_text(json.dumps(summary))
    images = collect(tmp_path / "exp").images
    assert set(images["method"]) == {"phase1 raw", "phase1 cleaned", "phase2 raw", "phase2 cleaned"}


def test_values_are_mean_and_sd_over_seeds(experiment: Path) -> None:
    table = values_table(collect(experiment).images).set_index("method")
    assert table.loc["phase1", "PSNR (dB) ↑"] == f"31.50 ± {np.std([31, 32], ddof=1):.2f}"


def test_changes_are_those_put_in(experiment: Path) -> None:
    found = compared(collect(experiment).images).set_index(["method", "against", "metric"])
    assert found.loc[("phase2 roi", "phase1", "roi_mae"), "change"] == pytest.approx(-10)
    assert found.loc[("phase2 roi", "phase1", "psnr_content"), "change"] == pytest.approx(1)
    assert len(found) == 3 * 2


def test_the_verdict_knows_which_way_is_better(experiment: Path) -> None:
    sentences = summaries(compared(collect(experiment).images))
    assert "phase2 roi against phase1: better in PSNR (dB); possibly better in ROI-MAE." in sentences


def test_what_is_missing_is_said(experiment: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(experiment.parent, 3, "roi", 0.5, status="failed")
    write_run(experiment.parent, 5, "roi", 0.5, settings="other")
    (write_run(experiment.parent, 4, "roi", 0.5) / "per_image.csv").unlink()
    with pytest.raises(UserError, match=r"Damaged, and so .*:\n  - .*seed4/roi/per_image\.csv is missing"):
        report(experiment)
    printed = " ".join(capsys.readouterr().out.split())
    assert "seed3/roi: out of memory" in printed
    assert re.search(r"seed4/roi: \S+per_image.csv is missing", printed)
    assert "seed5/roi: other settings" in printed
    assert "2 seeds" in printed
    written = (experiment / "report" / "tables.md").read_text()
    assert "seed3/roi" in written
    assert "out of memory" not in written
    assert str(experiment) not in written


def test_the_report_says_which_networks_began_with_weights_from_elsewhere(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for variant, network in {"plain": {}, "hub": {"weights": "/home/me/vit"}, "scratch": {"weights": None}}.items():
        write_run(tmp_path, 1, variant, 0.1, network=network)
    report(tmp_path / "exp")
    written = (tmp_path / "exp" / "report" / "tables.md").read_text()
    assert "Began with weights trained elsewhere: hub." in written
    assert "Trained from scratch: scratch." in written
    assert "/home/me" not in written + capsys.readouterr().out


def test_a_terminal_that_fails_loses_no_file(experiment: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError("the terminal is gone")

    monkeypatch.setattr("rich.console.Console.print", broken)
    with pytest.raises(OSError, match="the terminal is gone"):
        report(experiment)
    for name in ("index.html", "tables.md", "tables.tex", "site_c_test_values.csv", "site_c_test_changes.csv"):
        assert (experiment / "report" / name).stat().st_size > 100


def test_no_finished_run_is_an_error(tmp_path: Path) -> None:
    write_run(tmp_path, 1, "roi", 0.1, status="interrupted")
    with pytest.raises(UserError, match="No finished run"):
        report(tmp_path / "exp")
    with pytest.raises(SystemExit, match="No run below"):
        call("report", str(tmp_path / "nowhere"))


def test_runs_on_other_images_or_labels_are_not_compared_with_those_before_them(experiment: Path) -> None:
    """Same settings, other data; runs of before the lab wrote down their data are taken as they are."""
    for run, data in ((1, "as first drawn"), (2, "labels mended")):
        file = experiment / "site_c" / f"seed{run}" / "roi" / "run.json"
        planned = f"2026-01-01T00:00:0{run}"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"data": data, "planned": planned}))
    found = collect(experiment)
    assert set(found.images.loc[found.images["variant"] == "roi", "seed"]) == {1}
    ((run, why),) = found.unfinished.items()
    assert run.name == "site_c/seed2/roi"
    assert "other images or labels" in why.text
    assert str(experiment) not in why.public
    write_run(experiment.parent, 3, "roi", 0.1, held_out="site_d")
    assert len(collect(experiment).unfinished) == 1


def test_two_seeds_that_disagree_have_no_star_however_many_images_of_them_agree(tmp_path: Path) -> None:
    for seed, gain in ((1, 0.01), (2, 0.6)):
        write_run(tmp_path, seed, "roi", gain)
        write_run(tmp_path, seed, "global", 0.0)
    changes = compared(collect(tmp_path / "exp").images)
    row = changes.set_index(["method", "against", "metric"]).loc[("phase2 roi", "phase1", "roi_mae")]
    assert row["smaller"] == row["images"] == SUBJECTS
    assert not row["starred"]
    assert row["low"] == -100
    assert row["high"] > 0
    assert "*" not in "".join(comparison_cells(changes)["ROI-MAE ↓ %"])


@pytest.mark.parametrize(
    ("mm", "shown"),
    [([1.0, 2.0], ["hc_abs_error_mm"]), ([1.0, np.nan], ["hc_abs_error_px"]), ([np.nan] * 2, ["hc_abs_error_px"])],
)
def test_lengths_are_in_mm_only_where_every_image_has_a_spacing(mm: list[float], shown: list[str]) -> None:
    both = pd.DataFrame({"hc_abs_error_mm": mm, "hc_abs_error_px": [9.0, 9.0]})
    assert list(metrics_in(both)) == shown
    assert list(metrics_in(both.drop(columns="hc_abs_error_mm"))) == ["hc_abs_error_px"]
    lost = both.assign(hc_abs_error_px=[9.0, np.nan])  # a length that was not measured lacks no spacing
    assert list(metrics_in(lost)) == (
        ["hc_abs_error_mm"] if shown == ["hc_abs_error_mm"] or not np.isnan(mm[0]) else ["hc_abs_error_px"]
    )


def change(metric: str, value: float, low: float, high: float, starred: bool = False) -> dict[str, object]:
    return {
        "method": "b",
        "against": "a",
        "metric": metric,
        "change": value,
        "low": low,
        "high": high,
        "starred": starred,
    }


@pytest.mark.parametrize(
    ("row", "title", "cell"),
    [
        (change("roi_mae", -12.345, -20.06, -4.04, True), "ROI-MAE ↓ %", "-12.3*\n[-20.1, -4.0]"),
        (change("psnr_content", 1.236, -0.5, 3.0), "PSNR (dB) ↑ Δ", "+1.24\n[-0.50, +3.00]"),
        (change("roi_mae", 3.0, -1.0, np.inf), "ROI-MAE ↓ %", "+3.0\n[-1.0, +∞]"),
        (change("roi_mae", 3.0, np.nan, np.nan), "ROI-MAE ↓ %", "+3.0\n[no interval]"),
        (change("roi_mae", 0.0, 0.0, 0.0), "ROI-MAE ↓ %", "none"),
        (change("roi_mae", 0.0, 0.0, 0.1), "ROI-MAE ↓ %", "+0.0\n[+0.0, +0.1]"),
        (change("roi_mae", np.nan, np.nan, np.nan), "ROI-MAE ↓ %", "n/a"),
    ],
)
def test_a_change_is_one_cell_in_per_cent_or_in_the_metric_s_own_unit(row: dict, title: str, cell: str) -> None:
    (shown,) = comparison_cells(pd.DataFrame([row])).to_dict("records")
    assert shown == {"comparison": "b vs a", title: cell}


def test_counts_are_of_seeds_and_of_all_images_that_some_method_has() -> None:
    images = pd.DataFrame({"method": ["a"] * 3 + ["b"] * 3, "seed": [1, 1, 2, 1, 1, 2], "record": [0, 1, 0, 1, 2, 2]})
    assert count_cell(images) == "2 x 3"
    assert count_cell(images, 1, 3) == "2 x 3 (1 of 3 runs missing)"
    assert count_cell(images[:0]) == "0"


def test_where_methods_differ_in_images_a_comparison_says_of_which_it_is() -> None:
    known = {"seed": 1, "site": "c", "subject": list("uvwx"), "record": range(4)}
    a, b = pd.DataFrame(known | {"m": [1.0, 2, 3, np.nan]}), pd.DataFrame(known | {"m": [2.0, 1, np.nan, np.nan]})
    cells = images_cells(Common(a, b), "m", Metric("M", "lower", 1, "difference"))
    counts = {
        name: cells[name]
        for name in ("measured", "measured_against", "images", "larger", "smaller", "lost", "lost_against")
    }
    assert list(counts.values()) == [2, 3, 2, 1, 1, 1, 0]
    whole = images_cells(Common(a[:2], b[:2]), "m", Metric("M", "lower", 1, "difference"))
    assert (whole["lost"], whole["lost_against"]) == (0, 0)
    assert np.isnan(whole["change_imputed"])
    assert not np.isnan(cells["change_imputed"])


def test_the_images_of_two_methods_are_matched_once_for_all_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    known = {"seed": 1, "site": "c", "subject": list("uv"), "record": range(2), "stage": "s"}
    names = ["psnr_content", "ms_ssim_content", "roi_mae"]
    tables = [pd.DataFrame(known | dict.fromkeys(names, float(k))).assign(method=name) for k, name in enumerate("abc")]
    matched, real = [], Common.__init__
    monkeypatch.setattr(Common, "__init__", lambda self, a, b: (matched.append(1), real(self, a, b))[1])
    found = compare_sites({"c": pd.concat([table.assign(method_name=table["method"]) for table in tables])})
    assert len(found["c"]) == 3 * len(matched) == 9
