"""Every arrow in the tables points from a worse answer to a better one."""

import torch
from torch import Tensor, nn

from ushydra_lab.data.vocabulary import ANNOTATIONS
from ushydra_lab.metrics.biometry import biometry
from ushydra_lab.metrics.overlap import dice_with_empty, overlap
from ushydra_lab.metrics.routing import routing_scores
from ushydra_lab.metrics.segmentation import confusion, counts_of
from ushydra_lab.metrics.surface import surface_distances
from ushydra_lab.results.metrics import metrics_of, px_column
from ushydra_lab.tasks.classification import Classification
from ushydra_lab.tasks.columns import OF_THE_LAB
from ushydra_lab.tasks.reconstruction import Reconstruction

from ..tasks import test_boxes as of_boxes


class Answer(nn.Module):
    """A network that always gives the same."""

    def __init__(self, output: Tensor) -> None:
        super().__init__()
        self.output = output

    def forward(self, image: Tensor) -> Tensor:
        return self.output


def reconstruction(amount: float) -> dict[str, Tensor]:
    """Of two lines around a lumen; what a network with this much of an error makes of it, or none at all."""
    image = torch.full((1, 1, 176, 256), 0.5)
    image[..., 80:83, 60:200] = image[..., 95:98, 60:200] = 1.0
    image[..., 83:95, 60:200] = 0.05
    answer = image.roll(1, 2) if amount == 0.1 else image * (1 - amount) + 0.5 * amount
    batch = {"image": image, "nt_box": torch.tensor([[60.0, 75, 200, 103]]), "pixel_mm": torch.tensor([0.2])}
    batch |= {"content": torch.tensor([[0.0, 0, 256, 176]]), "head_box": torch.tensor([[20.0, 60, 70, 120]])}
    answer[..., 94:97, 60:200] += 0.2 * (amount == 0.1)
    task = Reconstruction(Answer(answer.clamp(0, 1)), None, {}, ["nt_box", "head_box"])  # type: ignore[arg-type]
    return task.evaluate(batch)


def landmarks(amount: float) -> dict[str, Tensor]:
    true = torch.tensor([[[20.0, 50], [120, 50], [70, 10], [70, 90]]])
    pred = true + amount * torch.tensor([[[-3.0, 0], [2, 1], [0, -4], [1, 5]]])
    return biometry(pred, true, torch.tensor([0.3]))


def segmentation(amount: float) -> dict[str, Tensor]:
    true = torch.zeros(1, 64, 64, dtype=torch.long)
    true[:, 16:48, 16:48] = 1
    pred = true.roll(int(8 * amount), 2)
    counts = counts_of(confusion(pred, true, 2))
    found = overlap(counts) | {"dice_empty": dice_with_empty(counts)}
    found |= {
        f"assd_{unit}": surface_distances(pred, true, 2, torch.zeros(len(true), 0))["assd"] for unit in ("mm", "px")
    }
    return {f"{name}_head": values[:, 1] for name, values in found.items()}


def classification(amount: float) -> dict[str, Tensor]:
    logits = torch.tensor([[1.0 - amount, 0.5]])
    task = Classification(Answer(logits), None, ["brain", "femur"])  # type: ignore[arg-type]
    return task.evaluate(
        {
            "image": torch.zeros(1, 1, 8, 8),
            "content": torch.tensor([[0.0, 0.0, 8.0, 8.0]]),
            "record": torch.zeros(1),
            "plane": torch.tensor([ANNOTATIONS["plane"].levels.index("brain")]),
        }
    )


def routing(amount: float) -> dict[str, Tensor]:
    scores, route = torch.tensor([[0.9, 0.4]]), torch.tensor([int(amount > 0)])
    return routing_scores(scores, route, torch.tensor([0]))


def boxes(amount: float) -> dict[str, Tensor]:
    task = of_boxes.task_for(of_boxes.Shown(of_boxes.peaks(of_boxes.BOX.view(2, 2) + 8 * amount)))
    return task.evaluate(of_boxes.batch_of(of_boxes.BOX) | {"pixel_mm": torch.tensor([0.5, 0.5])})


SHOWN = [column for column in OF_THE_LAB if column.metric]
ANSWERS = (reconstruction, landmarks, segmentation, classification, routing, boxes)


def test_every_arrow_points_to_the_better_answer() -> None:
    moved = set()
    for answer in ANSWERS:
        good = answer(0.0)
        for bad in (answer(0.1), answer(1.0)):
            for name, metric in metrics_of(good).items():
                change = float(good[name].mean() - bad[name].mean())
                if change == change and change:
                    assert metric.improves(change), name
                    moved.add(name)
    assert moved == {f"{column.name}_head" if column.each else column.name for column in SHOWN}


def test_each_name_of_a_score_is_told_and_the_rule_of_missed_structures_is_too() -> None:
    shown = metrics_of(["dice_csp", "dice_empty_csp", "assd_mm_csp"])
    assert [metric.label for metric in shown.values()] == ["Dice csp", "Dice (all images) csp", "ASSD csp (mm)"]
    for metric, name in zip(shown.values(), ("Dice:", "Dice (all images):", "ASSD:"), strict=True):
        assert metric.note.startswith(name)
    assert "misses are not counted" in shown["assd_mm_csp"].note


def test_the_arrow_is_the_rule() -> None:
    for metric in (column.metric for column in SHOWN):
        assert metric.title.endswith("↑") == metric.improves(1.0) != metric.improves(-1.0)


def test_a_length_in_mm_has_its_column_in_px_and_nothing_else_has_one() -> None:
    names = {"hc_abs_error_mm": "hc_abs_error_px", "hd95_mm_csp": "hd95_px_csp", "hc_abs_error_px": "", "dice_csp": ""}
    assert {name: px_column(name) for name in names} == names
    assert px_column("record") == px_column("nobody_s_column") == ""
