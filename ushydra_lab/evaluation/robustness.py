"""Robustness of segmentations against noise and other perturbations, and their repeatability.

Every finished run's last stage meets its test images under each perturbation of `data.perturbations`. Writes
RUN/robustness.csv, one row an image and strength, and robustness.json, its checksum and what it belongs to; and beside
the runs robustness/: curves over strengths (mean ± SD over seeds) as CSV and picture, and the intraclass correlation of
areas between seeds and with the truth. What is there and belongs to the run's weights and images is not measured again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from ushydra_lab import __version__
from ushydra_lab.config.identity import digest
from ushydra_lab.config.stored import AS_STORED, Local, on_this_machine
from ushydra_lab.data.perturbations import SWEEPS
from ushydra_lab.errors import UserError
from ushydra_lab.evaluation.finished import own_images
from ushydra_lab.figures.panels import LABEL_COLOURS
from ushydra_lab.figures.style import tidy
from ushydra_lab.files import (
    DamagedFile,
    atomic,
    disk_errors,
    read_json,
    read_table,
    refuse_change,
    sha256,
    write_csv,
    write_json,
)
from ushydra_lab.results.agreement import icc
from ushydra_lab.runs.run import Run, runs_below
from ushydra_lab.runs.stored_experiment import check_stored
from ushydra_lab.runs.summary import FINISHED, UNVERIFIED
from ushydra_lab.tasks.columns import declared_in, members
from ushydra_lab.tasks.segmentation import Segmentation
from ushydra_lab.training.stages import finished_tasks
from ushydra_lab.waiting import followed

NAME = "robustness"
KEPT_FAMILIES = {"dice", "dice_empty", "true_px", "true_mm2", "found", "found_px", "found_mm2"}
"""Families of columns that are kept of every perturbed image."""


def robustness(experiment: Path, local: Local = AS_STORED) -> tuple[pd.DataFrame, pd.DataFrame, Path]:
    """Measure every finished run below a directory, or read its table; write the summary of all.

    Returns `curves`, `agreement` and the folder that they were written to.

    Raises:
        UserError: there is no finished run of a segmentation; or, after the others were measured, naming those with
            damage or other images than they had.
    """
    tables, problems = [], []
    for run in runs_below(experiment):
        try:
            tables.append(_table(run, local))
        except UserError as error:
            problems.append(f"{run.path}: {error}")
    if problems:
        raise UserError.listing("not measured", problems)
    if not (tables := [table for table in tables if table is not None]):
        raise UserError(f"{experiment}: no finished run of a segmentation below it; see {experiment}/*/*/*/run.json")
    images, folder = pd.concat(tables, ignore_index=True), experiment / NAME
    found, areas = curves(images), agreement(images)
    tidy(shown := draw_curves(found))
    with disk_errors(folder):
        write_csv(folder / "curves.csv", found)
        write_csv(folder / "agreement.csv", areas)
        with atomic(folder / "curves.png") as temporary:
            shown.savefig(temporary, format="png", dpi=150)
    return found, areas, folder


def _table(run: Run, local: Local) -> pd.DataFrame | None:
    """A run's measurements, made if they are not there; None for a run that is unfinished or no segmentation."""
    summary = run.summary
    if summary.status != FINISHED:
        return None
    file, record = run.path / f"{NAME}.csv", run.path / f"{NAME}.json"
    made_from = digest([summary.identity, run.weight_checksums, __version__])
    if not run.verified:
        print(f"{run.path} is {UNVERIFIED}")
    content = _record(record) if record.exists() else {}
    if content.get("made_from") != made_from:
        table = perturbed_images(run, local)
        if table.empty:
            return None
        with disk_errors(run.path):
            write_csv(file, table)
            content = {"made_from": made_from, "sha256": sha256(file)}
            write_json(record, content)
    return _measured(file, record, str(content["sha256"])).assign(
        held_out=run.fold, seed=summary.seed, variant=summary.variant
    )


def _record(record: Path) -> dict[str, Any]:
    remedy = f"Remove {record} and run the same command again: it is measured again."
    content = read_json(record, remedy)
    if not {"made_from", "sha256"} <= content.keys():
        raise DamagedFile(record, "is damaged (no made_from or sha256)", remedy)
    return content


def _measured(file: Path, record: Path, checksum: str) -> pd.DataFrame:
    remedy = f"Remove {file} and {record.name} beside it, and run the same command again."
    refuse_change(file, checksum, remedy)
    return read_table(file, {"kind"}, remedy)


