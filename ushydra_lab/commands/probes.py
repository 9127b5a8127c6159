"""Measure what the frozen encoders of finished runs know.

    python -m ushydra_lab probes multirun/nt_phase2
    python -m ushydra_lab probes multirun/nt_phase2 --against data=NAME data.root=FOLDER
    python -m ushydra_lab probes multirun/nt_phase2 --perturbation 3

Writes RUN/probes.json, the scores of every stage and feature, and RUN/probes.csv, one row an image, stage and feature:
record numbers, no subjects. Of autoencoders RUN/figures/interpolation.png shows what lies between the codes of two test
images, and perturbation.png what one becomes when its code is moved along the main directions of the validation images'
codes, by up to --perturbation of their SD; whole frames. What is there, is whole and belongs to the run's weights and
images is not made again. The verb `report` makes the tables and figures of all runs. With --against, the run's
validation images are told from another data set's, below RUN/external/.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from ushydra_lab.commands.parser import LOCAL_HELP, new_parser
from ushydra_lab.triage import Covariance

if TYPE_CHECKING:
    from ushydra_lab.config.stored import Local


def main(arguments: list[str]) -> int:
    """Probe runs, and print the scores."""
    parser = new_parser("probes", __doc__)
    parser.add_argument("words", nargs="+", metavar="FOLDER", help=f"runs, or experiments with runs; {LOCAL_HELP}")
    parser.add_argument("--covariance", choices=get_args(Covariance), default="ledoit_wolf", help="of Mahalanobis")
    parser.add_argument("--against", nargs="+", default=[], metavar="data=NAME", help="other images, and their keys")
    parser.add_argument("--perturbation", type=_size, metavar="SD", help="how far codes are moved in its figure (2)")
    given = parser.parse_args(arguments)

    from ushydra_lab.config.stored import folders_and_local

    folders, local = folders_and_local(given.words)
    probe_all(folders, given.covariance, given.against, local, given.perturbation)
    return 0


def _size(text: str) -> float:
    size = float(text)
    if not 0 < size < math.inf:
        raise ValueError
    return size


def probe_all(
    folders: list[Path], covariance: Covariance, against: list[str], local: Local, perturbation: float | None
) -> None:
    """Probe every finished run below the folders, or take what is there; print the scores.

    Raises:
        UserError: there is none; or, after the others, naming those with damage or other images than they had.
    """
    from ushydra_lab.errors import UserError
    from ushydra_lab.probes.finished import probe
    from ushydra_lab.report.render.terminal import new_console
    from ushydra_lab.runs.run import runs_below
    from ushydra_lab.runs.summary import UNVERIFIED

    console = new_console()
    probed, problems = 0, []
    for run in dict.fromkeys(run for folder in folders for run in runs_below(folder)):
        try:
            content, note = probe(run, covariance, against, local, perturbation)
        except UserError as error:
            problems.append(f"{run.path}: {error}")
            continue
        marked = "" if run.verified or content is None else f" ({UNVERIFIED})"
        console.print(f"{run.path}: {note}{marked}", markup=False, highlight=False, soft_wrap=True)
        if content:
            probed += 1
            _show(content["stages"])
    if problems:
        raise UserError.listing("not probed", problems)
    if not probed:
        where = ", ".join(map(str, folders))
        raise UserError(f"{where}: no finished run to probe. `python -m ushydra_lab runs` lists runs.")


def _show(stages: dict[str, dict[str, dict[str, float | None]]]) -> None:
    import pandas as pd

    from ushydra_lab.report.render.terminal import new_console, rich_table

    rows = {f"{stage}, {feature}": values for stage, found in stages.items() for feature, values in found.items()}
    table = pd.DataFrame(rows).map(lambda value: "n/a" if pd.isna(value) else f"{value:.3f}")
    caption = "AUROC of OOD: validation images of the seen sites against the unseen ones."
    new_console().print(rich_table(table.rename_axis("score").reset_index(), "", caption))
