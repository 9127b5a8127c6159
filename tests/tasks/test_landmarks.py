from collections.abc import Callable
from functools import partial
from math import hypot
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ushydra_lab.geometry.heatmaps import OFFSET, Argmax, LocalSoftArgmax, SoftArgmax, draw
from ushydra_lab.losses.landmarks import angle_term, coordinate_l1, heatmap_mse
from ushydra_lab.tasks.landmarks import Landmarks, canonical

SIGMA, STRIDE, CANVAS = 4.0, 2, (64, 96)
HEAD = torch.tensor([[20.3, 30.0], [75.0, 35.4], [49.0, 10.2], [46.0, 55.0]])


class Shown(nn.Module):
    """A network that gives the same learnable heatmaps, or points, whatever the image."""

    def __init__(self, output: Tensor, stride: int | None = STRIDE) -> None:
        super().__init__()
        self.output = nn.Parameter(output)
        if stride:
            self.stride = stride

    def forward(self, image: Tensor) -> Tensor:
        return self.output.expand(len(image), *self.output.shape[1:])


def peaks(points: Tensor, sigma: float = SIGMA) -> Tensor:
    """Logits of perfect heatmaps of points (4, 2)."""
    size = CANVAS[0] // STRIDE, CANVAS[1] // STRIDE
    return draw(points[None], size, STRIDE, sigma).logit(eps=1e-6) - OFFSET


def batch_of(points: Tensor, count: int = 2, **more: Any) -> dict[str, Tensor]:
    content = torch.tensor([[0.0, 0.0, CANVAS[1], CANVAS[0]]]).repeat(count, 1)
    image = torch.rand(count, 1, *CANVAS, generator=torch.Generator().manual_seed(0))
    given = {"image": image, "landmarks": points.repeat(count, 1, 1), "content": content}
    return {**given, "digest": torch.arange(count), "native_px": torch.full((count, 2), 3.0), **more}


def task_for(network: nn.Module, **settings: Any) -> Landmarks:
    defaults: dict[str, Any] = {
        "terms": {"heatmap": heatmap_mse},
        "shares": {"heatmap": 1.0},
        "sigma": SIGMA,
        "decoder": LocalSoftArgmax(SIGMA),
    }
    optimizer: Callable[..., Any] = torch.optim.Adam
    return Landmarks(network, optimizer, **defaults | settings)


def test_perfect_heatmaps_measure_the_true_diameters_in_native_px_and_mm() -> None:
    found = task_for(Shown(peaks(HEAD))).evaluate(batch_of(HEAD, pixel_mm=torch.tensor([0.5, 1.0])))
    ofd = float((HEAD[1] - HEAD[0]).norm())
    assert found["nme"].max() < 0.002
    assert found["ofd_true_px"].tolist() == pytest.approx([3 * ofd] * 2, rel=1e-5)
    assert found["ofd_mm"].tolist() == pytest.approx([0.5 * ofd, ofd], rel=3e-3)
    assert found["bpd_abs_percent_error"].max() < 0.5
    # of a drawn Gaussian sqrt(2 T) sigma, T = 0.25; of a diameter the root of the sum of its ends' squares
    assert found["ofd_spread_px"][0].item() == pytest.approx(3 * 2 * SIGMA * 0.25**0.5, rel=1e-2)
    assert float(found["ofd_spread_mm"][1]) == pytest.approx(float(found["ofd_spread_px"][1]) / 3, rel=1e-5)


def test_without_spacing_no_metric_is_in_mm() -> None:
    found = task_for(Shown(peaks(HEAD))).evaluate(batch_of(HEAD))
    assert "ofd_abs_error_px" in found
    assert not any("_mm" in name for name in found)


def test_a_network_that_gives_points_has_no_uncertainty_and_the_same_metrics() -> None:
    task = task_for(Shown(HEAD[None], stride=None), terms={"xy": coordinate_l1}, shares={"xy": 1.0})
    found = task.evaluate(batch_of(HEAD))
    assert found["nme"].tolist() == [0, 0]
    assert "entropy" not in found
    assert task.losses(batch_of(HEAD + 1))["xy"].item() == pytest.approx(2 / hypot(*CANVAS), rel=1e-5)


def test_an_image_is_as_doubtful_as_the_widest_of_its_heatmaps() -> None:
    output = peaks(HEAD).repeat(2, 1, 1, 1)
    output[1, 2] = peaks(HEAD, 2 * SIGMA)[0, 2]
    task, batch = task_for(Shown(output)), batch_of(HEAD)
    answer = task.answer(batch["image"], batch["content"])
    doubt = task.doubts(answer, batch)["uncertain"]
    assert doubt.tolist() == [max(each) for each in answer["spread"].tolist()]
    assert doubt[1] > 1.5 * doubt[0], "though three of its four are as sharp"
    points = task_for(Shown(HEAD[None], stride=None), terms={"xy": coordinate_l1}, shares={"xy": 1.0})
    assert points.doubts(points.answer(batch["image"], batch["content"]), batch) == {}


@given(st.lists(st.floats(0, 100, width=32), min_size=8, max_size=8), st.booleans(), st.booleans())
def test_the_canonical_order_is_one_whatever_the_order_given(values: list[float], ofd: bool, bpd: bool) -> None:
    points = torch.tensor(values).view(1, 2, 2, 2)
    given = torch.stack(
        [points[:, 0].flip(1) if ofd else points[:, 0], points[:, 1].flip(1) if bpd else points[:, 1]], 1
    )
    found = canonical(given.flatten(1, 2))
    assert found[0, 0, 0] <= found[0, 1, 0]
    assert found[0, 2, 1] <= found[0, 3, 1]
    if points[0, 0, 0, 0] != points[0, 0, 1, 0] and points[0, 1, 0, 1] != points[0, 1, 1, 1]:
        assert torch.equal(found, canonical(points.flatten(1, 2)))


