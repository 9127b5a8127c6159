"""The per-image table: metrics of every stage on every validation and test image."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from lightning import Callback, Trainer
from lightning.pytorch.utilities.exceptions import SIGTERMException

from ushydra_lab.config.schema import Experiment
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.tasks.base import Task
from ushydra_lab.training.assembly import build_trainer
from ushydra_lab.training.stages import ctrl_c


class StopWhenTold(Callback):
    """Ends an evaluation at SIGTERM, as a cluster sends it, where Lightning notes that and goes on."""

    def on_predict_batch_end(self, trainer: Trainer, *_: Any) -> None:
        if trainer.received_sigterm:
            raise SIGTERMException


def evaluate_stages(experiment: Experiment, tasks: dict[str, Task], data: UltrasoundData) -> pd.DataFrame:
    """Evaluate every stage: stage, part, record, site and every metric, one row per image of the existing parts."""
    tables = []
    trainer = build_trainer(experiment.trainer, [StopWhenTold()])
    for name, task in tasks.items():
        for part in (part for part in data.parts if part != "train"):
            with ctrl_c():
                batches = trainer.predict(task, data.part_loader(part))
            assert batches
            columns = {key: torch.cat([batch[key] for batch in batches]).cpu().numpy() for key in batches[0]}
            table = pd.DataFrame(columns).assign(site=lambda t: [data.manifest.sites[i] for i in t["site"]])
            tables.append(table.assign(stage=name, part=part))
    joined = pd.concat(tables, ignore_index=True)
    return joined[["stage", "part", *(c for c in joined if c not in ("stage", "part"))]]


def part_means(table: pd.DataFrame) -> dict[str, dict[str, dict[str, float]]]:
    """Means of the per-image table: stage -> part -> metric -> mean over the images that have it."""
    result: dict[str, dict[str, dict[str, float]]] = {}
    for keys, rows in table.groupby(["stage", "part"], sort=False):
        stage, part = map(str, keys)
        means = rows.drop(columns=["stage", "part", "record", "site"]).mean().dropna()
        result.setdefault(stage, {})[part] = {str(metric): round(float(mean), 9) for metric, mean in means.items()}
    return result
