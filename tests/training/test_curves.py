"""The validation metrics of each epoch, of every system: those of the images, by another way."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from ushydra_lab import experiment, phantom
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.validation import check
from ushydra_lab.tasks.classification import Classification

SYSTEMS = {
    "nt_phase2": ("nt", "phase2", ["network.widths=[2,4,4,8]", "canvas=[168,176]", "held_out=hospital_c"]),
    "biometry_stage3": ("head", "train", [
        "arm=biometry/soft_argmax", "network.widths=[2,4,4]", "canvas=[64,64]", "held_out=hospital_c",
        "data.structures={parenchyma: 1, csp: 2, lv: 3}",
    ]),
    "brain_attention_unet": ("head", "train", [
        "network.widths=[2,4,8]", "canvas=[64,64]", "data.structures={parenchyma: 1, csp: 2, lv: 3}",
        "held_out=hospital_c",
    ]),
    "hydra_vit": ("planes", "route", [
        "network.hidden_size=16", "network.layers=2", "network.heads=2", "canvas=[32,32]", "held_out=clinic_unseen",
    ]),
    "hydra_unet": ("heart", "route", [
        "network.widths=[2,4,8]", "canvas=[32,32]", "data.structures={lv: 1}", "held_out=echo_unseen",
    ]),
}  # fmt: skip


@pytest.fixture(scope="module", params=SYSTEMS)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A system and a run of it, every stage trained for one epoch: what is selected is what was validated last."""
    scene, _, small = SYSTEMS[request.param]
    root = tmp_path_factory.mktemp(request.param)
    manifest = phantom.write(root / "images", scene, 0, dict.fromkeys(phantom.SCENES[scene].machines, 10))
    words = [f"+experiment={request.param}", "scale=laptop", "batch_size=4", "panel_images=1", "logger.mode=disabled"]
    words += ["data=manifest", f"data.path='{manifest}'", f"run_root='{root}'", *small]
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        stages = compose("config", overrides=words).stages
        cfg = compose("config", overrides=[*words, *(f"stages.{name}.max_epochs=1" for name in stages)])
    experiment.run(check(cfg), run_path(cfg))
    return request.param, run_path(cfg)


def test_curves_are_the_metrics_of_the_validation_images(run: tuple[str, Path]) -> None:
    system, path = run
    stage = SYSTEMS[system][1]
    (last,) = pd.read_csv(path / "history" / f"{stage}.csv").to_dict("records")
    images = pd.read_csv(path / "per_image.csv")
    images = images[(images["stage"] == stage) & (images["part"] == "val")]
    if system == "hydra_vit":
        true, chances = images["true"], images.filter(like="prob_").to_numpy()
        shown = sorted(set(true))
        assert last["val/accuracy"] == pytest.approx(accuracy_score(true, images["predicted"]))
        assert last["val/f1"] == pytest.approx(f1_score(true, images["predicted"], average="macro"))
        areas = [roc_auc_score(true == plane, chances[:, plane]) for plane in shown]
        assert last["val/auroc"] == pytest.approx(sum(areas) / len(areas))
        return
    names = {
        "nt_phase2": ["psnr", "roi_mae"],
        "biometry_stage3": ["nme", "distance_px", "ofd_abs_percent_error", "bpd_abs_percent_error"],
        "brain_attention_unet": ["dice_parenchyma", "dice_csp"],
        "hydra_unet": ["dice_lv"],
    }[system]
    for name in names:
        assert last[f"val/{name}"] == pytest.approx(images[name].mean(), rel=1e-4), name
    for structure in [name.removeprefix("dice_") for name in names if name.startswith("dice_")]:
        found = images[f"true_px_{structure}"] + images[f"found_px_{structure}"] - images[f"hits_{structure}"]
        iou = images[f"hits_{structure}"] / found  # NaN where neither shows it
        assert last[f"val/iou_{structure}"] == pytest.approx(iou.mean(), rel=1e-4)


def test_classes_that_no_validation_image_shows_leave_the_area_under_the_curve_as_it_is() -> None:
    task = Classification(torch.nn.Identity(), torch.optim.Adam, ["brain", "abdomen", "femur"])
    area = task.curves()["auroc"]
    area.update(torch.tensor([[0.6, 0.3, 0.1], [0.5, 0.4, 0.1], [0.7, 0.2, 0.1]]), torch.tensor([0, 1, 0]))
    assert float(area.compute()) == 1.0
    alone = task.curves()["auroc"]
    alone.update(torch.tensor([[0.6, 0.3, 0.1]]), torch.tensor([0]))
    assert alone.compute().isnan()
