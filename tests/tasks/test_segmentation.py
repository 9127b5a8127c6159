from collections.abc import Callable
from functools import partial
from math import pi
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from skimage.measure import regionprops
from torch import Tensor, nn

from ushydra_lab.errors import UserError
from ushydra_lab.losses.segmentation import class_weights, cross_entropy, soft_dice
from ushydra_lab.metrics.postprocessing import clean
from ushydra_lab.tasks.segmentation import Segmentation

STRUCTURES = ["parenchyma", "csp"]


class Painted(nn.Module):
    """A network that knows its answer: logits that are high at `labels` (B,H,W), whatever the image."""

    def __init__(self, labels: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(10.0 * nn.functional.one_hot(labels, 3).permute(0, 3, 1, 2))

    def forward(self, image: Tensor) -> Tensor:
        return self.logits[: len(image)]


@pytest.fixture
def truth() -> Tensor:
    """Two heads of 8 x 6 px at different places; only the first has a CSP, of 2 x 3 px."""
    mask = torch.zeros(2, 12, 16, dtype=torch.uint8)
    mask[0, 2:8, 3:11], mask[1, 4:10, 5:13] = 1, 1
    mask[0, 4:6, 5:8] = 2
    return mask


def heads_like(truth: Tensor) -> Tensor:
    """The first of `truth` at eight places."""
    return torch.cat([truth[:1].roll((n % 3 - 1, n % 2), dims=(1, 2)) for n in range(8)])


def batch_of(mask: Tensor, **more: Any) -> dict[str, Tensor]:
    content = torch.tensor([[0.0, 0.0, mask.shape[2], mask.shape[1]]]).repeat(len(mask), 1)
    image = torch.rand(len(mask), 1, *mask.shape[1:])
    known = {"content": content, "native_px": torch.ones(len(mask), 2), "record": torch.arange(len(mask))}
    return {"image": image, "mask": mask, **known, **more}


def task_for(answer: Tensor, **settings: Any) -> Segmentation:
    defaults: dict[str, Any] = {
        "terms": {"ce": cross_entropy, "dice": soft_dice},
        "shares": {"ce": 0.4, "dice": 0.6},
        "class_weighted": ["dice"],
        "select": ["csp"],
    }
    optimizer: Callable[..., Any] = torch.optim.Adam
    return Segmentation(Painted(answer.long()), optimizer, STRUCTURES, **defaults | settings)


def test_an_image_in_which_nothing_is_found_has_no_score_of_absence() -> None:
    labels = torch.zeros(3, 8, 8)
    labels[1, 2:6, 2:6] = 1
    labels[2, 1:7, 1:7] = 1
    labels[2, 3:5, 3:5] = 2
    batch = batch_of(labels.long())
    task = task_for(labels)
    found = task.doubts(task.answer(batch["image"], batch["content"]), batch)["structure_absent"]
    torch.testing.assert_close(found, torch.tensor([torch.nan, 1.0, 0.0]), equal_nan=True)


def test_a_perfect_answer_scores_one_where_a_structure_is_and_nothing_where_it_is_not(truth: Tensor) -> None:
    scores = task_for(truth).evaluate(batch_of(truth, pixel_mm=torch.tensor([0.5, 0.5])))
    assert scores["dice_parenchyma"].tolist() == [1, 1]
    assert scores["dice_csp"][0] == 1
    assert scores["dice_csp"][1].isnan()
    assert scores["dice_empty_csp"].tolist() == [1, 1]
    assert scores["assd_mm_csp"][0] == 0
    assert scores["nsd_mm_csp"][0] == scores["nsd_px_csp"][0] == 1
    assert scores["nsd_mm_csp"][1].isnan()
    assert scores["present_csp"].tolist() == [1, 0]
    assert scores["found_csp"].tolist() == [1, 0]
    assert scores["hits_csp"].tolist() == [6, 0]


def test_distances_and_places_are_px_and_mm_too_where_the_spacing_is_known(truth: Tensor) -> None:
    moved = truth.roll(2, dims=2)
    with_spacing = task_for(moved).evaluate(batch_of(truth, pixel_mm=torch.tensor([0.5, 0.5])))
    without = task_for(moved).evaluate(batch_of(truth))
    torch.testing.assert_close(with_spacing["assd_mm_parenchyma"], without["assd_px_parenchyma"] / 2)
    assert 0.5 < without["assd_px_parenchyma"][0] <= 2
    for axis in "xy":
        torch.testing.assert_close(with_spacing[f"{axis}_mm_csp"], without[f"{axis}_px_csp"] / 2, equal_nan=True)
    (csp, *_) = regionprops((moved[0] == 2).numpy().astype(int))
    (brain, *_) = regionprops((moved[0] > 0).numpy().astype(int))
    y, x = np.subtract(csp.centroid, brain.centroid)
    expected = [csp.eccentricity, x, y]
    found = [float(without[f"{name}_csp"][0]) for name in ("eccentricity", "x_px", "y_px")]
    np.testing.assert_allclose(found, expected, atol=1e-2)
    assert without["eccentricity_csp"][1].isnan(), "where none is found"
    assert not any("_mm" in name for name in without)
    in_px = {name: values for name, values in with_spacing.items() if "_mm" not in name}
    assert in_px.keys() == without.keys()
    torch.testing.assert_close(in_px, without, equal_nan=True)


def test_what_is_told_of_an_image_without_labels_is_what_is_measured_of_one_with_them(truth: Tensor) -> None:
    task, batch = task_for(truth, head="parenchyma"), batch_of(truth, pixel_mm=torch.tensor([0.5, 2.0]))
    told, measured = task.describe(task.answer(batch["image"], batch["content"]), batch), task.evaluate(batch)
    assert {"found_csp", "found_px_csp", "found_mm2_csp", "hc_px", "hc_mm"} <= told.keys()
    torch.testing.assert_close(told, {name: measured[name] for name in told}, equal_nan=True)
    assert told["found_mm2_csp"].tolist() == [6 * 0.5**2, 0]


def test_an_image_is_as_difficult_as_its_structures_on_average_and_an_empty_one_rightly_left_is_easy() -> None:
    images = pd.DataFrame({"dice_empty_parenchyma": [1.0, 0.8], "dice_empty_csp": [1.0, 0.4]})
    found = task_for(torch.zeros(1, 8, 8)).difficulty(images)
    assert found.tolist() == pytest.approx([0, 0.4])


def test_nsd_is_within_a_millimetre_whatever_the_spacing_and_within_two_px(truth: Tensor) -> None:
    both = truth[:1].repeat(2, 1, 1)
    task = task_for(both.roll(2, dims=2))
    scores = task.evaluate(batch_of(both, pixel_mm=torch.tensor([0.5, 1.0])))
    assert scores["nsd_mm_csp"][0] == 1, "two px are a millimetre"
    assert scores["nsd_mm_csp"][1] < 1
    assert scores["nsd_px_csp"].tolist() == [1, 1]
    task.network = Painted(torch.zeros_like(both).long())
    assert task.evaluate(batch_of(both))["nsd_px_csp"].tolist() == [0, 0], "missed"


def test_an_image_without_spacing_among_others_has_distances_in_px_and_no_anomaly(truth: Tensor) -> None:
    both = truth[:1].repeat(2, 1, 1)
    task = task_for(both, head="parenchyma")
    task.prepare([batch_of(heads_like(truth), pixel_mm=torch.full((8,), 0.5))])
    scores = task.evaluate(batch_of(both, pixel_mm=torch.tensor([0.5, torch.nan])))
    for name in ("assd", "hd95", "x", "y"):
        assert scores[f"{name}_px_csp"].isfinite().all()
        assert scores[f"{name}_mm_csp"].isnan().tolist() == [False, True]
    assert scores["hc_px"].isfinite().all()
    assert scores["hc_mm"].isnan().tolist() == [False, True]
    assert scores["found_mm2_csp"].isnan().tolist() == [False, True]
    for name in ("shape_csp", "anomaly_csp", "shape_parenchyma", "anomaly_parenchyma"):
        assert scores[name].isnan().tolist() == [False, True]
    task.network = Painted(torch.zeros_like(both).long())
    assert task.evaluate(batch_of(both))["anomaly_csp"].min() > task.shapes.largest[2], "empty, whatever the spacing"


def test_the_spacing_of_held_out_images_changes_nothing_that_is_fitted(truth: Tensor) -> None:
    heads = heads_like(truth)
    nowhere, elsewhere = task_for(truth), task_for(truth)
    nowhere.prepare([batch_of(heads)])
    elsewhere.prepare([batch_of(heads, pixel_mm=torch.full((8,), torch.nan))])  # the key is there for others' sake
    assert elsewhere.shapes.mean[1].isfinite().all()
    for name, values in nowhere.state_dict().items():
        torch.testing.assert_close(elsewhere.state_dict()[name], values, rtol=0, atol=0, equal_nan=True)
    known, unknown = batch_of(truth, pixel_mm=torch.tensor([0.5, 0.5])), batch_of(truth)
    for name in ("shape_parenchyma", "anomaly_csp"):
        assert torch.equal(elsewhere.evaluate(known)[name], nowhere.evaluate(unknown)[name])


def test_anomaly_needs_no_expert_and_disagreement_does(truth: Tensor) -> None:
    task = task_for(truth)
    task.prepare([batch_of(heads_like(truth))])
    lost = truth * (truth < 2)
    task.network = Painted(lost.long())
    scores = task.evaluate(batch_of(truth))
    assert scores["disagreement_csp"][0] == 1
    assert scores["disagreement_csp"][1].isnan()
    assert scores["shape_csp"].isnan().all()
    assert (scores["anomaly_csp"] > task.shapes.largest[2]).all()
    other = task.evaluate(batch_of(truth.flip(1)))
    assert other["anomaly_parenchyma"].tolist() == scores["anomaly_parenchyma"].tolist()


def test_what_is_predicted_on_the_padding_counts_nowhere(truth: Tensor) -> None:
    answer = truth.clone()
    answer[:, :, 13:] = 1
    batch = batch_of(truth)
    assert task_for(answer).evaluate(batch)["dice_parenchyma"][0] < 1
    batch["content"][:, 2] = 13
    scores = task_for(answer).evaluate(batch)
    assert scores["dice_parenchyma"].tolist() == [1, 1]
    assert scores["true_px_background"][0] == 12 * 13 - 48


def test_shape_and_circumference_do_not_depend_on_what_is_predicted_on_the_padding() -> None:
    y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(80) + 0.5, indexing="ij")
    mask = (((x - 40) ** 2 + (y - 40) ** 2) < 20**2).to(torch.uint8)[None]
    mask[:, 38:44, 30:36] = 2
    batch = batch_of(mask, pixel_mm=torch.tensor([0.5]))
    batch["content"] = torch.tensor([[0.0, 16.0, 80.0, 64.0]])
    answer = mask.clone()
    answer[:, :12], answer[:, :5, 50:60] = 1, 2
    for postprocess in (None, partial(clean, closing_px=2, components=[1, 1])):
        clear, stained = (task_for(a, head="parenchyma", postprocess=postprocess) for a in (mask, answer))
        for task in (clear, stained):
            task.prepare([batch_of(mask.repeat(8, 1, 1))])
        expected = clear.evaluate(batch)
        assert expected["dice_csp"] == 1
        torch.testing.assert_close(stained.evaluate(batch), expected, equal_nan=True)
        assert torch.equal(stained.pictures(batch)["prediction"], mask.long())


