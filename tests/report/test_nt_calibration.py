"""The weightings of Phase 2 stand side by side: their errors, weights and gradients, and what was not run."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ushydra_lab.report.papers.nt.calibration import WEIGHTINGS, section
from ushydra_lab.report.render import markdown
from ushydra_lab.results.collect import collect

from .. import fake_runs

SUBJECTS = 6
NORMS = {"global": 0.5, "roi_l1": 0.2, "roi_edge": 0.1}
CLASSES = {"uncertainty": "UncertaintyWeights", "gradnorm": "GradNormWeights"}
WEIGHTS = {"calibrated": [0.2, 0.5, 1.0], "unit": [1.0] * 3, "gradnorm": [0.6, 1.2, 1.2]}


def write_run(root: Path, seed: int, variant: str) -> None:
    """Norms grow with the seed; the errors are those of the weighting's place."""
    phase2 = {"key": f"p2-{seed}-{variant}", "loss_weights": dict(zip(NORMS, WEIGHTS[variant], strict=True))}
    if variant == "calibrated":
        phase2["gradient_norms"] = {term: norm * seed for term, norm in NORMS.items()}
    error = 0.01 * (1 + list(WEIGHTS).index(variant))
    images = pd.DataFrame({"part": "test", "record": range(SUBJECTS), "site": "site_c", "psnr_content": 20.0})
    images = images.assign(roi_edge_mae=0.1, nt_abs_drift_mm=0.05, nt_abs_drift_px=0.5, nt_lost=0.0)
    tables = [images.assign(stage="phase1", roi_mae=0.05), images.assign(stage="phase2", roi_mae=error)]
    module = {"_target_": f"ushydra_lab.losses.weighting.{CLASSES.get(variant, 'FixedWeights')}"}
    config = {"paper": "nt/calibration", "weighting": {"name": variant, "module": module}}
    stages = {"phase1": f"p1-{seed}", "phase2": phase2}
    fake_runs.write(root / "site_c" / f"seed{seed}" / variant, stages, pd.concat(tables), config=config)


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    """Two seeds of three weightings, but for one run."""
    root = tmp_path / "nt_calibration"
    for seed in (1, 2):
        for variant in WEIGHTS:
            if (seed, variant) != (2, "gradnorm"):
                write_run(root, seed, variant)
    return root


def written(experiment: Path, file: str) -> pd.DataFrame:
    section(collect(experiment), experiment / "report")
    return fake_runs.read_texts(experiment / "report" / f"site_c_{file}.csv")


def test_every_weighting_has_a_row_of_errors_and_says_what_it_lacks(experiment: Path) -> None:
    table = written(experiment, "test_calibration").set_index("Weights")
    assert table.index.tolist() == ["Phase 1", *WEIGHTINGS.values()]
    assert table["ROI-MAE ↓"].tolist()[:4] == ["0.05000 ± 0.00000", "0.01000 ± 0.00000", "0.02000 ± 0.00000", "not run"]
    assert table.loc["1 each", "NT drift (mm) ↓"] == "0.050 ± 0.000"
    assert "NT drift (px) ↓" not in table
    assert table.loc["GradNorm, moving", "n"] == f"1 x {SUBJECTS} (1 of 2 runs missing)"


def test_gradients_are_those_of_the_calibration_and_shares_follow_the_weights_at_the_start(experiment: Path) -> None:
    table = written(experiment, "gradients").set_index(["Weights", "Term"])
    assert table.index.get_level_values(0).unique().tolist() == [WEIGHTINGS[variant] for variant in WEIGHTS]
    norms = np.array([1, 2]) * NORMS["global"]
    for weights in WEIGHTS:
        cell = table.loc[(WEIGHTINGS[weights], "global"), "Gradient norm"]
        known = norms if weights != "gradnorm" else norms[:1]
        expected = f"{known.mean():.4f}" + (f" ± {known.std(ddof=1):.4f}" if len(known) > 1 else "")
        assert cell == expected
    shares = table["Share (%)"].str.split().str[0].astype(float).unstack()[list(NORMS)]
    np.testing.assert_allclose(shares.loc["calibrated at the start"], 100 / 3, atol=0.06)
    for name in ("1 each", "GradNorm, moving"):
        np.testing.assert_allclose(shares.loc[name], 100 * np.array([5, 2, 1]) / 8, atol=0.06)
    assert table.loc[("GradNorm, moving", "roi_edge"), "Weight at the end"] == "1.200"


def test_without_a_calibrated_run_norms_are_missing_and_weights_stay(tmp_path: Path) -> None:
    write_run(tmp_path / "exp", 1, "unit")
    table = written(tmp_path / "exp", "gradients")
    assert set(table["Gradient norm"]) == set(table["Share (%)"]) == {"–"}
    assert set(table["Weight at the end"]) == {"1.000"}


def test_what_was_not_run_has_its_command(experiment: Path) -> None:
    text = markdown.render(section(collect(experiment), experiment / "report"))
    assert "'GradNorm, moving': not run (seed 2): not started" in text
    assert "held_out=site_c seed=2 weighting=gradnorm`" in text
    assert "held_out=site_c seed=1,2 weighting=manual`" in text
    assert "one Phase-1 checkpoint per split and seed" in text