def test_a_mirrored_image_is_labelled_anew() -> None:
    mirrored = HEAD * torch.tensor([-1.0, 1.0]) + torch.tensor([96.0, 0.0])
    assert torch.equal(canonical(mirrored[None])[0, :2], mirrored[[1, 0]])
    assert torch.equal(canonical(mirrored[None])[0, 2:], mirrored[2:])


def learnt(order: str) -> tuple[Landmarks, dict[str, Tensor]]:
    """Heatmaps fitted to 64 images of one head."""
    torch.manual_seed(0)
    network = Shown(torch.zeros(1, 4, CANVAS[0] // STRIDE, CANVAS[1] // STRIDE))
    task, batch = task_for(network, order=order), batch_of(HEAD, 64)
    optimizer = torch.optim.Adam(network.parameters(), 0.3)
    for _ in range(60):
        optimizer.zero_grad()
        task.total(task.losses(batch)).backward()
        optimizer.step()
    return task, batch


def test_ends_in_arbitrary_order_collapse_to_the_midline_under_soft_argmax_and_canonical_ones_do_not() -> None:
    task, batch = learnt("coin_flip")
    task.decoder = SoftArgmax(SIGMA)
    found = task.located(task(batch["image"], batch["image"] > -1))[0]
    middle = HEAD[:2].mean(0)
    assert (found[:2] - middle).norm(dim=-1).max() < 0.3 * (HEAD[1] - HEAD[0]).norm() / 2
    assert task.evaluate(batch)["ofd_percent_error"].mean() < -70
    task, batch = learnt("canonical")
    task.decoder = SoftArgmax(SIGMA)
    assert task.evaluate(batch)["ofd_abs_percent_error"].max() < 1


def test_which_ends_are_exchanged_is_up_to_the_image_alone() -> None:
    task, batch = task_for(Shown(peaks(HEAD)), order="coin_flip"), batch_of(HEAD, 8)
    rows = torch.tensor([6, 1, 3])
    other = {**{key: values[rows] for key, values in batch.items()}, "record": torch.tensor([0, 70, 8])}
    assert torch.equal(task._ordered(other), task._ordered({**batch, "record": torch.arange(8)})[rows])
    assert torch.equal(task._ordered(batch)[:2], torch.stack([HEAD, HEAD[[1, 0, 3, 2]]]))


def test_label_weights_scale_an_image_s_pull_and_missing_landmarks_have_none() -> None:
    network = Shown(torch.zeros(1, 4, CANVAS[0] // STRIDE, CANVAS[1] // STRIDE))
    task, batch = task_for(network), batch_of(HEAD)
    whole = task.losses(batch)["heatmap"]
    half = task.losses({**batch, "label_weight": torch.tensor([0.5, 0.5])})["heatmap"]
    unknown = task.losses({**batch, "label_weight": torch.tensor([torch.nan, torch.nan])})["heatmap"]
    none = task.losses(batch_of(torch.full((4, 2), torch.nan)))["heatmap"]
    assert [x.item() for x in (half / whole, unknown / whole, none)] == pytest.approx([0.5, 1, 0])


def test_a_learned_temperature_is_taught_and_used_in_decoding() -> None:
    blurred = Shown(peaks(HEAD) / 4)
    task = task_for(blurred, shares={"heatmap": 1.0, "decoded": 1.0}, learn_temperature=True, decoder=SoftArgmax(SIGMA))
    before = task.located(task(torch.rand(1, 1, *CANVAS), torch.ones(1, 1, *CANVAS, dtype=torch.bool)))
    task.total(task.losses(batch_of(HEAD))).backward()
    assert task.log_temperature.grad != 0
    with torch.no_grad():
        task.log_temperature += 1
    after = task.located(task(torch.rand(1, 1, *CANVAS), torch.ones(1, 1, *CANVAS, dtype=torch.bool)))
    assert not torch.equal(before, after)


def test_geometry_is_part_of_the_objective_by_its_share() -> None:
    skewed = HEAD.clone()
    skewed[3, 0] += 20
    angle = partial(angle_term, tolerance_deg=3)
    task = task_for(Shown(peaks(skewed)), geometry={"angle": angle}, shares={"heatmap": 1.0, "angle": 2.0})
    losses = task.losses(batch_of(skewed))
    assert losses["angle"] > 0.05
    assert task.total(losses) == losses["heatmap"] + 2 * losses["angle"]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"shares": {"heat": 1.0}}, r"shares \['heat'\]: the terms are \['heatmap'\]"),
        ({"order": "any"}, r"order='any' is not one of canonical"),
        ({"intensity": "z"}, r"intensity='z' is not one of unit"),
        ({"learn_temperature": True}, r"nothing else depends on it"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        task_for(Shown(peaks(HEAD)), **settings)


def test_a_network_of_another_output_is_refused_before_training() -> None:
    with pytest.raises(ValueError, match=r"heatmaps \(B,4,h,w\) or points \(B,4,2\) are needed"):
        task_for(Shown(peaks(HEAD)[:, :3]), decoder=Argmax()).rehearse(CANVAS)
