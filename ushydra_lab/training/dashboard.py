"""A wandb workspace for an experiment's runs.

What it shows is read from the run directories: curves of losses and validation metrics by hospital, by variant and of
every seed, a bar chart a metric and hospital to compare the variants, loss weights, panels and per-image tables.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import wandb
import wandb_workspaces.reports.v2 as wr
import wandb_workspaces.workspaces as ws
from wandb_workspaces import expr

from ushydra_lab.errors import UserError
from ushydra_lab.runs.run import runs_below
from ushydra_lab.runs.summary import FINISHED
from ushydra_lab.training.wandb_logger import FINAL

MOST_RUNS = 100


@dataclass(frozen=True)
class Logged:
    """The keys an experiment's runs have at wandb.

    curves: STAGE/CURVE, drawn over STAGE/epoch. metrics: hospital -> final/STAGE/test/HOSPITAL/METRIC.
    weights: final/STAGE/weight/TERM.
    """

    experiment: str
    curves: list[str]
    metrics: dict[str, list[str]]
    weights: list[str]


def logged(experiment: Path) -> Logged:
    """Collect the keys that the finished runs below an experiment's directory have logged.

    Raises:
        UserError: there is none, or one is damaged.
    """
    runs = [run for run in runs_below(experiment) if run.summary.status == FINISHED]
    if not runs:
        raise UserError(f"No finished run below {experiment}; name an experiment's directory, like multirun/nt_phase2.")
    metrics: dict[str, list[str]] = {}
    for run in runs:
        for site, keys in _metrics(run.images):
            metrics[site] = _unique([*metrics.get(site, []), *keys])
    return Logged(
        runs[0].summary.name,
        _unique(f"{stage}/{name}" for run in runs for stage, curves in run.curves.items() for name in _names(curves)),
        metrics,
        _unique(
            f"{FINAL}/{stage}/weight/{term}"
            for run in runs
            for stage, one in run.summary.stages.items()
            for term in one.loss_weights
        ),
    )


def _names(curves: pd.DataFrame) -> list[str]:
    """The losses, and the metrics of the validation: what has no counterpart in training, as the losses' terms have."""
    names = list(map(str, curves.columns))
    terms = {f"val/{name.removeprefix('train/')}" for name in names if name.startswith("train/")}
    measured = [name for name in names if name.startswith("val/") and name not in terms]
    return [*(name for name in names if name.endswith("/loss")), *measured]


def _metrics(images: pd.DataFrame) -> list[tuple[str, list[str]]]:
    tested = images[images["part"] == "test"].drop(columns=["part", "record"]).groupby(["site", "stage"], sort=False)
    keys = []
    for (site, stage), rows in tested:
        names = rows.drop(columns=["site", "stage"]).dropna(axis="columns", how="all").columns
        keys.append((str(site), [f"{FINAL}/{stage}/test/{site}/{name}" for name in names]))
    return keys


def _unique(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))


def build(entity: str, project: str, keys: Logged) -> Any:
    """The workspace, not yet published."""
    site, variant = wr.Config("site"), wr.Config("variant")

    def lines(**settings: Any) -> list[Any]:
        shared = {"max_runs_to_show": MOST_RUNS, **settings}
        return [
            wr.LinePlot(title=key, x=f"{key.split('/')[0]}/epoch", y=[key], title_x="epoch", **shared)
            for key in keys.curves
        ]

    def bars(names: list[str]) -> list[Any]:
        spread: dict[str, Any] = {"groupby": variant, "groupby_aggfunc": "mean", "groupby_rangefunc": "stddev"}
        return [
            wr.BarPlot(title=name.removeprefix(f"{FINAL}/"), metrics=[name], max_runs_to_show=MOST_RUNS, **spread)
            for name in names
        ]

    band = {"groupby_aggfunc": "mean", "groupby_rangefunc": "minmax"}
    sections = [
        ws.Section(name="Curves by hospital held out", panels=lines(groupby=site, **band), is_open=True),
        ws.Section(name="Curves by variant", panels=lines(groupby=variant, **band), is_open=True),
        ws.Section(name="Seeds", panels=lines()),
        *(ws.Section(name=f"Ablation, {name}", panels=bars(found)) for name, found in keys.metrics.items()),
        ws.Section(name="Loss weights", panels=bars(keys.weights)),
        ws.Section(
            name="Panels and per-image table",
            panels=[wr.MediaBrowser(media_keys=[key]) for key in ("panels/test", "panels/val", "per_image")],
        ),
    ]
    chosen = ws.RunsetSettings(filters=expr.And(expr.Config("name") == keys.experiment))
    return ws.Workspace(entity=entity, project=project, name=keys.experiment, sections=sections, runset_settings=chosen)


def publish(workspace: Any) -> str:
    """Save the workspace at wandb as a new view; its address.

    Raises:
        UserError: not logged in, or wandb refuses it.
    """
    try:
        return str(workspace.save().url)
    except (wandb.Error, ValueError) as error:
        where = f"{workspace.entity}/{workspace.project}"
        raise UserError(f"wandb did not take the dashboard for {where} ({error}). First: wandb login") from error
