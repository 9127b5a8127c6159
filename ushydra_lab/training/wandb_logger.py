"""Logging of each job to one Weights & Biases run, without subjects, paths or machine names."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import torch
import wandb
from lightning.pytorch.utilities import rank_zero_only
from matplotlib.figure import Figure

from ushydra_lab.config.identity import digest, shareable
from ushydra_lab.config.schema import Experiment
from ushydra_lab.runs.summary import StageSummary

Mode = Literal["offline", "online", "disabled"]

FINAL = "final"
"""Numbers of the selected weights start with it, to be told from the curves."""
MAX_TAG = 64
"""Characters of a tag; wandb refuses longer ones."""

SORT_AND_FILTER = """<input placeholder="rows that contain ..." oninput="
  for (const row of document.querySelectorAll('tbody tr')) row.hidden = !row.innerText.includes(this.value)">
<script>document.addEventListener('click', event => {
  const head = event.target.closest('thead th'); if (!head) return;
  const body = document.querySelector('tbody'), column = head.cellIndex, sign = head.sign = -(head.sign || -1);
  const value = row => row.cells[column].innerText;
  const compare = (a, b) => isNaN(a) || isNaN(b) ? a.localeCompare(b) : a - b;
  body.append(...[...body.rows].sort((a, b) => sign * compare(value(a), value(b))));
})</script><style>th { cursor: pointer } td { text-align: right } body { font-family: sans-serif }</style>
"""


class RunLogger:
    """Sends a job's curves, panels, per-image table and summary to one wandb run.

    A continued job logs everything again, each epoch at the step it had before: an offline file is always the whole run
    so far and takes the place of the earlier one, and an online run is sent only what it lacks.
    """

    def __init__(self, run: Any | None) -> None:
        self.run = run
        self._step = 0
        self._known: dict[str, int] = {}

    def epochs(self, stage: str, rows: Sequence[Mapping[Any, float]]) -> None:
        """Log the epochs of a stage, from its first one on, not logged before: STAGE/CURVE over STAGE/epoch."""
        if self.run is None:
            return
        if stage not in self._known:
            self.run.define_metric(f"{stage}/*", step_metric=f"{stage}/epoch")
        for row in rows[self._known.get(stage, 0) :]:
            curves = {f"{stage}/{name}": value for name, value in row.items() if value == value}
            self._log({**curves, f"{stage}/epoch": int(row["epoch"]) + 1})
        self._known[stage] = len(rows)

    def stage(self, name: str, curves: pd.DataFrame, summary: StageSummary) -> None:
        """Log a stage that is done, whoever trained it: its curves, selected epoch, score and loss weights."""
        if self.run is None:
            return
        self.epochs(name, curves.to_dict("records"))
        weights = {f"weight/{term}": weight for term, weight in summary.loss_weights.items()}
        chosen = {"selected_epoch": summary.selected_epoch, "score": summary.score, **weights}
        self.run.summary.update({f"{FINAL}/{name}/{key}": value for key, value in chosen.items()})

    def finish(self, table: pd.DataFrame, figures: dict[str, Figure]) -> None:
        """Log what is known when all stages are done: the table without record numbers, means per part, the panels.

        The table is HTML that can be sorted and filtered: a wandb.Table of wandb 0.31 still writes the absolute path
        of a staging file in the user's home into the run, and is lost where that file is not at hand when syncing.
        """
        if self.run is None:
            return
        anonymous = table.drop(columns="record")
        self.run.summary.update(means(anonymous, ["stage", "part"]) | means(anonymous, ["stage", "part", "site"]))
        panels = {f"panels/{name}": wandb.Image(figure) for name, figure in figures.items()}
        page = SORT_AND_FILTER + anonymous.to_html(index=False, border=0, float_format="{:.6g}".format)
        self._log({"per_image": wandb.Html(page), **panels})

    def _log(self, values: dict[str, Any]) -> None:
        assert self.run is not None
        if self._step >= self.run.starting_step:
            self.run.log(values, step=self._step, commit=True)
        self._step += 1


def means(table: pd.DataFrame, by: list[str]) -> dict[str, float]:
    """final/STAGE/PART[/SITE]/METRIC -> the mean over the images that have it."""
    found: dict[str, float] = {}
    for row in table.groupby(by, sort=False).mean(numeric_only=True).reset_index().to_dict("records"):
        where = "/".join([FINAL, *(str(row.pop(key)) for key in by)])
        found |= {f"{where}/{metric}": float(mean) for metric, mean in row.items() if mean == mean}
    return found


@contextmanager
def open_run(experiment: Experiment, path: Path, identity: str, project: str, mode: Mode) -> Iterator[RunLogger]:
    """The job's run; ends as failed when the job does not end well, as crashed (online) when the process vanishes.

    `identity` and the directory give the id: a continued job continues its run, and jobs in two directories never share
    one, whatever numbers they have in common. Of several processes only the first logs.
    """
    if mode == "disabled" or getattr(rank_zero_only, "rank", None):
        yield RunLogger(None)
        return
    earlier = list(path.glob("wandb/offline-run-*"))
    run = start(experiment, path, identity, project, mode)
    for folder in earlier:  # this run repeats them, and `wandb sync` would append one to the other
        shutil.rmtree(folder, ignore_errors=True)
    code = 1
    try:
        yield RunLogger(run)
        code = 0
    finally:
        run.finish(exit_code=code)


def start(experiment: Experiment, path: Path, identity: str, project: str, mode: Mode) -> Any:
    """A wandb run with nothing in it that could name a person, a path or a machine.

    Where there is a GPU, its load, memory, temperature and power are logged beside the curves, with those of the
    process; of a machine without one nothing is.
    """
    site, gpu = path.parent.parent.name, torch.cuda.is_available()
    tags = [experiment.name, site, f"seed{experiment.seed}", experiment.variant]
    run = wandb.init(
        project=project,
        mode=mode,
        dir=path,
        id=digest([identity, str(path.resolve())])[:16],
        resume="allow" if mode == "online" else None,
        group=f"{experiment.name}/{site}",
        name=f"{site}/seed{experiment.seed}/{experiment.variant}",
        tags=list(dict.fromkeys(tag[:MAX_TAG] for tag in tags)),
        config=shareable(experiment.as_dict()) | {"site": site},
        settings=wandb.Settings(
            console="off", silent=True, host="withheld", username="withheld", email="withheld", program="ushydra_lab",
            root_dir=str(path), save_code=False, disable_code=True, disable_git=True, x_disable_meta=True,
            x_disable_machine_info=not gpu, x_disable_stats=not gpu, x_stats_disk_paths=(), disable_job_creation=True,
            symlink=False,
        ),
    )  # fmt: skip
    if mode == "offline":  # wandb's log of itself names the directory
        shutil.rmtree(run.settings.log_dir, ignore_errors=True)
    return run