def test_the_head_circumference_is_measured_in_mm_and_against_the_expert_where_there_is_one() -> None:
    y, x = torch.meshgrid(torch.arange(64) + 0.5, torch.arange(80) + 0.5, indexing="ij")
    mask = (((x - 40) ** 2 + (y - 32) ** 2) < 25**2).to(torch.uint8)[None]
    task = task_for(mask, head="parenchyma")
    assert task.evaluate(batch_of(mask))["hc_px"].item() == pytest.approx(2 * pi * 25, rel=0.005)
    known = {"pixel_mm": torch.tensor([0.5]), "hc_mm": torch.tensor([80.0])}
    scores = task.evaluate(batch_of(mask, **known))
    assert scores["hc_error_mm"].item() == pytest.approx(pi * 25 - 80, abs=0.4)
    assert scores["hc_abs_error_mm"] == scores["hc_error_mm"].abs()


def test_class_weights_come_from_the_training_images_and_are_saved(truth: Tensor) -> None:
    task = task_for(truth)
    task.prepare([batch_of(truth[:1]), batch_of(truth[1:])])
    expected = class_weights(torch.tensor([2 * 12 * 16 - 96, 96 - 6, 6]))
    torch.testing.assert_close(task.class_weights, expected)
    assert expected[2] == 10
    assert torch.equal(task.state_dict()["class_weights"], expected)
    losses = task.losses(batch_of(truth.flip(2)))
    logits = task(batch_of(truth)["image"])
    torch.testing.assert_close(losses["dice"], soft_dice(logits, truth.flip(2), expected))
    torch.testing.assert_close(losses["ce"], cross_entropy(logits, truth.flip(2)))
    torch.testing.assert_close(task.total(losses), 0.4 * losses["ce"] + 0.6 * losses["dice"])


