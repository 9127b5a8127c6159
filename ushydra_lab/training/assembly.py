"""Building data, trainer and logger of an `Experiment`; rehearsing a job, and refusing leaks of held-out images."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import lightning as L
import pandas as pd
import torch
from lightning.fabric.plugins.environments import LightningEnvironment
from lightning.pytorch.callbacks import Callback, RichProgressBar
from torch import nn

from ushydra_lab.config.identity import digest
from ushydra_lab.config.instantiate import instantiate
from ushydra_lab.config.schema import Experiment, Node
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.data.manifest import Manifest, check_manifest
from ushydra_lab.data.needs import refuse_other_words, required
from ushydra_lab.data.source import Source
from ushydra_lab.data.usable import usable
from ushydra_lab.data.vocabulary import SITE, SUBJECT
from ushydra_lab.errors import UserError
from ushydra_lab.runs.checkpoint_io import AtomicCheckpointIO
from ushydra_lab.training.ddp import RankDDP
from ushydra_lab.training.stage_tasks import build_task, task_class
from ushydra_lab.training.wandb_logger import RunLogger

_manifests: dict[str, Manifest] = {}
_rehearsed: set[str] = set()


def rehearse(experiment: Experiment) -> UltrasoundData:
    """Check all that can be checked before anything is written: the data, their split and every stage's task.

    Raises:
        UserError: the data cannot be used, a stage's own images (`instead`) are held out by the experiment, a component
            refuses its settings, the canvas is too small.
    """
    data = job_data(experiment)
    content = experiment.as_dict()
    key = digest([content[part] for part in ("data", "split", "network", "stages", "canvas", "trainer")])
    if key in _rehearsed:
        return data
    for stage, settings in experiment.stages.items():
        with torch.device("meta"):
            task = build_task(experiment, stage)
        own = build_data(experiment.with_own(settings)) if settings.instead.given else data
        for setting, (category, words) in task.categories().items():
            refuse_other_words(own.manifest, own.part, f"stages.{stage}.task.{setting}", category, words)
        try:
            task.rehearse(data.canvas)
        except ValueError as error:
            raise UserError(f"canvas={list(data.canvas)}: {error}") from error
        try:
            optimizer = task.optimizer([nn.Parameter(torch.zeros(1))])
            if task.scheduler:
                task.scheduler(optimizer)
        except (TypeError, ValueError) as error:
            raise UserError(f"stages.{stage}.task: optimizer or scheduler: {error}") from error
    build_trainer(experiment.trainer, [], max_epochs=1)
    _rehearsed.add(key)
    return data


def job_data(experiment: Experiment) -> UltrasoundData:
    """The data module of a job.

    Raises:
        UserError: the data cannot be used, or a stage's own images (`instead`) are held out by the experiment.
    """
    data = build_data(experiment)
    _refuse_leaks(experiment, data.manifest)
    return data


def _refuse_leaks(experiment: Experiment, manifest: Manifest) -> None:
    own = {name: stage for name, stage in experiment.stages.items() if stage.instead.given}
    if not own:
        return
    part = instantiate(experiment.split).assign(
        manifest.table, experiment.seed_of_split
    )  # of images the task leaves out, too
    problems = [
        f"stages.{name}.instead: {leak}"
        for name, stage in own.items()
        for leak in _leaks(manifest.table.assign(part=part), build_data(experiment.with_own(stage)))
    ]
    if problems:
        remedy = "Without its own `split` a stage takes the experiment's; or leave these images out of its data."
        raise UserError.listing(f"A stage would learn from images that the experiment holds out. {remedy}", problems)


def _leaks(ours: pd.DataFrame, other: UltrasoundData) -> Iterator[str]:
    """What a stage learns from that the experiment holds out; both may select on the same validation images.

    Images are told by content. Subjects too, by name, where the two have an image in common: they are one data set.
    """
    same = ours["sha256"].isin(other.manifest.table["sha256"]).any()
    tested = ((part, ["train", "val"], "trains or selects") for part in ("seen_test", "test"))
    for part, learning, does in (("val", ["train"], "trains"), *tested):
        theirs, held = other.manifest.table[other.part.isin(learning)], ours[ours["part"] == part]
        known = held["sha256"].isin(theirs["sha256"])
        if same:
            known |= _subjects(held).isin(_subjects(theirs))
        if known.any():
            sites = ", ".join(f"{site}: {count}" for site, count in held[known].groupby(SITE).size().items())
            yield f"{does} on {known.sum()} images of the {part} part, or on others of their subjects ({sites})"


def _subjects(table: pd.DataFrame) -> pd.MultiIndex:
    return pd.MultiIndex.from_frame(table[[SITE, SUBJECT]])


def read_manifest(reader: Node) -> Manifest:
    """The checked manifest of a reader; read once per process, however many jobs use it."""
    key = digest(reader)
    if key not in _manifests:
        source: Source = instantiate(reader)
        _manifests[key] = check_manifest(source)
    return _manifests[key]


def _manifest(experiment: Experiment) -> Manifest:
    manifest = read_manifest(experiment.data)
    return manifest.with_structures(experiment.structures) if experiment.structures else manifest


def _requires(experiment: Experiment) -> list[str]:
    return sorted({name for stage in experiment.stages.values() for name in task_class(stage).requires(stage.task)})


def usable_sites(experiment: Experiment) -> list[str]:
    """The sites of which at least one image has all that the stages require. Raises UserError: there is none."""
    manifest, (rows, columns) = _manifest(experiment), experiment.canvas
    kept = pd.Series(True, manifest.table.index)
    for annotation in required(manifest, _requires(experiment)):
        kept &= manifest.has(annotation) & usable(manifest.table, annotation, (rows, columns))
    if not kept.any():
        raise UserError(f"{manifest.name}: no image has all of {', '.join(_requires(experiment))}")
    return sorted(manifest.table.loc[kept, SITE].unique())


def build_data(experiment: Experiment) -> UltrasoundData:
    """Build the data module: check the manifest and draw the split."""
    rows, columns = experiment.canvas
    manifest = _manifest(experiment)
    stages = experiment.stages.values()
    required(manifest, sorted({name for stage in stages for name in task_class(stage).consults(stage.task)}))
    return UltrasoundData(
        manifest=manifest,
        split=instantiate(experiment.split),
        seed=experiment.seed,
        canvas=(rows, columns),
        batch_size=experiment.batch_size,
        requires=_requires(experiment),
        cache_dir=Path(experiment.cache_dir) / "canvases",
        cache_gb=experiment.cache_gb,
        augment=instantiate(experiment.augment) if experiment.augment else None,
        oversample=instantiate(experiment.oversample) if experiment.oversample else None,
        label_audit=instantiate(experiment.label_audit) if experiment.label_audit else None,
        split_seed=experiment.split_seed,
    )


def quieten_lightning() -> None:
    """Silence Lightning's messages at every start that need no action."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    for message in (
        ".*LeafSpec.*is deprecated",
        ".*does not have many workers",  # the data are in memory: workers would only copy them
        "Checkpoint directory .* exists and is not empty",  # a stage that is continued
        "The `srun` command is available",  # SLURM is the launcher's business
        "Found .* module.* in eval mode",  # frozen on purpose
    ):
        warnings.filterwarnings("ignore", message)


