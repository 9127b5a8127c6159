"""The number of parameters of every method's network, and of how many each stage trained."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ushydra_lab.files import write_csv
from ushydra_lab.report.document import Document, Heading, Table
from ushydra_lab.report.tables import NOTHING
from ushydra_lab.results.collect import Collected
from ushydra_lab.runs.run import Run

TITLE = "Networks"
CAPTION = (
    "Parameters: of the whole network. Trained: of these, the ones that this stage trained; the others are frozen."
)
AUXILIARY = (
    " With decoder_input=map the reconstruction needs neither z nor the auxiliary decoder that trains z; both are "
    "counted."
)


def section(collected: Collected, folder: Path) -> Document:
    """A table, written as CSV into `folder` too; nothing where no run counted (those of versions before 0.4.0)."""
    rows = table(collected.stages)
    if rows.empty:
        return []
    write_csv(folder / "networks.csv", rows)
    networks = [run.config["network"] for run in collected.stages["run"].unique()]
    auxiliary = any(network.get("auxiliary", "none") != "none" for network in networks)
    return [Heading(TITLE, 2), Table(rows, CAPTION + AUXILIARY * auxiliary)]


def table(stages: pd.DataFrame) -> pd.DataFrame:
    """One row per method: network, parameters, trained; 'a or b' where they differ between its runs."""
    rows = []
    for method, own in stages.groupby("method_name", sort=False):
        pairs = [(run, run.summary.stages[stage]) for run, stage in zip(own["run"], own["stage"], strict=True)]
        row = {
            "method": method,
            "network": " or ".join(dict.fromkeys(_name(run) for run, _ in pairs)),
            "parameters": _cell([summary.parameters for _, summary in pairs]),
            "trained": _cell([summary.trainable for _, summary in pairs]),
        }
        if row["parameters"] != NOTHING:
            rows.append(row)
    return pd.DataFrame(rows)


def _name(run: Run) -> str:
    return str(run.config["network"].get("_target_", NOTHING)).rpartition(".")[2]


def _cell(counts: list[int | None]) -> str:
    known = sorted({count for count in counts if count is not None})
    return " or ".join(f"{count:,}" for count in known) or NOTHING
