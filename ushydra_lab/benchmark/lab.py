"""The experiments that the benchmark measures: as composed for a scale, on a few phantom images."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir

from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers
from ushydra_lab.config.schema import Experiment
from ushydra_lab.config.validation import check
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.tasks.base import Batch, Task
from ushydra_lab.training.assembly import build_data
from ushydra_lab.training.stage_tasks import build_task


@dataclass(frozen=True)
class Scale:
    """conf: the experiments' own scale; images: a site, of the NT phantom; overrides: of the NT experiment.

    others, others_overrides: of the other systems.
    """

    conf: str
    images: int
    overrides: tuple[str, ...] = ()
    others: int = 12
    others_overrides: tuple[str, ...] = ()


SIZES = {
    "tiny": Scale(
        "laptop",
        20,
        ("network.widths=[2,4,4,8]", "canvas=[168,176]"),
        6,
        ("network.widths=[2,4,8]", "canvas=[64,64]"),
    ),
    "laptop": Scale("laptop", 40),
    "paper": Scale("paper", 20),
}
"""With a fifth of them in validation, these images, and a half and a quarter of them, make whole batches of 8.

`tiny` only shows that all of it runs.
"""  # fmt: skip
ROI_EXPERIMENT = "nt_phase2"


@dataclass(frozen=True)
class Lab:
    """What every part of the benchmark measures with. folder: for what is thrown away; cache_dir: for the phantoms."""

    scale: str
    repeats: int
    device: torch.device
    folder: Path
    cache_dir: Path

    def experiment(self, name: str, *overrides: str) -> Experiment:
        """One of the experiments, at the size of this scale."""
        size = SIZES[self.scale]
        roi = name == ROI_EXPERIMENT
        chosen = [
            f"+experiment={name}",
            f"scale={size.conf}",
            f"data.images_per_site={size.images if roi else size.others}",
            "split.val_fraction=0.2",
            f"run_root='{self.folder}'",
            f"cache_dir='{self.cache_dir}'",
            "logger.mode=disabled",
            *(size.overrides if roi else size.others_overrides),
        ]
        return composed([*chosen, *overrides])

    def task(self, experiment: Experiment, stage: str) -> Task:
        """A stage's task on the device, in training mode."""
        return build_task(experiment, stage).to(self.device).train()

    def to_device(self, batch: Batch) -> Batch:
        return {name: values.to(self.device) for name, values in batch.items()}


def composed(words: list[str]) -> Experiment:
    """The experiment that these words of a command line mean."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(compose("config", overrides=words))


def data_of(experiment: Experiment) -> UltrasoundData:
    """The images of an experiment, in memory."""
    with quiet():
        data = build_data(experiment)
        data.setup()
    return data


def canvas_of(experiment: Experiment, batch: int | None = None) -> str:
    """'8x1x176x256'"""
    height, width = experiment.canvas
    return f"{batch or experiment.batch_size}x1x{height}x{width}"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what is printed off the table; also, no progress bar is drawn."""
    with contextlib.redirect_stdout(io.StringIO()):
        yield