def build_trainer(trainer: Node, callbacks: list[Callback], max_epochs: int | None = None) -> L.Trainer:
    """The configured trainer; with a progress bar on a terminal only, since the history logs lines elsewhere.

    Without max_epochs, to apply a model, it works in this process and on one device: every image counts once.
    SLURM is never Lightning's business: it would queue a job again that the launcher queues.

    Raises:
        UserError: the trainer refuses its settings, or a strategy that would start the whole sweep once a device.
    """
    quieten_lightning()
    # nothing reads memory before it is written; filling it would cost about 200 calls a step
    torch.utils.deterministic.fill_uninitialized_memory = False
    bar = [RichProgressBar()] if sys.stdout.isatty() else []
    built: L.Trainer = instantiate(
        trainer | parallel(trainer, fits=max_epochs is not None),
        callbacks=[*callbacks, *bar],
        plugins=[AtomicCheckpointIO(), LightningEnvironment()],
        enable_progress_bar=bool(bar),
        enable_checkpointing=max_epochs is not None,
        logger=False,  # the history publishes the curves
        max_epochs=max_epochs,
    )
    return built


def parallel(trainer: Node, fits: bool) -> Node:
    """The Trainer's devices and strategy: as configured to fit, one device otherwise."""
    devices, strategy = trainer["devices"], trainer.get("strategy", "auto")
    several = str(devices) != "1" and not (isinstance(devices, list) and len(devices) == 1)
    if not several:
        return {}
    if strategy not in ("auto", "ddp", "ddp_find_unused_parameters_true"):
        raise UserError(f"trainer.strategy={strategy}: with several devices choose ddp")
    if not fits:
        return {"devices": devices[:1] if isinstance(devices, list) else 1, "strategy": "auto"}
    unused = strategy.endswith("true")
    return {"strategy": RankDDP(find_unused_parameters=unused), "use_distributed_sampler": False}


def open_logger(experiment: Experiment, path: Path, identity: str) -> AbstractContextManager[RunLogger]:
    """The configured logger, opened for this job."""
    opened: AbstractContextManager[RunLogger] = instantiate(experiment.logger, _partial_=True)(
        experiment, path, identity
    )
    return opened
