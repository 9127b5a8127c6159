"""Loss curves of every trained stage, training and validation."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ushydra_lab.figures.style import colours_of
from ushydra_lab.report.document import Document, Heading, save_figure
from ushydra_lab.results.collect import Collected

TITLE = "Loss curves"
CAPTION = "One line a run. Losses of different objectives have different scales."
DICE = "val/dice_lost"
DICE_CAPTION = " The validation Dice, the mean over the structures chosen for it, selects the checkpoint."


def section(collected: Collected, folder: Path) -> Document:
    """The figure `curves`, written into a folder; empty where no run kept its curves."""
    histories = read(collected.stages)
    if histories.empty:
        return []
    caption = CAPTION + DICE_CAPTION * (DICE in histories)
    return [Heading(TITLE, 2), save_figure(draw(histories), folder / "curves", TITLE, caption)]


def read(stages: pd.DataFrame) -> pd.DataFrame:
    """Curves of all runs: method, stage, line (one per run, a shared stage once), epoch from 1, and every curve."""
    tables = []
    for number, stage in enumerate(stages.drop_duplicates(["stage", "key"]).to_dict("records")):
        if (curves := stage["run"].curves.get(stage["stage"])) is not None:
            who = {"method": stage["method"], "stage": stage["stage"], "line": number}
            tables.append(curves.assign(**who, epoch=lambda table: table["epoch"] + 1))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()


def draw(histories: pd.DataFrame) -> Figure:
    """Draw one row of panels per stage: losses, and the validation Dice where there is one."""
    stages = list(dict.fromkeys(histories["stage"]))
    with_dice = DICE in histories
    figure = Figure(figsize=(5.2 * (1 + with_dice), 3.2 * len(stages)), layout="constrained")
    rows = figure.subplots(len(stages), 1 + with_dice, squeeze=False)
    for stage, axes in zip(stages, rows, strict=True):
        chosen = histories[histories["stage"] == stage]
        colours = colours_of(chosen["method"])
        for (method, _), run in chosen.groupby(["method", "line"], sort=False):
            _losses(axes[0], run, colours[method])
            if with_dice:
                axes[1].plot(run["epoch"], 1 - run[DICE], color=colours[method], linewidth=1)
        _label(axes, stage, colours)
    return figure


def _losses(axis: Axes, run: pd.DataFrame, colour: str) -> None:
    axis.plot(run["epoch"], run["train/loss"], "--", color=colour, linewidth=1)
    axis.plot(run["epoch"], run["val/loss"], "-", color=colour, linewidth=1)


def _label(axes: list[Axes], stage: str, colours: dict[str, str]) -> None:
    for axis, label in zip(axes, ("loss", "validation Dice"), strict=False):
        axis.set(title=f"{stage}: {label}", xlabel="epoch", ylabel=label)
        axis.grid(alpha=0.3)
    axes[0].set_yscale("log")
    lines = [
        Line2D([], [], color="black", linestyle="--", label="training"),
        Line2D([], [], color="black", label="validation"),
    ]
    lines += [Line2D([], [], color=colour, label=method) for method, colour in colours.items()]
    axes[-1].legend(handles=lines, fontsize=7, loc="upper left", bbox_to_anchor=(1, 1))
