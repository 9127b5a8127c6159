"""Wrong boxes are measured in a run's own reconstructions, and a detector's only if it has not seen the test images."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir

from ushydra_lab import experiment, phantom
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.validation import check
from ushydra_lab.errors import UserError
from ushydra_lab.evaluation.boxes import ANNOTATED, DETECTED, IOU_BINS, JITTER, box_errors, moved, summary
from ushydra_lab.geometry.boxes import iou

from ..cli import call

TINY = ["scale=laptop", "batch_size=4", "logger.mode=disabled", "panel_images=1", "split=leave_one_site_out"]
KINDS = {
    "nt_phase2": [
        "canvas=[168,176]", "network.widths=[2,4,4,8]", "stages.phase1.max_epochs=1", "stages.phase2.max_epochs=1"
    ],
    "nt_detector": ["canvas=[96,96]", "network.widths=[2,4,8]", "stages.detect.max_epochs=1"],
}  # fmt: skip


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("phantom") / "three"
    return phantom.write(root, "nt", 0, dict.fromkeys(phantom.SCENES["nt"].machines, 4))


def run(kind: str, root: Path, manifest: Path, *overrides: str) -> Path:
    """The experiment's directory."""
    register_resolvers()
    where = ["data=manifest", f"data.path='{manifest}'", f"run_root='{root}'", *TINY, *KINDS[kind], *overrides]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[f"+experiment={kind}", *where])
    experiment.run(check(cfg), run_path(cfg))
    return root / kind


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, hospitals: Path) -> Path:
    return run("nt_phase2", tmp_path_factory.mktemp("runs"), hospitals, "held_out=hospital_c")


def test_annotated_boxes_give_the_run_s_own_drift_and_others_their_overlap(
    trained: Path, hospitals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    detector = run("nt_detector", tmp_path, hospitals, "held_out=hospital_c")
    call("boxes", str(trained), str(detector))
    shown = capsys.readouterr().out
    assert "NT drift by the box's iou" in shown
    means = pd.read_csv(trained / "boxes" / "by_source.csv")
    for value in means.loc[0, ["measured", "change", "drift"]]:
        assert ("n/a" if np.isnan(value) else f"{value:.3f}") in shown
    assert "nan" not in shown
    images = pd.read_csv(trained / "boxes" / "images.csv").set_index("record")
    assert images["source"].unique().tolist() == [ANNOTATED, *(f"moved {sd:g}" for sd in JITTER), DETECTED]
    own = pd.read_csv(next(trained.glob("*/*/*/per_image.csv"))).query("stage == 'phase2' and part == 'test'")
    annotated = images[images["source"] == ANNOTATED].loc[own["record"]]
    assert annotated["box_iou"].tolist() == pytest.approx([1] * 4)
    np.testing.assert_allclose(annotated["drift"], own["nt_abs_drift_mm"], atol=1e-6)
    np.testing.assert_array_equal(annotated["lost"], own["nt_lost"])
    found = pd.read_csv(next(detector.glob("*/*/*/per_image.csv"))).query("part == 'test'")
    detected = images[images["source"] == DETECTED].loc[found["record"], "box_iou"]
    np.testing.assert_allclose(detected, found["box_iou"], atol=0.02)  # on another canvas


def test_a_detector_of_another_held_out_site_or_seed_is_refused(trained: Path, hospitals: Path, tmp_path: Path) -> None:
    run("nt_detector", tmp_path, hospitals, "held_out=hospital_a")
    detector = run("nt_detector", tmp_path, hospitals, "held_out=hospital_c", "seed=7")
    with pytest.raises(UserError, match=r"held-out site \(hospital_c\) and seed \(1000\)"):
        box_errors(trained, detector)


def test_boxes_moved_further_overlap_less_and_stay_on_the_content() -> None:
    box, content = torch.tensor([[60.0, 140.0, 200.0, 160.0]]).repeat(500, 1), torch.tensor([[0.0, 10, 256, 166]])
    overlaps = []
    for sd in JITTER:
        off = moved(box, sd, content.repeat(500, 1), torch.Generator().manual_seed(0))
        assert ((off[:, 2:] - off[:, :2]) > 1).all()
        assert ((off >= content[:, [0, 1, 0, 1]]) & (off <= content[:, [2, 3, 2, 3]])).all()
        overlaps.append(float(iou(off, box).mean()))
    assert overlaps == sorted(overlaps, reverse=True)


def test_means_are_of_the_images_that_were_measured() -> None:
    images = pd.DataFrame(
        {
            "held_out": "c",
            "variant": "roi",
            "unit": "mm",
            "record": range(4),
            "source": ["annotated"] * 2 + ["moved"] * 2,
        }
        | {"box_iou": [1.0, 1.0, 0.2, 0.8], "lost": [0, 1, np.nan, 0], "change": [0, 0, np.nan, 0.3]}
        | {"drift": [0.1, np.nan, np.nan, 0.5]}
    )
    rows = summary(images, "source").set_index("source")
    assert rows.loc["annotated", ["n", "measured", "lost", "drift"]].tolist() == [2, 1, 0.5, 0.1]
    assert rows.loc["moved", ["n", "measured", "lost", "change", "drift"]].tolist() == [2, 0.5, 0, 0.3, 0.5]
    assert summary(images, "iou")["n"].tolist() == [1, 1, 2]
    assert summary(images, "iou")["iou"].iloc[-1] == f"{IOU_BINS[-2]:g} to 1"
