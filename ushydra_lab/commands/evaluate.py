"""Apply a finished run to other labelled images: their per-image table and metrics, below RUN/external/.

    python -m ushydra_lab evaluate RUN data=fetus_framework data.root=FOLDER

Says which sites the run has never seen.
"""

from __future__ import annotations

from pathlib import Path

from ushydra_lab.commands.parser import new_parser


def main(arguments: list[str]) -> int:
    """Evaluate a run, and print the means."""
    parser = new_parser("evaluate", __doc__)
    parser.add_argument("run", type=Path, help="the run directory, or a folder that holds a single run")
    parser.add_argument("overrides", nargs="*", help="data=NAME and its keys; cache_dir=FOLDER; trust=[your_module]")
    given = parser.parse_args(arguments)

    from ushydra_lab.evaluation.external import evaluate
    from ushydra_lab.runs.run import Run, runs_below
    from ushydra_lab.runs.summary import UNVERIFIED

    found = runs_below(given.run)
    run = found[0] if len(found) == 1 else Run(given.run)
    show(evaluate(run, given.overrides))
    if not run.verified:
        print(f"{run.path} is {UNVERIFIED}")
    return 0


def show(folder: Path) -> None:
    """Print means per stage and site, and which sites are new to the run."""
    from ushydra_lab.evaluation.external import read_results
    from ushydra_lab.report.render.terminal import new_console, rich_table
    from ushydra_lab.results.metrics import metrics_of

    table, never_seen = read_results(folder)
    metrics = metrics_of(table.columns)
    means = table.groupby(["stage", "site"], sort=False)[list(metrics)].mean().reset_index()
    for name, metric in metrics.items():
        means[name] = means[name].map(f"{{:.{metric.digits}f}}".format)
    means["images"] = table.groupby(["stage", "site"], sort=False).size().to_numpy()
    means["seen in training"] = ["never" if site in never_seen else "yes" for site in means["site"]]
    shown = means.rename(columns={name: metric.title for name, metric in metrics.items()})
    new_console().print(rich_table(shown, str(folder), "Means over images."))
