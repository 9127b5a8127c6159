"""What is said of a frame follows from the task's answer, in px of the file's frame."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ushydra_lab.errors import UserError
from ushydra_lab.geometry.letterbox import Letterbox
from ushydra_lab.prediction.answer import IMPLAUSIBLE, WIDE, Prediction, columns, predict_frames
from ushydra_lab.prediction.batches import FrameBatch
from ushydra_lab.prediction.frames import Frame, Shown, show
from ushydra_lab.prediction.inputs import Item
from ushydra_lab.prediction.members import Ensemble
from ushydra_lab.prediction.systems.registry import system_of
from ushydra_lab.results.intervals import Interval, Validity
from ushydra_lab.tasks.classification import Classification
from ushydra_lab.tasks.landmarks import Landmarks
from ushydra_lab.tasks.reconstruction import Reconstruction
from ushydra_lab.triage.rules import Triage

from ..tasks import test_routed as of_routed
from ..tasks import test_segmentation as of_segmentation
from .conftest import ensemble_of, shown_of

CANVAS = (32, 40)
INTERVAL = Interval("ofd", "mm", 0.1, 1.0, Validity.TRAINING_SITES, 50, 2, "conformal by subject")
GREY = np.random.default_rng(0).integers(0, 256, (61, 90), np.uint8)


class Always(nn.Module):
    """The same answer to every image."""

    stride = None

    def __init__(self, answer: torch.Tensor) -> None:
        super().__init__()
        self.answer = nn.Parameter(answer)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return (1 * self.answer).expand(len(image), *self.answer.shape[1:])


def landmarks(points: list[list[float]]) -> Landmarks:
    return Landmarks(Always(torch.tensor([points])), None, {}, {}, 2.0, None)  # type: ignore[arg-type]


def answered(ensemble: Ensemble, *shown: Shown) -> list[Prediction]:
    return predict_frames(
        ensemble, FrameBatch("0", [(Item(Path("a.png"), "a.png", "a", "still"), one) for one in shown])
    )


HEAD = [[30.0, 12], [6, 14], [17, 20], [19, 5]]


def test_points_are_in_the_frame_s_px_and_lengths_between_them() -> None:
    shown = shown_of(GREY, CANVAS, pixel_mm=0.5, native_mm=(0.5, 0.5))
    (found,) = answered(ensemble_of(landmarks(HEAD), canvas=CANVAS), shown)
    ends = np.array([[found[f"{name}_{axis}"] for axis in "xy"] for name in ("ofd_1", "ofd_2", "bpd_1", "bpd_2")])
    np.testing.assert_allclose(ends, shown.fit.invert_points(np.array(HEAD)[[1, 0, 3, 2]]), rtol=1e-6)
    assert found["ofd_px"] == pytest.approx(np.hypot(*(ends[1] - ends[0])), rel=1e-5)
    assert found["bpd_mm"] == pytest.approx(0.5 * np.hypot(*(ends[3] - ends[2])), rel=1e-5)
    assert (found["height"], found["width"]) == GREY.shape
    assert found["entropy"] is None


def test_members_that_name_the_ends_otherwise_agree_and_others_spread() -> None:
    exchanged, longer = [HEAD[1], HEAD[0], *HEAD[2:]], [[36.0, 11.5], *HEAD[1:]]
    alone, same, apart = (
        answered(ensemble_of(*map(landmarks, heads), canvas=CANVAS), shown_of(GREY, CANVAS))[0]
        for heads in ([HEAD], [HEAD, exchanged], [HEAD, longer])
    )
    assert same["ofd_px"] == pytest.approx(alone["ofd_px"])
    assert same["ofd_sd_px"] == pytest.approx(0, abs=1e-5)
    lengths = [np.hypot(*(np.array(ends[0]) - ends[1])) * 90 / 40 for ends in (HEAD, longer)]
    assert apart["ofd_sd_px"] == pytest.approx(np.std(lengths, ddof=1), rel=0.02)


def test_an_interval_is_the_length_and_its_half_width_where_there_are_mm() -> None:
    ensemble = ensemble_of(landmarks(HEAD), canvas=CANVAS, intervals={"ofd": replace(INTERVAL, half_width=3.0)})
    known, unknown = answered(ensemble, shown_of(GREY, CANVAS, pixel_mm=0.5), shown_of(GREY, CANVAS))
    assert known["ofd_mm_high"] - known["ofd_mm"] == pytest.approx(3)
    assert known["ofd_mm"] - known["ofd_mm_low"] == pytest.approx(3)
    assert unknown["ofd_mm_low"] is None
    assert {"ofd_mm_low", "ofd_mm_high"} <= set(columns(ensemble))
    assert "bpd_mm_low" not in columns(ensemble)


def test_no_interval_holds_lengths_below_0() -> None:
    ensemble = ensemble_of(landmarks(HEAD), canvas=CANVAS, intervals={"ofd": replace(INTERVAL, half_width=999.0)})
    (known,) = answered(ensemble, shown_of(GREY, CANVAS, pixel_mm=0.5))
    assert known["ofd_mm_low"] == 0


def doubts(points: list[list[float]], half_width: float, *shown: Shown) -> list[set[str]]:
    """The reasons for review that lie in what is measured, by a triage without a rule."""
    known = {"ofd": replace(INTERVAL, half_width=half_width)}
    ensemble = ensemble_of(landmarks(points), canvas=CANVAS, intervals=known)
    (member,) = ensemble.members
    ruled = replace(ensemble, members=(replace(member, triage=Triage((), None)),))
    return [{*one["reasons"].split("+")} & {IMPLAUSIBLE, WIDE} for one in answered(ruled, *shown)]


def test_a_head_broader_than_long_is_reviewed() -> None:
    spaced, plain = shown_of(GREY, CANVAS, pixel_mm=0.5, native_mm=(0.5, 0.5)), shown_of(GREY, CANVAS)
    broad = [HEAD[2], HEAD[3], HEAD[0], HEAD[1]]
    assert doubts(HEAD, 0.1, spaced, plain) == [set(), set()]
    assert doubts(broad, 0.1, spaced, plain) == [{IMPLAUSIBLE}, {IMPLAUSIBLE}]


def test_an_interval_that_reaches_down_to_nothing_is_reviewed() -> None:
    spaced, plain = shown_of(GREY, CANVAS, pixel_mm=0.5), shown_of(GREY, CANVAS)
    assert doubts(HEAD, 999.0, spaced, plain) == [{WIDE}, set()]


def test_areas_and_masks_are_those_of_the_label_map_that_is_evaluated() -> None:
    labels = torch.zeros(1, *CANVAS, dtype=torch.uint8)
    labels[:, 8:24, 8:30], labels[:, 12:16, 12:18] = 1, 2
    labels[:, :2] = 1  # on the padding, where nothing is
    task = of_segmentation.task_for(labels, head="parenchyma")
    shown = shown_of(GREY, CANVAS, pixel_mm=0.25)
    top = int(shown.fit.content[1])
    (found,) = answered(ensemble_of(task, canvas=CANVAS), shown)
    assert found.mask.shape == GREY.shape
    np.testing.assert_array_equal(found.mask, shown.fit.invert_labels(labels[0].numpy()))
    kept = labels[0, top:].eq(1).sum().item() - (2 - top) * 0
    assert found["area_px_csp"] == pytest.approx(24 * np.prod(shown.fit.native_px), rel=1e-6)
    assert found["area_mm2_csp"] == pytest.approx(found["area_px_csp"] * 0.25**2, rel=1e-6)
    assert found["area_px_parenchyma"] <= kept * np.prod(shown.fit.native_px) + 1e-6
    rows, cols = np.nonzero(found.mask == 2)
    assert found["centroid_x_csp"] == pytest.approx(cols.mean() + 0.5, abs=1)
    assert found["centroid_y_csp"] == pytest.approx(rows.mean() + 0.5, abs=1)
    assert found["hc_mm"] == pytest.approx(0.25 * found["hc_px"], rel=1e-6)


def test_an_area_is_in_px_of_the_files_frame_where_these_are_no_squares() -> None:
    place = Letterbox.cut((30, 90), (0, 0, 90, 30), (60, 90))
    frame = Frame("a.dcm", GREY[:60], place, "0", pixel_mm=0.25, native_mm=(0.25, 0.5))
    labels = torch.zeros(1, *CANVAS, dtype=torch.uint8)
    labels[:, 8:24, 8:30] = 1
    (found,) = answered(ensemble_of(of_segmentation.task_for(labels), canvas=CANVAS), show(frame, CANVAS))
    assert found["area_px_parenchyma"] == pytest.approx((found.mask == 1).sum(), rel=0.05)
    assert found["area_mm2_parenchyma"] == pytest.approx(found["area_px_parenchyma"] * 0.25 * 0.5, rel=1e-6)


def test_a_structure_that_is_absent_has_no_centroid_and_members_that_differ_a_dice_below_1() -> None:
    one, other = torch.zeros(1, *CANVAS, dtype=torch.uint8), torch.zeros(1, *CANVAS, dtype=torch.uint8)
    one[:, 8:16, 8:16], other[:, 8:16, 12:20] = 1, 1
    tasks = [of_segmentation.task_for(labels) for labels in (one, other)]
    (found,) = answered(ensemble_of(*tasks, canvas=CANVAS), shown_of(GREY, CANVAS))
    assert found["dice_between_members_parenchyma"] == pytest.approx(0.5)
    assert found["dice_between_members_csp"] == 1
    assert (found["found_csp"], found["area_px_csp"], found["centroid_x_csp"]) == (0, 0, None)
    assert found["area_mm2_parenchyma"] is None


def test_planes_have_names_and_members_agree_or_not() -> None:
    def task(*logits: float) -> Classification:
        return Classification(Always(torch.tensor([logits])), None, ["brain", "femur"])  # type: ignore[arg-type]

    (found,) = answered(ensemble_of(task(0.0, 2.0), task(1.0, 0.5), canvas=CANVAS), shown_of(GREY, CANVAS))
    chance = (torch.tensor([0.0, 2.0]).softmax(0) + torch.tensor([1.0, 0.5]).softmax(0)) / 2
    assert (found["plane"], found["agreement"]) == ("femur", 0.5)
    assert [found["p_brain"], found["p_femur"]] == pytest.approx(chance.tolist(), rel=1e-5)
    three = ensemble_of(task(0.0, 2.0), task(1.0, 0.5), task(0.0, 1.0), canvas=CANVAS)
    assert answered(three, shown_of(GREY, CANVAS))[0]["agreement"] == pytest.approx(2 / 3)


def test_a_reconstruction_is_measured_in_a_box_where_there_is_one() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (176, 200), np.uint8)
    task = Reconstruction(nn.Identity(), None, {})  # type: ignore[arg-type]
    boxed = shown_of(grey, grey.shape, boxes={"nt_box": (40.0, 60.0, 120.0, 90.0)})
    plain = shown_of(grey, grey.shape)
    known, unknown = answered(ensemble_of(task, canvas=grey.shape), boxed, plain)
    assert (known["roi_mae"], unknown["roi_mae"]) == (0, None)
    assert known["ms_ssim"] == pytest.approx(1)
    assert unknown["ms_ssim"] == pytest.approx(1)
    assert known["psnr"] is None, "of no error it is infinite"
    (only,) = answered(ensemble_of(task, canvas=grey.shape), plain)
    assert only["roi_mae"] is None


def test_members_spread_by_the_sd_of_their_greys() -> None:
    class Dimmed(nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image / 2

    grey = np.full((176, 200), 102, np.uint8)  # 0.4, and 0.2 of the other: SD 0.1 sqrt(2)
    tasks = [Reconstruction(network, None, {}) for network in (nn.Identity(), Dimmed())]  # type: ignore[arg-type]
    found = answered(
        ensemble_of(*tasks, canvas=grey.shape), shown_of(grey, grey.shape), shown_of(grey // 2, grey.shape)
    )
    assert [one["sd_between_members"] for one in found] == pytest.approx([0.1 * 2**0.5, 0.05 * 2**0.5], rel=1e-5)


def test_an_nt_is_told_in_px_of_the_file_and_drawn_with_its_box() -> None:
    rows = np.full((352, 400), 60, np.uint8)
    rows[150:156], rows[156:176], rows[176:182] = 230, 5, 230  # two bright lines, 20 px apart
    task = Reconstruction(nn.Identity(), None, {})  # type: ignore[arg-type]
    box = {"nt_box": (80.0, 130.0, 320.0, 200.0)}
    for canvas in ((352, 400), (176, 200)):
        (found,) = answered(ensemble_of(task, canvas=canvas), shown_of(rows, canvas, boxes=box, pixel_mm=0.1))
        assert found["nt_px"] == pytest.approx(20, abs=3)
        assert found["nt_mm"] == pytest.approx(0.1 * found["nt_px"])
        drawn = np.asarray(found.overlay)
        assert all((drawn[130, left + 82 : left + 318] == (255, 176, 0)).all() for left in (0, 400))


def test_what_a_reconstruction_needs_a_box_for_is_said_where_there_is_none() -> None:
    system = system_of(Reconstruction(nn.Identity(), None, {}))  # type: ignore[arg-type]
    assert "nt_x1, nt_y1, nt_x2, nt_y2" in system.lacking({"midbrain_box"})
    assert system.lacking({"nt_box", "midbrain_box"}) == ""
    assert system_of(landmarks(HEAD)).lacking(()) == ""


@of_routed.targets
def test_a_routed_image_names_its_decoder(target: str) -> None:
    ensemble = ensemble_of(of_routed.fitted(target), canvas=of_routed.SIZE)
    dark, bright = (shown_of(np.full(of_routed.SIZE, grey, np.uint8), of_routed.SIZE) for grey in (50, 190))
    found = answered(ensemble, dark, bright)
    assert [one["route"] for one in found] == ["low", "high"]
    assert all(one["route_margin"] > 0 for one in found)
    assert {"route", "route_margin"} <= set(columns(ensemble))


@of_routed.targets
def test_what_chooses_a_decoder_by_a_label_is_refused_with_the_remedy(target: str) -> None:
    for task in (of_routed.fitted(target, router="oracle"), of_routed.task_for(target, "specialise")):
        with pytest.raises(UserError, match=r"unlabelled images do not tell.*router=weighted"):
            system_of(task)
    assert system_of(of_routed.fitted(target, decoders=1)).routes == []


def test_every_picture_can_be_drawn() -> None:
    labels = torch.ones(1, *CANVAS, dtype=torch.uint8)
    tasks = [landmarks(HEAD), of_segmentation.task_for(labels), of_routed.fitted("planes")]
    for task in tasks:
        canvas = of_routed.SIZE if task is tasks[2] else CANVAS
        (found,) = answered(ensemble_of(task, canvas=canvas), shown_of(GREY, canvas))
        drawn = np.asarray(found.overlay)
        assert drawn.shape == (*GREY.shape, 3)
        assert (drawn.max(2) != drawn.min(2)).any() or task is tasks[2], "in colour"
        assert all(a <= b for a, b in pairwise([0, drawn.max()]))
