"""`python -m ushydra_lab.evaluate RUN data=fetus_framework data.root=...`: a finished run on other images.

Writes the same per-image table and metrics below RUN/external/, and says which sites the run has never seen.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from rich.console import Console

from ushydra_lab.errors import UserError
from ushydra_lab.validation import chosen_data

if TYPE_CHECKING:
    from ushydra_lab.data.datamodule import UltrasoundData

EXTERNAL = {"split": {"_target_": "ushydra_lab.data.split.External"}, "oversample": None, "label_audit": None}
"""Settings for a data set that is tested as a whole: nothing of it is trained on."""
COMPARED = ["record", "site", "subject", "part"]


def evaluate(run: Path, overrides: list[str]) -> Path:
    """Apply a run's selected weights, stage by stage, to all images of another data set; the folder of the results.

    Raises:
        UserError: RUN is not a finished run, or the data cannot be used.
    """
    from ushydra_lab.assembly import build_data
    from ushydra_lab.experiment import evaluate_stages, part_means
    from ushydra_lab.pictures import draw_panels
    from ushydra_lab.runs.files import disk_errors, write_csv, write_json

    config = finished_config(run)
    name, data_config = chosen_data(overrides, config)
    seen = seen_sites(run, config)
    config |= {"data": data_config, **EXTERNAL}
    data = build_data(config)
    data.setup("fit")
    folder = run / "external" / f"{name}-{data.fingerprint(data.parts)[:8]}"
    if (folder / "metrics.json").exists():
        print(f"Evaluated before: {folder}")
        return folder
    with disk_errors(folder):
        table = evaluate_stages(config, run, data)
        draw_panels(config, run, data, folder)
        write_csv(folder / "per_image.csv", table)
        write_json(
            folder / "metrics.json",
            {"never_seen": sorted(set(data.manifest.sites) - seen), "metrics": part_means(table)},
        )
    return folder


def finished_config(run: Path) -> dict[str, Any]:
    """A finished run's configuration.

    Raises:
        UserError: RUN is no run directory, or the run is not finished.
    """
    from ushydra_lab.config import Experiment
    from ushydra_lab.runs.directory import FINISHED, read_config
    from ushydra_lab.runs.files import read_json

    if not (run / "run.json").is_file():
        raise UserError(
            f"{run} is no run directory (no run.json). They are multirun/<experiment>/<held out>/seed<seed>/<variant>."
        )
    if (status := read_json(run / "run.json")["status"]) != FINISHED:
        raise UserError(f"{run} is not finished ({status}). Its own command continues it.")
    return vars(Experiment(**read_config(run / "config.yaml")))


def own_images(run: Path, config: dict[str, Any]) -> UltrasoundData:
    """The images of a finished run, in memory.

    Raises:
        UserError: they are no longer those that it was trained, selected and tested on.
    """
    from ushydra_lab.assembly import build_data

    data = build_data(config)
    data.setup("fit")
    if reasons := list(_changes(run, data)):
        remedy = "Give the data back as they were, or train again elsewhere: run_root=FOLDER"
        raise UserError.listing(f"these are not the images of the run. {remedy}", reasons)
    return data


def _changes(run: Path, data: UltrasoundData) -> Iterator[str]:
    from ushydra_lab.runs.files import read_json

    then, now = _split(run)[COMPARED], data.split_table()[COMPARED].astype(str)
    if len(then) != len(now):
        yield f"its split.csv has {len(then)} images, now there are {len(now)}"
    elif changed := (then != now).any(axis=1).sum():
        yield f"{changed} of {len(now)} have another site, subject or part than in its split.csv"
    elif (known := read_json(run / "run.json").get("data")) and known != data.manifest.fingerprint():
        yield "images or annotations are not those that run.json stands for"


def seen_sites(run: Path, config: dict[str, Any]) -> set[str]:
    """Sites with images that the run was trained or selected on, those of a stage's own images (`instead`) too.

    Raises:
        UserError: a stage's own images are no longer there.
    """
    from ushydra_lab.assembly import build_data

    tables = [_split(run)]
    for stage in config["stages"].values():
        if stage["instead"]:
            other = build_data(config | stage["instead"])
            tables.append(other.manifest.table.assign(part=other.part))
    return {site for table in tables for site in table.loc[table["part"].isin(["train", "val"]), "site"]}


def _split(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "split.csv", dtype=str, keep_default_na=False)


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m ushydra_lab.evaluate", description=__doc__)
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument("overrides", nargs="*", help="data=NAME and its keys")
    arguments = parser.parse_args()
    try:
        show(evaluate(arguments.run, arguments.overrides))
    except UserError as error:
        sys.exit(str(error))


def show(folder: Path) -> None:
    """Print means per stage and site, and which sites are new to the run."""
    from ushydra_lab.report.__main__ import rich_table
    from ushydra_lab.report.metrics import known
    from ushydra_lab.runs.files import read_json

    table = pd.read_csv(folder / "per_image.csv", converters={"site": str})
    metrics = known(table.columns)
    means = table.groupby(["stage", "site"], sort=False)[list(metrics)].mean().reset_index()
    for name, metric in metrics.items():
        means[name] = means[name].map(f"{{:.{metric.digits}f}}".format)
    means["images"] = table.groupby(["stage", "site"], sort=False).size().to_numpy()
    new = read_json(folder / "metrics.json")["never_seen"]
    means["seen in training"] = ["never" if site in new else "yes" for site in means["site"]]
    shown = means.rename(columns={name: metric.title for name, metric in metrics.items()})
    Console(width=None if sys.stdout.isatty() else 160).print(rich_table(shown, str(folder), "Means over images."))


if __name__ == "__main__":
    main()
