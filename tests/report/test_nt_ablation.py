"""The ablation's rows stand beside the paper's, and what was not run is seen."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml

from ushydra_lab.report.build import report
from ushydra_lab.report.papers import registry
from ushydra_lab.report.papers.nt.ablation import COLUMNS, PAPER, ROWS, section
from ushydra_lab.report.papers.nt.regions import FULL_CANVAS
from ushydra_lab.report.render import markdown
from ushydra_lab.results.collect import collect
from ushydra_lab.results.metrics import metrics_of

from .. import fake_runs

SUBJECTS = 6
FAILED = "the weights of the frozen DINO network cannot be loaded\\nFOLDER /home/me/dino"


def write_run(root: Path, seed: int, variant: str, gain: float, error: str = "", phase1: str = "p1") -> Path:
    """Phase 2 adds 10 gain dB and multiplies the errors by 1 - gain; validation is 2 dB better than test."""
    run = root / "site_c" / f"seed{seed}" / variant
    stages = {"phase1": f"{phase1}-{seed}", "phase2": f"p2-{seed}-{variant}"}
    if error:
        return fake_runs.write(run, stages, status="failed", error=error)
    tables = []
    for first, part, site, better in ((0, "val", "site_a", 2.0), (SUBJECTS, "test", "site_c", 0.0)):
        records = range(first, first + SUBJECTS)
        table = pd.DataFrame({"part": part, "record": records, "site": site, "psnr_content": 20.0})
        table = table.assign(psnr=30.0 + better + seed, ms_ssim=0.9, roi_mae=0.01, roi_edge_mae=0.1)
        after = table.assign(psnr=table["psnr"] + 10 * gain, roi_mae=0.01 * (1 - gain), roi_edge_mae=0.1 * (1 - gain))
        tables += [table.assign(stage="phase1"), after.assign(stage="phase2")]
    return fake_runs.write(run, stages, pd.concat(tables))


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """Two seeds of four of the six losses; DINO's failed, one was never started, one has one seed."""
    root = tmp_path / "nt_ablation"
    for seed in (1, 2):
        for variant, gain in (("global", 0.0), ("sobel", 0.2), ("roi", 0.3)):
            write_run(root, seed, variant, gain)
        write_run(root, seed, "dino", 0, FAILED.replace("\\n", "\n"))
    write_run(root, 1, "l1", 0.1)
    return root


def rows(experiment: Path, part: str) -> pd.DataFrame:
    section(collect(experiment), experiment / "report")
    return fake_runs.read_texts(experiment / "report" / f"site_c_{part}_ablation.csv").set_index("Phase-2 added terms")


def test_the_rows_are_the_paper_s_and_those_it_lacks_each_with_its_own_mean_and_sd(experiment: Path) -> None:
    table = rows(experiment, "val")
    assert table.index.tolist() == list(ROWS.values())
    sd = np.std([1, 2], ddof=1)
    assert table.loc["Baseline (P1 init)", "PSNR, full canvas (dB) ↑"] == f"33.50 ± {sd:.2f}"
    assert table.loc["+ ROI-L1 + ROI-Sobel", "PSNR, full canvas (dB) ↑"] == f"36.50 ± {sd:.2f}"
    assert table.loc["+ ROI-Sobel (edge)", "ROI Edge-MAE ↓"] == "0.08000 ± 0.00000"
    assert rows(experiment, "test").loc["+ global only", "PSNR, full canvas (dB) ↑"] == f"31.50 ± {sd:.2f}"


def test_the_printed_numbers_stand_beside_them_and_a_dash_where_there_are_none(experiment: Path) -> None:
    validation, test = rows(experiment, "val"), rows(experiment, "test")
    assert validation.loc["+ ROI-L1", "ROI MAE paper"] == "0.00518"
    assert test.loc["+ ROI-DINO", "ROI Edge-MAE paper"] == "0.04305"
    for name in ("+ global only", "+ ROI-L1 + ROI-Sobel"):
        assert set(validation.loc[name, [f"{metric.label} paper" for metric in COLUMNS.values()]]) == {"–"}


@pytest.mark.parametrize("part", ["val", "test"])
def test_the_paper_s_own_percentages_follow_from_its_numbers(part: str) -> None:
    """Section 3.2: ROI-L1 lowers ROI MAE by 8.5 %, ROI-Sobel ROI Edge-MAE by 3.9 %; appendix D.1: it raises it."""
    printed = {row: dict(zip(COLUMNS, map(float, values), strict=True)) for row, values in PAPER[part].items()}
    edge = printed["sobel"]["roi_edge_mae"] / printed["init"]["roi_edge_mae"] - 1
    if part == "val":
        assert round(100 * (printed["l1"]["roi_mae"] / printed["init"]["roi_mae"] - 1), 1) == -8.5
        assert round(100 * edge, 1) == pytest.approx(-3.9, abs=0.1)
    else:
        assert edge > 0
        assert min(printed, key=lambda row: printed[row]["roi_edge_mae"]) == "l1"


def test_a_row_that_was_not_run_says_so_with_the_reason_and_the_command(experiment: Path) -> None:
    table = rows(experiment, "val")
    text = markdown.render(section(collect(experiment), experiment / "report"))
    for name in ("+ ROI-DINO", "+ ROI-L1 + ROI-Sobel + ROI-DINO"):
        assert set(table.loc[name, [metric.title for metric in COLUMNS.values()]]) == {"not run"}
        assert table.loc[name, "n"] == "0"
    assert "'+ ROI-DINO': not run (seed 1,2): the weights of the frozen DINO network cannot be loaded.\n" in text
    assert "seed=1,2 loss=dino`" in text
    assert "'+ ROI-L1 + ROI-Sobel + ROI-DINO': not run (seed 1,2): not started." in text
    assert "/home/me" not in text


