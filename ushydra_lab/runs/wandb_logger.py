"""One Weights & Biases run per job: stable id, no subject, path or machine name in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import wandb
from lightning.pytorch.loggers import WandbLogger
from matplotlib.figure import Figure

from ushydra_lab.config import NOT_DETERMINING, flatten

Mode = Literal["offline", "online", "disabled"]
PRIVATE = (*(key for key in NOT_DETERMINING if key.startswith("data.")), "run_root", "cache_dir", "logger")


class RunLogger:
    """Sends a job's curves, panels, per-image table and summary to one wandb run."""

    def __init__(self, run: Any | None) -> None:
        self.run = run

    def for_stage(self, stage: str) -> WandbLogger | Literal[False]:
        """The Lightning logger of one stage; its keys start with the stage's name."""
        return WandbLogger(experiment=self.run, prefix=stage) if self.run else False

    def finish(self, table: pd.DataFrame, figures: dict[str, Figure]) -> None:
        """Log what is known when all stages are done: the table without record numbers, means per part, the panels.

        The table is HTML, since wandb.Table writes the user's home directory into the run.
        """
        if not self.run:
            return
        anonymous = table.drop(columns="record")
        means = anonymous.groupby(["stage", "part", "site"], sort=False).mean().reset_index()
        for row in means.to_dict("records"):
            where = f"{row.pop('stage')}/{row.pop('part')}/{row.pop('site')}"
            self.run.summary.update({f"{where}/{metric}": value for metric, value in row.items() if value == value})
        panels = {f"panels/{name}": wandb.Image(figure) for name, figure in figures.items()}
        self.run.log({"per_image": wandb.Html(anonymous.to_html(index=False)), **panels})


@contextmanager
def open_run(config: dict[str, Any], path: Path, identity: str, project: str, mode: Mode) -> Iterator[RunLogger]:
    """The job's run; ends as failed when the job does.

    `identity` gives the id, so that a continued job continues its run.
    """
    if mode == "disabled":
        yield RunLogger(None)
        return
    held_out = path.parent.parent.name
    run = wandb.init(
        project=project,
        mode=mode,
        dir=path,
        id=identity[:16],
        resume="allow",
        group=f"{config['name']}/{held_out}",
        name=f"{held_out}/seed{config['seed']}/{config['variant']}",
        tags=[config["name"], held_out, f"seed{config['seed']}", config["variant"]],
        config=shareable(config),
        settings=wandb.Settings(
            console="off", silent=True, host="withheld", username="withheld", email="withheld", program="ushydra_lab",
            root_dir=str(path), save_code=False, disable_code=True, disable_git=True, x_disable_meta=True,
            x_disable_machine_info=True, x_disable_stats=True,
        ),
    )  # fmt: skip
    try:
        yield RunLogger(run)
    except BaseException:
        run.finish(exit_code=1)
        raise
    run.finish()


def shareable(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration without keys that hold paths."""
    return {key: value for key, value in flatten(config) if not any(f".{part}." in f".{key}." for part in PRIVATE)}