def perturbed_images(run: Run, local: Local) -> pd.DataFrame:
    """Evaluate a run on perturbed images: kind, strength, record, areas and Dice; no rows unless it is a segmentation.

    Raises:
        UserError: the run is damaged, or the images are not those of the run.
    """
    import torch

    settings = on_this_machine(check_stored(run, local.trust), local)
    task = list(finished_tasks(run, settings).values())[-1]
    if not isinstance(task, Segmentation):
        return pd.DataFrame()
    data = own_images(run, settings)
    steps = [(kind, perturb, s) for kind, (perturb, strengths) in SWEEPS.items() for s in strengths]
    rows = []
    for kind, perturb, strength in followed(steps, run.name, len(steps)):
        generator = torch.Generator().manual_seed(settings.seed)
        for batch in data.part_loader("test" if "test" in data.parts else "val"):
            with torch.inference_mode():
                image = perturb(batch["image"], strength, generator, batch["content"])
                scores = task.evaluate({**batch, "image": image})
            kept = {name: scores[name].numpy() for name, column in declared_in(scores) if column.name in KEPT_FAMILIES}
            rows.append(pd.DataFrame({"kind": kind, "strength": strength, "record": batch["record"].numpy(), **kept}))
    return pd.concat(rows, ignore_index=True)


def curves(images: pd.DataFrame) -> pd.DataFrame:
    """Mean Dice over images that show a structure, and its SD over seeds, by held_out, variant, kind and strength."""
    keys = ["held_out", "variant", "kind", "strength"]
    columns = {f"dice_{structure}": structure for structure in members(images, "dice")}
    per_seed = images.groupby([*keys, "seed"])[list(columns)].mean().rename(columns=columns).reset_index()
    long = per_seed.melt([*keys, "seed"], list(columns.values()), "structure", "dice")
    found = long.groupby([*keys, "structure"])["dice"].agg(mean="mean", sd="std", seeds="count")
    return found.reset_index()


def agreement(images: pd.DataFrame) -> pd.DataFrame:
    """ICC(A,1) of each structure's area on unperturbed test images, between seeds and of each seed with the truth."""
    plain = images[(images["kind"] == "noise") & (images["strength"] == 0)]
    unit = "mm2" if members(plain, "found_mm2") else "px"
    rows = []
    for (held_out, variant), chosen in plain.groupby(["held_out", "variant"]):
        for structure in members(plain, f"found_{unit}"):
            areas = chosen.pivot(index="record", columns="seed", values=f"found_{unit}_{structure}")
            truth = chosen.groupby("record")[f"true_{unit}_{structure}"].first()
            pairs = {"between seeds": areas}
            pairs |= {f"seed {seed} and truth": areas[[seed]].assign(truth=truth) for seed in areas}
            who = {"held_out": held_out, "variant": variant, "structure": structure}
            rows += [who | {"between": name} | vars(icc(pair.to_numpy(float))) for name, pair in pairs.items()]
    return pd.DataFrame(rows)


def draw_curves(curve_table: pd.DataFrame) -> Figure:
    """Draw Dice over strength: a panel per perturbation, a line per structure and variant, the band ± SD over seeds."""
    kinds, structures = list(curve_table["kind"].unique()), list(curve_table["structure"].unique())
    figure = Figure(figsize=(3.2 * len(kinds), 3.4), layout="constrained")
    for axis, kind in zip(figure.subplots(1, len(kinds), sharey=True, squeeze=False)[0], kinds, strict=True):
        for number, ((held_out, variant, structure), line) in enumerate(
            _lines(curve_table[curve_table["kind"] == kind])
        ):
            colour = LABEL_COLOURS[structures.index(structure) % len(LABEL_COLOURS)]
            style = ("-", "--", ":", "-.")[number // len(structures) % 4]
            axis.plot(line["strength"], line["mean"], style, color=colour, marker="o", markersize=3,
                      label=f"{structure} ({variant}, {held_out})")  # fmt: skip
            sd = line["sd"].fillna(0)
            band = line["mean"] - sd, line["mean"] + sd
            axis.fill_between(line["strength"], *band, color=colour, alpha=0.2, linewidth=0)
        axis.set(title=kind, xlabel="strength", ylim=(0, 1))
        axis.grid(alpha=0.3)
    figure.axes[0].set_ylabel("Dice, images that show the structure")
    figure.axes[-1].legend(fontsize=6, loc="lower left")
    return figure


def _lines(curve_table: pd.DataFrame) -> Any:
    return curve_table.sort_values("strength").groupby(["held_out", "variant", "structure"])
