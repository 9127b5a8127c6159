"""What wrong boxes do to the NT: its drift in a run's reconstructions, by boxes that were moved or detected.

Losses and the caliper of a finished run look into the annotated box. Here its last stage's test reconstructions are
measured again in boxes that are off by more and more, and in those of a detector that was trained without the same
held-out site (`tasks.boxes`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ushydra_lab.config.stored import AS_STORED, Local, on_this_machine
from ushydra_lab.errors import UserError
from ushydra_lab.evaluation.finished import own_images
from ushydra_lab.files import disk_errors, write_csv
from ushydra_lab.geometry.boxes import iou
from ushydra_lab.metrics.caliper import nt_thickness
from ushydra_lab.runs.run import Run, runs_below
from ushydra_lab.runs.stored_experiment import check_stored
from ushydra_lab.runs.summary import FINISHED
from ushydra_lab.tasks.base import Batch
from ushydra_lab.tasks.boxes import LEAST_PX, Boxes, to_canvas, to_native
from ushydra_lab.tasks.reconstruction import NT, Reconstruction
from ushydra_lab.training.stages import finished_tasks
from ushydra_lab.waiting import followed

NAME = "boxes"
ANNOTATED, DETECTED = "annotated", "detected"
JITTER = (0.05, 0.1, 0.2, 0.4)
"""SD of a box's middle in parts of its sides, and of the logarithm of its sides."""
IOU_BINS = (0.0, 0.3, 0.5, 0.7, 0.85, 1.0)


def box_errors(experiment: Path, detector: Path | None, local: Local = AS_STORED) -> tuple[pd.DataFrame, Path]:
    """Measure every finished run of a reconstruction below a directory; the images (`measured`), and where they are.

    detector: the directory of an experiment that detects boxes; of the same held-out site, seed and data as each run.

    Raises:
        UserError: there is no such run, or none of the detector goes with it.
    """
    runs = [run for run in sorted(runs_below(experiment)) if run.summary.status == FINISHED]
    tables = [measured(run, detector, local) for run in followed(runs, experiment.name, len(runs))]
    if not tables:
        raise UserError(f"No finished run below {experiment}")
    images, folder = pd.concat(tables, ignore_index=True), experiment / NAME
    with disk_errors(folder):
        write_csv(folder / "images.csv", images)
        write_csv(folder / "by_source.csv", summary(images, "source"))
        write_csv(folder / "by_iou.csv", summary(images, "iou"))
    return images, folder


def measured(run: Run, detector: Path | None, local: Local) -> pd.DataFrame:
    """A row for each test image and box: held_out, seed, variant, record, source of the box, its `box_iou`.

    `change`: of the original's NT from that in the annotated box; `drift`: from original to reconstruction, both in
    this box; absolute, `unit` mm, or canvas px without a spacing; NaN where it cannot be measured. `lost`: 1 where the
    reconstruction alone shows no NT, NaN where the original shows none.
    """
    settings = on_this_machine(check_stored(run, local.trust), local)
    task = list(finished_tasks(run, settings).values())[-1]
    if not isinstance(task, Reconstruction) or task.roi != NT:
        raise UserError(f"{run.name}: reconstructs no NT (roi={NT})")
    found = _detected(_partner(run, detector), local) if detector else {}
    generator = torch.Generator().manual_seed(settings.seed)
    rows = []
    for batch in own_images(run, settings).part_loader("test"):
        with torch.inference_mode():
            reconstruction = task.answer(batch["image"], batch["content"])["reconstruction"]
        truth = nt_thickness(batch["image"], batch[NT])
        for source, box in _sources(batch, found, generator):
            before, after = nt_thickness(batch["image"], box), nt_thickness(reconstruction, box)
            scale = batch.get("pixel_mm", torch.ones(len(box)))
            lost = after.isnan().float().masked_fill(before.isnan(), torch.nan)
            values = {"box_iou": iou(box, batch[NT]), "lost": lost}
            values |= {"change": (before - truth).abs() * scale, "drift": (after - before).abs() * scale}
            rows.append(pd.DataFrame({"record": batch["record"], "source": source, **values}))
    return pd.concat(rows, ignore_index=True).assign(
        held_out=run.fold,
        seed=run.summary.seed,
        variant=run.summary.variant,
        unit="mm" if "pixel_mm" in batch else "px",
    )


