"""A fifth system, its metric, loss and data set, all outside of the package, trained, reported and evaluated."""

import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from ushydra_lab.files import read_json

SYSTEM = '''
"""A network that tells how bright the middle of an image is."""

from pathlib import Path

import numpy as np
import pandas as pd
import torch
from PIL import Image

from ushydra_lab.data.source import Source
from ushydra_lab.tasks.base import Task
from ushydra_lab.tasks.columns import Column, Metric, declare

declare(Column("brightness_error", "absolute error of the brightness", metric=Metric("Brightness error", "lower", 4)))


class Mean(torch.nn.Module):
    def __init__(self, scale: float) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(scale))

    def forward(self, image):
        return self.weight * image.mean((1, 2, 3))


def huber(answer, truth, delta: float):
    return torch.nn.functional.huber_loss(answer, truth, delta=delta)


class Brightness(Task):
    def __init__(self, network, optimizer, loss, scheduler=None) -> None:
        super().__init__(network, optimizer, scheduler)
        self.loss = loss

    def forward(self, image):
        return self.network(image)

    def truth_of(self, batch):
        return batch["image"][:, :, 8:24, 8:24].mean((1, 2, 3))

    def losses(self, batch):
        return {"huber": self.loss(self(batch["image"]), self.truth_of(batch))}

    def answer(self, image, content):
        return {"brightness": self(image)}

    def measure(self, answer, batch):
        return {"brightness_error": (answer["brightness"] - self.truth_of(batch)).abs()}

    def difficulty(self, images):
        return images["brightness_error"]

    def pictures(self, batch):
        return {}


def read(root: str, sites: list[str]) -> Source:
    """Squares of noise, made below root."""
    rng, rows = np.random.default_rng(0), []
    for place, site in enumerate(sites):
        for number in range(8):
            file = Path(root) / f"{site}{number}.png"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 80 + 40 * place, (32, 32), np.uint8)).save(file)
            rows.append({"image": file.name, "site": site, "subject": f"{site}{number}"})
    return Source(pd.DataFrame(rows), "squares", Path(root))
'''
EXPERIMENT = """
# @package _global_
defaults:
  - /network: mean
  - /optimizer@stages.train.task.optimizer: adam
  - /scale: paper
  - _self_
  - override /data: squares

name: brightness
variant: small
canvas: [32, 32]
held_out: clara
batch_size: 4
panel_images: 1
augment: {_target_: ushydra_lab.data.augment.FlipShift, flip: 0.5, shift: 2}
stages:
  train:
    max_epochs: 2
    task:
      _target_: my_lab.Brightness
      loss: {_target_: my_lab.huber, _partial_: true, delta: 0.1}
      optimizer: {lr: 1e-2}
"""


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """A folder with my_lab.py and its configuration, where the user works."""
    conf = tmp_path / "my_conf"
    for group in ("experiment", "data", "network"):
        (conf / group).mkdir(parents=True)
    (tmp_path / "my_lab.py").write_text(SYSTEM)
    (conf / "experiment" / "brightness.yaml").write_text(EXPERIMENT)
    (conf / "data" / "squares.yaml").write_text(
        "_target_: my_lab.read\nroot: ${cache_dir}/squares\nsites: [anna, berta, clara]\n"
    )
    (conf / "network" / "mean.yaml").write_text("_target_: my_lab.Mean\nscale: 0.5\n")
    return tmp_path


def run(folder: Path, *words: str) -> str:
    line = [sys.executable, "-m", "ushydra_lab", *words]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
def test_a_system_of_one_s_own_needs_no_change_of_the_lab(lab: Path) -> None:
    typed = ["--config-dir=my_conf", "+experiment=brightness", "scale=laptop", "trust=[my_lab]", "logger.mode=disabled"]
    said = run(lab, *typed, "seed=1,2", "variant=small")
    said = run(lab, *typed, "seed=1,2", "variant=large", "stages.train.task.loss.delta=10", "network.scale=0.9")
    assert "Brightness error" in said
    own = lab / "multirun" / "brightness" / "clara" / "seed1" / "small"
    assert [column["name"] for column in read_json(own / "run.json")["columns"]] == ["brightness_error"]

    run(lab, "report", "multirun")  # which knows nothing of my_lab
    tables = (lab / "multirun" / "brightness" / "report" / "tables.md").read_text()
    assert "Brightness error ↓" in tables
    assert "train large against train small" in tables

    said = run(
        lab, "evaluate", str(own), "hydra.searchpath=[file://my_conf]", "data=squares", "trust=[my_lab]",
        "data.sites=[clara,doris]", "data.root=others",
    )  # fmt: skip
    assert "Brightness error" in said
    (folder,) = own.glob("external/squares-*")
    evaluated = pd.read_csv(folder / "per_image.csv")
    assert set(evaluated["site"]) == {"clara", "doris"}
    assert evaluated["brightness_error"].between(0, 1).all()
