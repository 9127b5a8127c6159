"""The report shows what was probed, of the weights the runs have now, and names what was not."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import auc, roc_auc_score

from ushydra_lab.report.collect import Collected
from ushydra_lab.report.probes import TABLES, draw_plane, draw_roc, images, read, section, table

SCORES = {"site_accuracy": 0.8, "site_auroc": 0.9, "max_softmax": 0.6, "entropy": 0.5, "mahalanobis_auroc": 0.7}
SCORES |= {"mahalanobis_l2_auroc": 0.7, "knn_auroc": 0.6, "quality_r2": -0.5, "quality_rho": 0.1}


def write_run(run: Path, seed: int, key: str = "k", shift: float = 0.0) -> dict[str, object]:
    """A probed run of one stage; its row of the collected stages."""
    run.mkdir(parents=True)
    rng = np.random.default_rng(seed)
    parts = ["train"] * 20 + ["val"] * 10 + ["test"] * 15
    sites = ["a", "b"] * 15 + ["c"] * 15
    numbers = {name: rng.normal(size=45) for name in ("pca_1", "pca_2", "max_softmax", "knn")}
    codes = pd.DataFrame(
        {"stage": "phase2", "feature": "z", "part": parts, "record": range(45), "site": sites} | numbers
    )
    codes.loc[codes["part"] == "train", ["knn", "max_softmax"]] = np.nan
    codes.to_csv(run / "probes.csv", index=False)
    scores = {name: value + shift for name, value in SCORES.items()} | {"triage_lost_auroc": None}
    content = {"made_from": {"stages": {"phase2": key}}, "stages": {"phase2": {"z": scores}}}
    (run / "probes.json").write_text(json.dumps(content))
    who = {"held_out": "c", "fold": "c", "seed": seed, "variant": "roi", "stage": "phase2", "method": "phase2"}
    return who | {"run": run, "key": "k"}


@pytest.fixture
def stages(tmp_path: Path) -> pd.DataFrame:
    rows = [write_run(tmp_path / "nt/c" / f"seed{seed}/roi", seed, shift=0.1 * seed) for seed in (1, 2)]
    stale = write_run(tmp_path / "nt/c/seed3/roi", 3, key="of weights before")
    (tmp_path / "nt/c/seed4/roi").mkdir(parents=True)
    (tmp_path / "nt/c/seed4/roi/probes.json").write_text("{damaged")
    return pd.DataFrame([*rows, stale, stale | {"seed": 4, "run": tmp_path / "nt/c/seed4/roi"}])


def test_scores_are_mean_and_sd_over_seeds_beside_the_papers(stages: pd.DataFrame) -> None:
    scores, missing = read(stages)
    assert [run.parent.name for run in missing] == ["seed3", "seed4"]
    found = table(scores, TABLES["table5"][1])
    assert found.loc[0, "kNN ↑"] == "0.750 ± 0.071"
    assert found.loc[0, "kNN, paper"] == "0.718 / 0.642 / 0.931"
    assert found.loc[0, "seeds"] == 2
    control = table(scores.assign(variant="global"), TABLES["table5"][1])
    assert control.loc[0, "kNN, paper"] == "–"


def test_the_curve_encloses_the_auroc_of_higher_scores_for_unseen_images(stages: pd.DataFrame) -> None:
    codes = images(read(stages)[0])
    lines = [line for line in draw_roc(codes).axes[0].lines if line.get_linestyle() == "-"]
    for line, (_, run) in zip(lines, codes.groupby("seed"), strict=True):
        shown = run[run["part"] != "train"]
        assert auc(*line.get_data()) == pytest.approx(roc_auc_score(shown["part"] == "test", shown["knn"]))


def test_every_site_has_its_colour_and_marker_the_unseen_on_top(stages: pd.DataFrame) -> None:
    codes = images(read(stages)[0])
    shown = draw_plane(codes[codes["seed"] == 1], "pca").axes[0].collections
    assert [dots.get_label() for dots in shown] == ["a", "b", "c"]
    assert [len(dots.get_offsets()) for dots in shown] == [15, 15, 15]
    assert len({tuple(dots.get_facecolor()[0][:3]) for dots in shown}) == 3


def test_the_section_has_tables_figures_and_the_commands_for_the_rest(stages: pd.DataFrame, tmp_path: Path) -> None:
    folder = tmp_path / "nt" / "report"
    text = "\n".join(section(Collected(pd.DataFrame(), stages, {}), folder))
    assert all(f"(Table {number})" in text for number in (4, 5, 6))
    assert "`python -m ushydra_lab.probes nt/c/seed3/roi`" in text
    assert str(tmp_path) not in text
    for name in ("confidence", "roc", "knn", "pca"):
        assert (folder / f"c_probes_{name}.png").stat().st_size > 5_000
    assert pd.read_csv(folder / "c_probes_table5.csv")["knn_auroc"].tolist() == pytest.approx([0.7, 0.8])
    assert "umap" not in text


def test_runs_that_were_never_probed_add_nothing(stages: pd.DataFrame, tmp_path: Path) -> None:
    bare = stages.assign(run=tmp_path / "nowhere")
    assert section(Collected(pd.DataFrame(), bare, {}), tmp_path) == []