def _sources(batch: Batch, found: dict[int, Tensor], generator: torch.Generator) -> Iterator[tuple[str, Tensor]]:
    yield ANNOTATED, batch[NT]
    for sd in JITTER:
        yield f"moved {sd:g}", moved(batch[NT], sd, batch["content"], generator)
    if found:
        native = torch.stack([found[record] for record in batch["record"].tolist()])
        yield DETECTED, to_canvas(native, batch)


def moved(box: Tensor, sd: float, content: Tensor, generator: torch.Generator) -> Tensor:
    """Boxes (B,4) moved and resized at random, by `sd` of their sides, on the content (B,4)."""
    draws = torch.randn(len(box), 4, generator=generator) * sd
    sides = box[:, 2:] - box[:, :2]
    middle = (box[:, :2] + box[:, 2:]) / 2 + draws[:, :2] * sides
    half = (sides * draws[:, 2:].exp()).clamp(min=LEAST_PX) / 2
    low, high = content[:, :2], content[:, 2:]
    start = torch.maximum(middle - half, low).minimum(high - LEAST_PX)
    return torch.cat([start, torch.minimum(middle + half, high).maximum(start + LEAST_PX)], 1)


def _partner(run: Run, detector: Path) -> Run:
    """The detector's run that has seen none of a run's test images."""
    tested = set(run.split.loc[run.split["part"] == "test", "record"])
    for other in (one for one in runs_below(detector) if one.summary.status == FINISHED):
        kept = set(other.split.loc[other.split["part"] == "test", "record"])
        same = (other.fold, other.summary.seed, other.summary.data) == (run.fold, run.summary.seed, run.summary.data)
        if same and tested <= kept:
            return other
    raise UserError(
        f"{run.name}: no finished run below {detector} has the same data, held-out site ({run.fold}) and seed "
        f"({run.summary.seed}); train one with the same data=..., held_out=... and seed=..."
    )


def _detected(run: Run, local: Local) -> dict[int, Tensor]:
    """Record -> the box found in it, px of its native image from the content's corner, of test images."""
    settings = on_this_machine(check_stored(run, local.trust), local)
    task = list(finished_tasks(run, settings).values())[-1]
    if not isinstance(task, Boxes) or task.roi != NT:
        raise UserError(f"{run.name}: detects no NT (roi={NT})")
    boxes: dict[int, Tensor] = {}
    for batch in own_images(run, settings).part_loader("test"):
        with torch.inference_mode():
            native = to_native(task.answer(batch["image"], batch["content"])["box"], batch)
        boxes |= dict(zip(batch["record"].tolist(), native, strict=True))
    return boxes


def summary(images: pd.DataFrame, by: str) -> pd.DataFrame:
    """Means over all images and seeds of each variant by the `source` of the box, or by its `iou`.

    Columns: held_out, variant, source or iou, n (boxes), box_iou, measured (share of originals with an NT), lost (share
    of these), change and drift (in `unit`).
    """
    if by == "iou":
        bins = np.array(IOU_BINS)
        place = np.clip(np.digitize(images["box_iou"], bins) - 1, 0, len(bins) - 2)
        images = images.assign(iou=[f"{bins[k]:g} to {bins[k + 1]:g}" for k in place])
    groups = images.groupby(["held_out", "variant", by, "unit"], sort=by == "iou")
    return groups.agg(
        n=("record", "size"),
        box_iou=("box_iou", "mean"),
        measured=("lost", lambda lost: lost.notna().mean()),
        lost=("lost", "mean"),
        change=("change", "mean"),
        drift=("drift", "mean"),
    ).reset_index()
