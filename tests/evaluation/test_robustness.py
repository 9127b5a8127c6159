"""Robustness is measured from finished runs alone, once, and says what it is asked."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from ushydra_lab import experiment, phantom
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.validation import check
from ushydra_lab.data.perturbations import SWEEPS
from ushydra_lab.errors import UserError
from ushydra_lab.evaluation import robustness
from ushydra_lab.training import assembly

from ..cli import call


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of an experiment with one finished run of a segmentation, trained for an epoch."""
    root = tmp_path_factory.mktemp("robust")
    register_resolvers()
    small = ["scale=laptop", "logger.mode=disabled", "panel_images=1", f"run_root='{root}'", "network.widths=[4,8]"]
    small += ["canvas=[32,48]", "data.images_per_site=10", "stages.train.max_epochs=1"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=["+experiment=brain_attention_unet", *small])
    experiment.run(check(cfg), run_path(cfg))
    return root / "brain_attention_unet"


def test_every_strength_meets_every_test_image_and_the_neutral_ones_are_the_runs_own_figures(
    trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    call("robustness", str(trained))
    run = next(trained.rglob("run.json")).parent
    table, own = pd.read_csv(run / "robustness.csv"), pd.read_csv(run / "per_image.csv")
    assert own["anomaly_parenchyma"].notna().all()  # what was fitted beside the weights is there again
    strengths = {kind: sorted(values) for kind, (_, values) in SWEEPS.items()}
    assert {kind: sorted(t["strength"].unique()) for kind, t in table.groupby("kind")} == strengths
    assert table.groupby(["kind", "strength"]).size().eq(10).all()
    test = own[own["part"] == "test"].set_index("record")["found_px_parenchyma"]
    for kind, neutral in (("noise", 0.0), ("contrast", 1.0), ("gain", 0.0)):
        plain = table[(table["kind"] == kind) & (table["strength"] == neutral)].set_index("record")
        np.testing.assert_allclose(plain["found_px_parenchyma"], test[plain.index], atol=2)
    assert (trained / "robustness" / "curves.png").stat().st_size > 10_000
    assert "Agreement" in capsys.readouterr().out
    monkeypatch.setattr(robustness, "perturbed_images", lambda *_: pytest.fail("measured again"))
    robustness.robustness(trained)


def test_images_that_were_added_since_are_not_measured_and_old_tables_are_measured_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = phantom.write(tmp_path / "heads", "head", 0, {"hospital_a": 14})
    every = pd.read_csv(manifest, dtype=str)
    every.iloc[:10].to_csv(manifest, index=False)
    small = ["scale=laptop", "logger.mode=disabled", "panel_images=1", "network.widths=[4,8]", "canvas=[32,48]"]
    small += [f"run_root='{tmp_path}/runs'", "data=manifest", f"data.path='{manifest}'", "stages.train.max_epochs=1"]
    small += ["data.structures={parenchyma: 1, csp: 2, lv: 3}", "split=random"]
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=["+experiment=brain_attention_unet", *small])
    experiment.run(check(cfg), run_path(cfg))
    file = run_path(cfg) / "robustness.csv"
    pd.DataFrame({"kind": ["noise"], "strength": [0.0], "record": [0], "dice_csp": [1.0]}).to_csv(file, index=False)
    every.to_csv(manifest, index=False)
    monkeypatch.setattr(assembly, "_manifests", {})
    with pytest.raises(UserError, match=r"(?s)not measured.*not the images of the run.*10 images, now there are 14"):
        robustness.robustness(tmp_path / "runs")
    every.iloc[:10].to_csv(manifest, index=False)
    monkeypatch.setattr(assembly, "_manifests", {})
    robustness.robustness(tmp_path / "runs")
    split = pd.read_csv(run_path(cfg) / "split.csv")
    assert set(pd.read_csv(file)["record"]) == set(split.loc[split["part"] == "val", "record"])


def test_curves_are_means_over_images_then_seeds() -> None:
    images = pd.DataFrame(
        {
            **{"held_out": "c", "variant": "v", "kind": "noise", "strength": [0.0, 0.0, 0.1, 0.1] * 2},
            **{"seed": [1] * 4 + [2] * 4, "dice_csp": [0.8, np.nan, 0.6, 0.4, 0.9, 0.7, 0.5, np.nan]},
            "dice_empty_csp": 1.0,
        }
    )
    found = robustness.curves(images).set_index("strength")
    assert found["structure"].tolist() == ["csp", "csp"]
    assert found["mean"].tolist() == pytest.approx([0.8, 0.5])
    assert found["sd"].tolist() == pytest.approx([0.0, 0.0])
    assert found["seeds"].tolist() == [2, 2]


def test_agreement_is_of_areas_between_seeds_and_with_the_truth() -> None:
    true = np.arange(1.0, 11)
    seeds = [
        pd.DataFrame({"record": range(10), "seed": s, "true_mm2_lv": true, "found_mm2_lv": true * s}) for s in (1, 2)
    ]
    images = pd.concat(seeds).assign(held_out="c", variant="v", kind="noise", strength=0.0)
    found = robustness.agreement(images).set_index("between")
    assert found.loc["seed 1 and truth", "icc"] == pytest.approx(1)
    assert found.loc["seed 2 and truth", "icc"] == pytest.approx(found.loc["between seeds", "icc"])
    assert found.loc["between seeds", "icc"] < 0.7


def test_a_folder_without_a_segmentation_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished run of a segmentation"):
        robustness.robustness(tmp_path)