def test_class_weights_do_not_depend_on_the_padding(truth: Tensor) -> None:
    wide, task, padded = nn.functional.pad(truth, (0, 0, 20, 20)), task_for(truth), task_for(truth)
    batch = batch_of(wide)
    batch["content"] = torch.tensor([[0.0, 20.0, 16.0, 32.0]]).repeat(2, 1)
    task.prepare([batch_of(truth)])
    padded.prepare([batch])
    assert torch.equal(padded.class_weights, task.class_weights)


def test_the_checkpoint_is_selected_by_the_dice_of_images_that_show_the_structure(
    truth: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = truth.clone()
    half[0, 4] = torch.where(half[0, 4] == 2, 1, half[0, 4])
    logged: dict[str, float] = {}
    monkeypatch.setattr(Segmentation, "log", lambda self, name, value: logged.update({name: float(value)}))
    monkeypatch.setattr(Segmentation, "_log_losses", lambda *_: None)
    task = task_for(half)
    task.on_validation_epoch_start()
    task.validation_step(batch_of(truth), 0)
    task.on_validation_epoch_end()
    assert logged["val/dice_csp"] == pytest.approx(2 * 3 / (3 + 6))
    assert logged[Segmentation.selection] == pytest.approx(1 - 2 / 3)
    task.on_validation_epoch_start()
    task.validation_step(batch_of(truth * (truth < 2)), 0)
    with pytest.raises(UserError, match=r"no validation image shows csp.*val_fraction"):
        task.on_validation_epoch_end()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shares": {"ce": 1.0}}, "the terms are .*ce.*dice"),
        ({"class_weighted": ["focal"]}, "class_weighted .*focal"),
        ({"select": ["lv"]}, "select .*lv.*parenchyma"),
        ({"select": []}, "select"),
    ],
)
def test_settings_that_do_not_fit_are_refused(truth: Tensor, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task_for(truth, **settings)


def test_a_network_for_another_number_of_structures_is_refused(truth: Tensor) -> None:
    task = task_for(truth)
    task.network = nn.Conv2d(1, 5, 1)
    with pytest.raises(ValueError, match=r"network.classes=5, but 2 structures"):
        task.rehearse((16, 16))


def test_cleaning_changes_what_is_measured_and_drawn_and_not_what_is_selected(truth: Tensor) -> None:
    noisy = truth.clone()
    noisy[:, 10:, :2] = 2
    batch = batch_of(truth, site=torch.zeros(2))
    raw, cleaned = (
        task_for(noisy, postprocess=postprocess)
        for postprocess in (None, partial(clean, closing_px=0, components=[1, 1]))
    )
    assert raw.evaluate(batch)["found_px_csp"].tolist() == [10, 4]
    assert cleaned.evaluate(batch)["found_px_csp"].tolist() == [6, 0]
    assert torch.equal(cleaned.pictures(batch)["prediction"], truth.long())
    for task in (raw, cleaned):
        task._log_losses = lambda *_: None  # type: ignore[method-assign]
        task.on_validation_epoch_start()
        task.validation_step(batch, 0)
    assert torch.equal(raw.validated[0][0], cleaned.validated[0][0])


def test_cleaning_for_another_number_of_structures_is_refused(truth: Tensor) -> None:
    task = task_for(truth, postprocess=partial(clean, closing_px=1, components=[1, 1, 2]))
    with pytest.raises(ValueError, match="each of the 2 structures"):
        task.rehearse((12, 16))


def test_pictures_show_probabilities_and_where_and_how_surely_the_answer_is_wrong(truth: Tensor) -> None:
    answer = truth.clone()
    answer[0, 4, 5:8], answer[1, 0, :2], answer[0, 11, 15] = 1, 2, 1
    batch = batch_of(truth)
    batch["content"][:, 3] = 11
    task = task_for(answer)
    pictures = {name: values.detach() for name, values in task.pictures(batch).items()}
    assert list(pictures) == ["prediction", "prob csp", "disagreement"]
    probability = task(batch["image"]).softmax(1).detach()
    torch.testing.assert_close(pictures["prob csp"], probability[:, 2])
    wrong = pictures["disagreement"]
    assert (wrong[0, 4, 5:8] < -0.9).all()
    assert (wrong[1, 0, :2] > 0.9).all()
    assert wrong.abs().max() <= 1
    assert wrong.count_nonzero() == 5  # nothing on the padding, from row 11