def test_what_a_job_said_may_be_told_is_the_reason_whatever_its_error_said(experiment: Path) -> None:
    run = write_run(experiment, 1, "roi_dino", 0, "OSError: /home/me/data is gone")
    summary = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(summary | {"public": "no weights"}))
    text = markdown.render(section(collect(experiment), experiment / "report"))
    assert "ROI-DINO': not run (seed 1,2): no weights; not started." in text
    assert "/home/me" not in text


def test_a_row_with_fewer_seeds_says_so(experiment: Path) -> None:
    table = rows(experiment, "test")
    assert table.loc["+ ROI-L1", "n"] == f"1 x {SUBJECTS} (1 of 2 runs missing)"
    assert table.loc["+ ROI-Sobel (edge)", "n"] == f"2 x {SUBJECTS}"
    assert "held_out=site_c seed=2 loss=l1`" in markdown.render(section(collect(experiment), experiment / "report"))


def test_the_last_epoch_has_a_row_beside_the_best_with_the_printed_numbers_beside_it(experiment: Path) -> None:
    for seed in (1, 2):
        for variant in ("sobel", "roi"):
            run = experiment / "site_c" / f"seed{seed}" / variant
            images = pd.read_csv(run / "per_image.csv")
            late = images[images["stage"] == "phase2"].assign(stage="phase2_last", roi_mae=0.0075)
            pd.concat([images, late]).to_csv(run / "per_image.csv", index=False)
            summary, config = (
                json.loads((run / "run.json").read_text()),
                yaml.safe_load((run / "config.yaml").read_text()),
            )
            summary["stages"]["phase2_last"] = {"key": summary["stages"]["phase2"]["key"] + " last epoch"}
            config["stages"]["phase2_last"] = config["stages"]["phase2"] | {"epoch": "last", "init": "phase1"}
            (run / "run.json").write_text(json.dumps(summary))
            (run / "config.yaml").write_text(yaml.safe_dump(config))
    table = rows(experiment, "val").set_index("Epoch", append=True)
    assert len(table) == 1 + 2 * 6
    assert table.loc[("+ ROI-Sobel (edge)", "last"), "ROI MAE ↓"] == "0.00750 ± 0.00000"
    assert table.loc[("+ ROI-Sobel (edge)", "best"), "ROI MAE ↓"] == "0.00800 ± 0.00000"
    printed = table["ROI MAE paper"]
    assert (printed["+ ROI-Sobel (edge)", "last"], printed["+ ROI-Sobel (edge)", "best"]) == ("0.00527", "–")
    assert printed["Baseline (P1 init)", "best"] == "0.00566"
    assert table.loc[("+ global only", "last"), "ROI MAE ↓"] == "not run"


def test_a_path_in_an_error_stays_out_of_the_file(experiment: Path) -> None:
    write_run(experiment, 1, "roi_dino", 0, "OSError: /home/me/data is gone")
    text = markdown.render(section(collect(experiment), experiment / "report"))
    assert "/home/me" not in text
    assert "not run (seed 1,2): failed; not started" in text


def test_the_caption_tells_the_horizon_the_source_and_whether_phase_1_is_shared(experiment: Path) -> None:
    text = markdown.render(section(collect(experiment), experiment / "report"))
    assert "3 epochs (paper: 15)" in text
    assert "Paper: Table 2 " in text
    assert "Paper: Table 9 " in text
    assert "one Phase-1 checkpoint" in text
    write_run(experiment, 1, "roi_dino", 0.5, phase1="another")
    text = markdown.render(section(collect(experiment), experiment / "report"))
    assert "do NOT begin from the same Phase-1 checkpoint; the baseline is that of the row run first" in text
    assert rows(experiment, "val").loc["Baseline (P1 init)", "n"] == f"2 x {SUBJECTS}"


def test_a_gain_that_the_padding_turns_round_is_named(experiment: Path) -> None:
    assert "A gain's sign" not in markdown.render(section(collect(experiment), experiment / "report"))
    for seed in (1, 2):
        file = experiment / "site_c" / f"seed{seed}" / "sobel" / "per_image.csv"
        images = pd.read_csv(file)
        images.loc[images["stage"] == "phase2", "psnr_content"] = 19.5
        images.to_csv(file, index=False)
    text = markdown.render(section(collect(experiment), experiment / "report"))
    assert "Table 2, '+ ROI-Sobel (edge)' (best epoch) against the baseline, PSNR -0.50 and +2.00 dB; Table 9, " in text
    assert "full canvas: Table 2, '+ ROI-Sobel" in text


def test_the_whole_report_has_the_tables_and_other_experiments_do_not(experiment: Path, tmp_path: Path) -> None:
    report(experiment)
    assert "Table 9: images of the unseen site" in (experiment / "report" / "tables.md").read_text()
    other = tmp_path / "mine"
    write_run(other, 1, "roi", 0.1)
    assert registry.section(collect(other), other / "report") == []


def test_the_same_runs_give_the_same_bytes(experiment: Path) -> None:
    once = markdown.render(section(collect(experiment), experiment / "report"))
    assert once == markdown.render(section(collect(experiment), experiment / "report"))


def test_metrics_of_the_full_canvas_are_judged_as_those_without_padding() -> None:
    declared = metrics_of(f"{name}_content" for name in FULL_CANVAS)
    for name, metric in FULL_CANVAS.items():
        same = declared[f"{name}_content"]
        assert (metric.better, metric.digits, metric.change) == (same.better, same.digits, same.change)
        assert metric.most == same.most
