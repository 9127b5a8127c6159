"""The NT caliper says which images show an NT; regions are trained and measured each by itself."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ushydra_lab.losses.reconstruction import global_ms_ssim
from ushydra_lab.losses.roi import roi_edge, roi_l1
from ushydra_lab.losses.weighting import FixedWeights, calibrated_weights, gradient_norms
from ushydra_lab.networks.conv_autoencoder import ConvAutoencoder
from ushydra_lab.tasks.reconstruction import Reconstruction


class Answer(nn.Module):
    """A network that always gives the same."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, image: Tensor) -> Tensor:
        return self.output


def test_drift_and_loss_are_of_originals_that_show_an_nt() -> None:
    shown = torch.full((1, 1, 176, 256), 0.5)
    shown[..., 80:83, 60:200] = shown[..., 95:98, 60:200] = 1.0
    shown[..., 83:95, 60:200] = 0.05
    plain = torch.full_like(shown, 0.5)
    batch = {
        "image": torch.cat([shown, shown, plain, plain]),
        "nt_box": torch.tensor([[60.0, 75, 200, 103]]).expand(4, 4),
        "content": torch.tensor([[0.0, 0, 256, 176]]).expand(4, 4),
        "pixel_mm": torch.full((4,), 0.2),
    }
    task = Reconstruction(Answer(torch.cat([shown, plain, shown, plain])), None, {})  # type: ignore[arg-type]
    found = {name: values.tolist() for name, values in task.evaluate(batch).items()}
    assert found["nt_lost"][:2] == [0, 1]
    assert all(math.isnan(value) for value in found["nt_lost"][2:])
    for name in ("nt_drift_px", "nt_abs_drift_px", "nt_drift_mm", "nt_abs_drift_mm"):
        assert [math.isnan(value) for value in found[name]] == [False, True, True, True]
    for name in ("nt_px", "nt_mm"):
        assert [math.isnan(value) for value in found[name]] == [False, False, True, True]


def test_an_auxiliary_decoder_s_loss_is_neither_weighed_nor_selected_by() -> None:
    torch.manual_seed(0)
    network = ConvAutoencoder((32, 48), widths=(2, 4), latent_dim=5, auxiliary="detached")
    terms = {"l1": lambda x_hat, x, box: (x_hat - x).abs().mean((1, 2, 3))}
    task = Reconstruction(network, None, terms, weighting=lambda names: FixedWeights(names, [3.0]))  # type: ignore[arg-type]
    batch = {"image": torch.rand(2, 1, 32, 48), "nt_box": torch.tensor([[4.0, 5, 40, 25]]).expand(2, 4)}
    batch["content"] = torch.tensor([[0.0, 0, 48, 32]]).expand(2, 4)
    losses = task.losses(batch)
    assert losses.keys() == {"l1", "thumbnail"}
    for objective in (task.total(losses), task.selection_loss(losses)):
        assert torch.equal(objective, 3 * losses["l1"])
    assert task.auxiliary(losses) is losses["thumbnail"]
    assert task.pictures(batch)["from z"].shape == (2, 32, 48)


FACE = "face_box"


def of_two_regions() -> dict[str, Tensor]:
    """Three images, the second of which has no box of the face."""
    rng = torch.Generator().manual_seed(0)
    boxes = {"nt_box": [60.0, 75, 200, 103], FACE: [20.0, 30, 70, 60]}
    batch = {name: torch.tensor([box]).repeat(3, 1) for name, box in boxes.items()}
    batch[FACE][1] = torch.nan
    batch["content"] = torch.tensor([[0.0, 0, 256, 176]]).repeat(3, 1)
    batch["record"] = torch.arange(3)
    return {"image": torch.rand(3, 1, 176, 256, generator=rng), "quality": torch.tensor([0, 1, 2]), **batch}


def task_of(roi: Any, batch: dict[str, Tensor], **settings: Any) -> Reconstruction:
    terms = {"global": global_ms_ssim, "roi_l1": roi_l1, "roi_edge": roi_edge}
    answer = nn.Parameter(batch["image"].roll(1, 3) * 0.9)
    return Reconstruction(Answer(answer), None, terms, roi, **settings)  # type: ignore[arg-type]


def values_of(losses: dict[str, Tensor]) -> dict[str, float]:
    return {name: loss.item() for name, loss in losses.items()}


def rows(batch: dict[str, Tensor], *chosen: int) -> dict[str, Tensor]:
    return {name: values[list(chosen)] for name, values in batch.items()}


