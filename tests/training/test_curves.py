"""The validation metrics of each epoch, of every system: those of the images, by another way."""

from pathlib import Path

import pandas as pd
import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score, roc_auc_score

from ushydra_lab.tasks.classification import Classification

from ..small_systems import train, words, write_images

LAST_STAGES = {
    "nt_phase2": "phase2", "biometry_stage3": "train", "brain_attention_unet": "train", "hydra_vit": "route",
    "hydra_unet": "route",
}  # fmt: skip


@pytest.fixture(scope="module", params=LAST_STAGES)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A system and a run of it, every stage trained for one epoch: what is selected is what was validated last."""
    root = tmp_path_factory.mktemp(request.param)
    manifest = write_images(request.param, root / "images")
    return request.param, train(words(request.param, manifest, root, 1))


def test_curves_are_the_metrics_of_the_validation_images(run: tuple[str, Path]) -> None:
    system, path = run
    stage = LAST_STAGES[system]
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
