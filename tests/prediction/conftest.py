"""Ensembles of tasks that know their answers, and one that a run has learnt."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from numpy.typing import NDArray
from PIL import Image

from ushydra_lab import experiment
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.validation import check
from ushydra_lab.geometry.letterbox import Letterbox
from ushydra_lab.prediction.frames import Frame, Shown, show
from ushydra_lab.prediction.members import Ensemble, Member
from ushydra_lab.prediction.systems.registry import system_of

END_POINTS = [f"{end}_{axis}" for end in ("ofd_1", "ofd_2", "bpd_1", "bpd_2") for axis in "xy"]
ENDS = np.array([7.0, 20, 46, 20, 26, 6, 26, 33])
SIZE = (37, 53)  # whose letterbox has another scale along either axis


def ensemble_of(*tasks: Any, canvas: tuple[int, int], **known: Any) -> Ensemble:
    """Of tasks that no run has trained."""
    run: Any = SimpleNamespace(path=Path("run"))
    members = tuple(Member(run, task.eval(), canvas, 4) for task in tasks)
    return Ensemble(members, system_of(tasks[0]), torch.device("cpu"), **known)


def shown_of(grey: NDArray[np.uint8], canvas: tuple[int, int], **known: Any) -> Shown:
    """A still on a canvas."""
    rows, columns = grey.shape
    place = Letterbox.cut((rows, columns), (0, 0, columns, rows), (rows, columns))
    return show(Frame("a.png", grey, place, "0" * 16, **known), canvas)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """images.csv and its images: 8 of each of three sites, with their landmarks and spacing."""
    top = tmp_path_factory.mktemp("heads")
    rng, rows = np.random.default_rng(0), []
    for site in "abc":
        (top / site).mkdir()
        for index in range(8):
            name = f"{site}/{index}.png"
            Image.fromarray(rng.integers(0, 256, SIZE, dtype=np.uint8)).save(top / name)
            ends = dict(zip(END_POINTS, ENDS + rng.normal(0, 0.3, len(ENDS)), strict=True))
            rows.append({"image": name, "site": site, "subject": name, "pixel_mm": 0.1 + 0.01 * index, **ends})
    pd.DataFrame(rows).to_csv(top / "images.csv", index=False)
    return top


@pytest.fixture(scope="session")
def run(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of landmarks, trained for an epoch on images.csv."""
    made = tmp_path_factory.mktemp("made")
    register_resolvers()
    small = ["scale=laptop", "logger.mode=disabled", "panel_images=1", f"run_root='{made}/runs'", "held_out=c"]
    small += ["canvas=[32,48]", "network.widths=[2,4,4]", "stages.train.max_epochs=1", "data=manifest", "batch_size=3"]
    small += [f"data.path='{folder}/images.csv'", f"cache_dir='{made}/cache'"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=["+experiment=biometry_stage3", "arm=biometry/stage2", *small])
    experiment.run(check(cfg), run_path(cfg))
    return run_path(cfg)


@pytest.fixture
def video(tmp_path: Path) -> Callable[..., Path]:
    """video(frames, name): noise of 25 frames a second, whose frame k is brighter than frame k - 1 by 8."""
    av = pytest.importorskip("av")

    def write(frames: int, name: str = "scan.avi") -> Path:
        path = tmp_path / "videos" / name
        path.parent.mkdir(exist_ok=True)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("ffv1", rate=25)
            stream.height, stream.width, stream.pix_fmt = *SIZE, "gray"
            container.start_encoding()
            for index in range(frames):
                grey = np.full(SIZE, 8 * index % 256, np.uint8)
                grey[5:9, index % 40 : index % 40 + 5] = 255
                container.mux(stream.encode(av.VideoFrame.from_ndarray(grey, format="gray")))
            container.mux(stream.encode())
        return path

    return write
