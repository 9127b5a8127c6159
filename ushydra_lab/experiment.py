"""The spine: stages in order, then every stage on the validation and the test images, into one run directory."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd
import torch

from ushydra_lab.assembly import build_trainer, open_logger, rehearse
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.pictures import draw_extremes, draw_landmarks, draw_panels, draw_sites
from ushydra_lab.runs.directory import RunDirectory, job_identity
from ushydra_lab.runs.files import write_csv
from ushydra_lab.training import ctrl_c, train_stages, trained_tasks

log = logging.getLogger(__name__)


def run(config: dict[str, Any], path: Path) -> None:
    """Do one job, or what is missing of it.

    Raises:
        Busy: another process is running this job.
        UserError: bad input, a directory that holds other results, a full disk; nothing else is left half-written.
    """
    directory = RunDirectory(path, config)
    with directory.hold():
        directory.refuse_other_config()
        if directory.done:
            with directory.note_refusal():
                directory.refuse_other_data(prepare(config)[1])
            log.info("already finished: %s", path)
            return
        with directory.record() as summary:
            _run(config, path, directory, summary)


def prepare(config: dict[str, Any]) -> tuple[UltrasoundData, str]:
    """A job's images in memory, and its identity.

    Raises:
        UserError: bad input.
    """
    L.seed_everything(config["seed"], workers=True, verbose=False)
    data = rehearse(config)
    data.setup("fit")
    return data, job_identity(config, data.fingerprint(data.parts))


def _run(config: dict[str, Any], path: Path, directory: RunDirectory, summary: dict[str, Any]) -> None:
    data, summary["identity"] = prepare(config)
    summary["data"] = data.manifest.fingerprint()
    with open_logger(config, path, summary["identity"]) as logger:
        write_csv(path / "split.csv", data.split_table())
        summary["stages"] = train_stages(config, directory, summary, data, logger)
        table = evaluate_stages(config, path, data)
        write_csv(path / "per_image.csv", table)
        summary["metrics"] = part_means(table)
        draw_extremes(config, path, data, table)
        draw_sites(config, path, data)
        draw_landmarks(config, path, data)
        logger.finish(table, draw_panels(config, path, data, path))


def evaluate_stages(config: dict[str, Any], run: Path, data: UltrasoundData) -> pd.DataFrame:
    """stage, part, record, site and every metric, one row an image, for the parts there are."""
    tables = []
    trainer = build_trainer(config, [])
    for name, task in trained_tasks(config, run):
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
    """stage -> part -> metric -> mean over the images that have it."""
    result: dict[str, dict[str, dict[str, float]]] = {}
    for keys, rows in table.groupby(["stage", "part"], sort=False):
        stage, part = map(str, keys)
        means = rows.drop(columns=["stage", "part", "record", "site"]).mean().dropna()
        result.setdefault(stage, {})[part] = {str(metric): round(float(mean), 9) for metric, mean in means.items()}
    return result
