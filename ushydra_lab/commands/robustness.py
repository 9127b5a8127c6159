"""Measure how segmentations bear noise, and how well they repeat.

    python -m ushydra_lab robustness multirun/brain_attention_unet

Every finished run's last stage meets its test images under each perturbation. Writes RUN/robustness.csv, one row an
image and strength, and robustness.json, its checksum and what it belongs to; and beside the runs robustness/: curves
over strengths (mean ± SD over seeds) as CSV and picture, and the intraclass correlation of areas between seeds and with
the truth. What is there and belongs to the run's weights and images is not measured again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ushydra_lab.commands.parser import LOCAL_HELP, new_parser

if TYPE_CHECKING:
    import pandas as pd


def main(arguments: list[str]) -> int:
    """Measure an experiment's runs, and print curves and agreement."""
    parser = new_parser("robustness", __doc__)
    parser.add_argument("words", nargs="+", metavar="EXPERIMENT", help=f"multirun/<experiment>; {LOCAL_HELP}")
    words = parser.parse_args(arguments).words

    from ushydra_lab.config.stored import folders_and_local
    from ushydra_lab.evaluation.robustness import robustness

    folders, local = folders_and_local(words)
    if len(folders) != 1:
        parser.error("name one experiment's directory, multirun/<experiment>")
    curves, areas, folder = robustness(folders[0], local)
    _show(curves, areas)
    print(f"Written: {folder}/curves.csv, curves.png, agreement.csv")
    return 0


def _show(curves: pd.DataFrame, areas: pd.DataFrame) -> None:
    from ushydra_lab.report.render.terminal import new_console, rich_table

    console = new_console()
    spread = curves["sd"].map(lambda sd: f" ± {sd:.3f}" if sd == sd else "")  # of one seed there is none
    cells = curves.assign(cell=curves["mean"].map("{:.3f}".format) + spread)
    keys = ["held_out", "variant", "kind", "strength"]
    wide = cells.pivot(index=keys, columns="structure", values="cell").reset_index()
    console.print(rich_table(wide, "Dice under perturbations of the test images", "Mean ± SD over seeds (ddof 1)."))
    interval = areas["low"].map("{:.3f}".format) + " .. " + areas["high"].map("{:.3f}".format)
    shown = areas.assign(icc=areas["icc"].map("{:.3f}".format), interval=interval).drop(columns=["low", "high"])
    caption = "ICC(A,1) of areas with its 95 % interval, over test images; an absent structure has area 0."
    console.print(rich_table(shown, "Agreement", caption))
