"""What the frozen encoders know, as the probes left it in the run directories: tables, figures, what is missing."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pandas as pd

from ushydra_lab.probes import JSON
from ushydra_lab.probes.files import read as read_files
from ushydra_lab.report import nt_tables
from ushydra_lab.report.collect import Collected
from ushydra_lab.report.missing import Gap, gap_list, sites_with, splits_to_run
from ushydra_lab.report.probe_figures import figures
from ushydra_lab.report.probe_tables import TABLES, caption, has, of_paper, table
from ushydra_lab.report.tables import base, markdown
from ushydra_lab.runs.files import DamagedFile, write_csv
from ushydra_lab.runs.run import Run

COMMAND = "python -m ushydra_lab.probes"
WHO = ["held_out", "fold", "seed", "method", "stage", "variant", "feature"]
IMAGES = ["images_val", "images_test"]
NEVER = "not probed"
STALE = "probed with other weights than it has now"


def section(found: Collected, folder: Path) -> list[str]:
    """Tables of all held-out sites and figures of each, as Markdown, and what is missing from them.

    Nothing where nothing was probed, but for the NT paper's experiments, which have these tables.
    """
    scores, codes, faults = read(found.stages)
    if scores.empty and not _wanted(found, folder.parent, faults):
        return []
    texts = ["## What the frozen encoder knows\n"]
    for name, shown in TABLES.items() if len(scores) else ():
        if columns := [column for column in shown.columns if has(scores, column)]:
            write_csv(folder / f"probes_{name}.csv", scores[[*WHO, *IMAGES, *columns]])
            number = f" ({shown.number})" if of_paper(found) else ""
            texts += [
                f"### {shown.title}{number}\n",
                markdown(table(found, scores, shown.columns)),
                f"\n{caption(shown, found, scores)}\n",
            ]
    for held_out, chosen in codes.groupby("held_out") if len(codes) else ():
        sites = sites_with(found, str(held_out))
        texts += [f"### Codes, held out {held_out}\n", *figures(chosen, folder / f"{held_out}_probes", sites)]
    return texts + gap_list([*splits_to_run(found, folder.parent), *_gaps(faults)])


def _wanted(found: Collected, experiment: Path, faults: dict[Run, str]) -> bool:
    """Whether it is a gap that nothing was probed."""
    tested = "part" in found.images and "test" in set(found.images["part"])
    return set(faults.values()) != {NEVER} or (tested and nt_tables.applies(found, experiment))


def read(stages: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, dict[Run, str]]:
    """Every score of each run, stage and feature; what each image's code z got; and why runs are in neither.

    Scores: WHO, `base`, the method without what it lacks, and IMAGES. Codes: held_out, fold, seed, method and the
    columns of probes.csv. A stage that runs share counts once.
    """
    rows: list[dict[str, Any]] = []
    tables: list[pd.DataFrame] = []
    faults: dict[Run, str] = {}
    once = set()
    for run in stages["run"].unique():
        own = stages[stages["run"] == run]
        if not (run.path / JSON).exists():
            faults[run] = NEVER
            continue
        try:
            content, images = read_files(run.path, old=not run.verified)
        except DamagedFile as error:
            faults[run] = error.fault
            continue
        for stage in own.assign(base=base(own["method"])).to_dict("records"):
            name, who = stage["stage"], {key: stage[key] for key in (*WHO[:-1], "base")}
            if content["made_from"]["stages"].get(name) != stage["key"]:
                faults[stage["run"]] = STALE
            elif (same := (stage["fold"], stage["seed"], stage["method"])) not in once:
                once.add(same)
                counts = {f"images_{part}": count for part, count in content["images"].items()}
                rows += [
                    who | counts | {"feature": feature} | values for feature, values in content["stages"][name].items()
                ]
                tables.append(images[(images["stage"] == name) & (images["feature"] == "z")].assign(**who))
    codes = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return pd.DataFrame(rows), codes, faults


def _gaps(faults: dict[Run, str]) -> list[Gap]:
    """Runs below one held-out site that lack the same; the command leaves alone what is whole."""
    runs = pd.DataFrame({"run": list(faults), "why": list(faults.values())})
    runs = runs.assign(site=[run.path.parents[1] for run in runs["run"]])
    gaps = []
    for (site, why), own in runs.groupby(["site", "why"], sort=False):
        command = f"{COMMAND} {shlex.quote('/'.join(['multirun', *Path(str(site)).parts[-2:]]))}"
        gaps.append(Gap(", ".join(run.name for run in own["run"]), str(why), command))
    return gaps
