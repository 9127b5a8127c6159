"""A detector of boxes reads its corners back, learns them, and says how far a box is off."""

import pytest
import torch
from torch import Tensor, nn

from ushydra_lab.geometry.heatmaps import LocalSoftArgmax
from ushydra_lab.losses.landmarks import heatmap_mse
from ushydra_lab.tasks.boxes import LEAST_PX, Boxes

from .test_landmarks import CANVAS, SIGMA, STRIDE, Shown, peaks

BOX = torch.tensor([[20.0, 30.0, 76.0, 46.0]])


def batch_of(box: Tensor, count: int = 2) -> dict[str, Tensor]:
    content = torch.tensor([[0.0, 4.0, CANVAS[1], CANVAS[0] - 4.0]]).repeat(count, 1)
    image = torch.rand(count, 1, *CANVAS, generator=torch.Generator().manual_seed(0))
    return {
        "image": image,
        "nt_box": box.repeat(count, 1),
        "content": content,
        "native_px": torch.full((count, 2), 3.0),
    }


def task_for(network: nn.Module) -> Boxes:
    terms = {"heatmap": heatmap_mse}
    return Boxes(network, torch.optim.Adam, terms, SIGMA, LocalSoftArgmax(SIGMA), "nt_box")  # type: ignore[arg-type]


def test_perfect_heatmaps_give_the_box_and_a_moved_one_its_overlap_and_distance() -> None:
    task, batch = task_for(Shown(peaks(BOX.view(2, 2)))), batch_of(BOX)
    torch.testing.assert_close(task.answer(batch["image"], batch["content"])["box"], BOX.repeat(2, 1), atol=0.1, rtol=0)
    off = batch_of(BOX + torch.tensor([14.0, 0, 14, 0])) | {"pixel_mm": torch.tensor([0.5, 1.0])}  # of the canvas
    found = task.evaluate(off)
    assert found["box_iou"].tolist() == pytest.approx([42 / 70] * 2, abs=0.01)
    assert found["box_centre_px"].tolist() == pytest.approx([42, 42], abs=0.5)
    edges = torch.stack(
        [found[f"box_{edge}_px"] for edge in ("x1", "y1", "x2", "y2")], 1
    )  # the content begins at (0, 4)
    torch.testing.assert_close(edges, (BOX - torch.tensor([0.0, 4, 0, 4])).repeat(2, 1) * 3, atol=0.3, rtol=0)
    assert found["box_centre_mm"].tolist() == pytest.approx([7, 14], abs=0.2)


@pytest.mark.parametrize("corners", [BOX[0, [2, 3, 0, 1]], BOX[0, [0, 1, 0, 1]], torch.tensor([0.0, 0, 96, 64])])
def test_corners_in_the_wrong_order_at_one_place_or_in_the_padding_still_give_a_box(corners: Tensor) -> None:
    task, batch = task_for(Shown(peaks(corners.view(2, 2)))), batch_of(BOX)
    box = task.answer(batch["image"], batch["content"])["box"]
    assert (box[:, 2:] - box[:, :2] >= LEAST_PX - 1e-4).all()
    assert (box >= batch["content"][:, [0, 1, 0, 1]] - LEAST_PX).all()
    assert (box <= batch["content"][:, [2, 3, 2, 3]] + LEAST_PX).all()
    assert task.evaluate(batch)["box_iou"].isfinite().all()


def test_it_learns_where_the_corners_are() -> None:
    torch.manual_seed(0)
    task, batch = task_for(Shown(torch.zeros(1, 2, CANVAS[0] // STRIDE, CANVAS[1] // STRIDE))), batch_of(BOX)
    optimizer = torch.optim.Adam(task.network.parameters(), 0.3)
    for _ in range(60):
        optimizer.zero_grad()
        task.total(task.losses(batch)).backward()
        optimizer.step()
    assert task.evaluate(batch)["box_iou"].min() > 0.9


def test_a_network_of_other_outputs_is_refused() -> None:
    for network in (Shown(torch.zeros(1, 4, 32, 48)), Shown(torch.zeros(1, 2, 2), stride=None)):
        with pytest.raises(ValueError, match="two heatmaps"):
            task_for(network).rehearse(CANVAS)