def test_one_region_and_the_same_with_a_weight_of_1_have_the_same_losses_and_columns() -> None:
    batch = of_two_regions()
    plain, weighted = task_of("nt_box", batch), task_of({"nt_box": 1, FACE: 0}, batch)
    assert values_of(plain.losses(batch)) == values_of(weighted.losses(batch))
    alone, both = plain.evaluate(batch), weighted.evaluate(batch)
    assert list(alone) == [name for name in both if not name.endswith("_face")]
    for name, values in alone.items():
        torch.testing.assert_close(both[name], values, rtol=0, atol=0, equal_nan=True)


def test_a_region_of_its_own_has_the_losses_and_metrics_of_a_task_for_it_alone() -> None:
    batch = of_two_regions()
    both, here = task_of({"nt_box": 1, FACE: 0.5}, batch), rows(batch, 0, 2)
    losses, metrics = both.losses(batch), both.evaluate(batch)
    assert list(losses) == ["global", "roi_l1_nt", "roi_l1_face", "roi_edge_nt", "roi_edge_face"]
    face, shown = task_of(FACE, here), rows({"x": both.network.output.detach()}, 0, 2)["x"]
    face.network.output = nn.Parameter(shown)
    for name in ("roi_l1", "roi_edge"):  # over the images that have it
        torch.testing.assert_close(losses[f"{name}_face"], face.losses(here)[name])
    for name in ("roi_mae", "roi_ms_ssim", "roi_edge_mae"):
        torch.testing.assert_close(metrics[f"{name}_face"][[0, 2]], face.evaluate(here)[name])
        assert metrics[f"{name}_face"].isnan().tolist() == [False, True, False]


def test_an_image_without_a_region_moves_nothing_for_it_and_a_batch_without_any_costs_0() -> None:
    batch = of_two_regions()
    task = task_of({"nt_box": 1, FACE: 0.5}, batch)
    task.losses(batch)["roi_l1_face"].backward()
    pulled = task.network.output.grad.flatten(1).abs().sum(1)
    assert (pulled > 0).tolist() == [True, False, True]
    batch[FACE][:] = torch.nan
    assert values_of(task.losses(batch))["roi_l1_face"] == 0
    task.total(task.losses(batch)).backward()
    assert task.network.output.grad.isfinite().all()


def test_weights_of_regions_are_on_top_of_calibrated_ones() -> None:
    batch = of_two_regions()
    task = task_of({"nt_box": 1, FACE: 0.25}, batch)
    losses = task.losses(batch)
    norms = gradient_norms(losses, task.network.parameters())
    task.weighting.weights.copy_(calibrated_weights(norms))
    pulls = {name: task.loss_weights()[name] * norms[name] for name in norms}
    for term in ("roi_l1", "roi_edge"):
        assert pulls[f"{term}_face"] / pulls[f"{term}_nt"] == pytest.approx(0.25, rel=1e-5)
    expected = sum(task.loss_weights()[name] * loss for name, loss in values_of(losses).items())
    assert task.total(losses).item() == pytest.approx(expected, rel=1e-5)


def test_training_images_count_by_quality_and_label_weight_in_regions_alone_and_validation_ones_all_alike() -> None:
    batch = of_two_regions() | {"label_weight": torch.tensor([1.0, torch.nan, 0.5])}
    weights = {"low": 0.25, "medium": 0.5, "high": 1.0}
    task, plain = task_of("nt_box", batch, quality_weights=weights), task_of("nt_box", batch)
    each = roi_l1(task.network.output, batch["image"], batch["nt_box"])
    losses = task.train().losses(batch)
    assert float(losses["roi_l1"]) == pytest.approx(float((each * torch.tensor([0.25, 0.5, 0.5])).mean()), rel=1e-6)
    assert float(losses["global"]) == float(plain.losses(batch)["global"])
    validated = values_of(task.eval().losses(batch))
    del batch["label_weight"]
    assert validated == values_of(plain.train().losses(batch))


def test_the_caliper_measures_the_nt_wherever_it_stands_among_the_regions() -> None:
    batch = of_two_regions()
    batch["nt_box"][1] = torch.nan
    batch[FACE] = torch.tensor([[20.0, 30, 70, 60]]).repeat(3, 1)
    found = task_of([FACE, "nt_box"], batch).evaluate(batch)
    assert math.isnan(found["nt_px"][1])
    assert {"roi_mae", "roi_mae_nt", "nt_lost"} <= set(found)


def test_weights_of_other_words_than_those_of_quality_or_above_1_are_refused() -> None:
    for weights, why in (({"low": 1, "good": 1}, "no such quality: 'good'"), ({"low": 2}, "each from 0 to 1")):
        with pytest.raises(ValueError, match=why):
            task_of("nt_box", of_two_regions(), quality_weights=weights)
