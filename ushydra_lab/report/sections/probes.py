"""The section on the probes of frozen encoders: tables, figures and what is missing, read from the run directories."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from ushydra_lab.files import DamagedFile, write_csv
from ushydra_lab.probes import JSON
from ushydra_lab.probes.files import read as read_files
from ushydra_lab.report.document import Document, Gap, Heading, Table
from ushydra_lab.report.missing import gap_list, sites_with, splits_to_run
from ushydra_lab.report.sections import probe_comparison, probe_unfamiliar
from ushydra_lab.report.sections.code_training import code_sentence
from ushydra_lab.report.sections.probe_figures import figures
from ushydra_lab.report.sections.probe_tables import TABLES, Printed, caption, has_score, table
from ushydra_lab.report.sections.probe_unfamiliar import separations
from ushydra_lab.results.collect import Collected
from ushydra_lab.runs.run import Run

COMMAND = "python -m ushydra_lab probes"
ID_COLUMNS = ["held_out", "fold", "seed", "method", "stage", "variant", "feature"]
COUNT_COLUMNS = ["images_val", "images_test"]


class Fault(NamedTuple):
    """Why a run's probes are not in the tables; damage: the fault of a damaged file, which may name paths."""

    why: str
    damage: str = ""


NEVER = Fault("not probed")
WITHOUT_SUBJECTS = Fault("probed by an earlier version, which did not store which images are of one subject")
STALE = Fault("probed with other weights than it has now")


def section(collected: Collected, folder: Path, printed: Printed | None = None, required: bool = False) -> Document:
    """Tables of all held-out sites and figures of each, and what is missing from them.

    Nothing where nothing was probed; but that is a gap where it is `required` and there are unseen images.
    """
    scores, codes, faults = read(collected.stages)
    far, not_far = read_external(collected.stages)
    tested = "part" in collected.images and "test" in set(collected.images["part"])
    if scores.empty and far.empty and not not_far and set(faults.values()) == {NEVER} and not (required and tested):
        return []
    blocks: Document = [Heading("What the frozen encoder knows", 2)]
    for name, shown in TABLES.items() if len(scores) else ():
        if columns := [column for column in shown.columns if has_score(scores, column)]:
            write_csv(folder / f"probes_{name}.csv", scores[[*ID_COLUMNS, *COUNT_COLUMNS, *columns]])
            number = f" ({printed.numbers[name]})" if printed else ""
            note = printed.notes[name] if printed else ""
            rows = table(collected, scores, shown.columns, printed)
            blocks += [Heading(f"{shown.title}{number}", 3), Table(rows, caption(shown, collected, scores, note))]
    near = scores[scores["feature"] == "z"] if len(scores) else scores
    near = near.assign(distance=probe_unfamiliar.NEAR, unfamiliar=near["held_out"]) if len(near) else near
    sets = pd.concat([near, far], ignore_index=True)
    blocks += probe_unfamiliar.section(sets, folder, code_sentence(collected.stages))
    blocks += probe_comparison.section(codes, collected.stages, folder)
    for held_out, chosen in codes.groupby("held_out") if len(codes) else ():
        sites = sites_with(collected, str(held_out))
        blocks.append(Heading(f"Codes, held out {held_out}", 3))
        blocks += figures(chosen, folder / f"{held_out}_probes", sites)
    return blocks + gap_list([*splits_to_run(collected, folder.parent), *_gaps(faults), *not_far])


def read(stages: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, dict[Run, Fault]]:
    """Read the probes of all runs: scores, codes, and the faults of runs that have neither.

    Scores, one row per run, stage and feature: ID_COLUMNS, `method_name` and COUNT_COLUMNS. Codes: held_out, fold,
    seed, method and the columns of probes.csv. A stage that runs share counts once.
    """
    rows: list[dict[str, Any]] = []
    tables: list[pd.DataFrame] = []
    faults: dict[Run, Fault] = {}
    once = set()
    for run in stages["run"].unique():
        own = stages[stages["run"] == run]
        if not (run.path / JSON).exists():
            faults[run] = NEVER
            continue
        try:
            content, images = read_files(run.path, old=not run.verified)
        except DamagedFile as error:
            faults[run] = Fault(error.fault, str(error))
            continue
        for stage in own.to_dict("records"):
            name, who = stage["stage"], {key: stage[key] for key in (*ID_COLUMNS[:-1], "method_name")}
            if content["made_from"]["stages"].get(name) != stage["key"]:
                faults[stage["run"]] = STALE
            elif (same := (stage["fold"], stage["seed"], stage["method"])) not in once:
                once.add(same)
                counts = {f"images_{part}": count for part, count in content["images"].items()}
                of_stage = _with_subjects(images[images["stage"] == name], run)
                for feature, values in content["stages"][name].items():
                    apart = separations(of_stage[of_stage["feature"] == feature])
                    rows.append(who | counts | {"feature": feature} | apart | values)
                tables.append(of_stage[of_stage["feature"] == "z"].assign(**who))
    codes = pd.concat(tables, ignore_index=True) if tables else pd.DataFrame()
    return pd.DataFrame(rows), codes, faults


def _with_subjects(images: pd.DataFrame, run: Run) -> pd.DataFrame:
    """The images of a run with the number of each one's subject, `unit`, from the run's own split."""
    numbers = run.split.groupby(["site", "subject"]).ngroup().set_axis(run.split["record"])
    return images.assign(unit=images["record"].map(numbers))


def read_external(stages: pd.DataFrame) -> tuple[pd.DataFrame, list[Gap]]:
    """What `probe_unfamiliar.section` needs of the codes z of other data sets, and gaps for those that cannot be shown.

    A stage that runs share counts once for each data set.
    """
    rows: list[dict[str, Any]] = []
    gaps = []
    once = set()
    for stage in stages.to_dict("records"):
        for file in sorted(stage["run"].path.glob(f"external/*/{JSON}")):
            name, key = file.parent.name.rpartition("-")[0], stage["key"]
            same = (stage["fold"], stage["seed"], stage["method"], file.parent.name)
            if same in once:
                continue
            once.add(same)
            try:
                content, images = read_files(file.parent, old=not stage["run"].verified)
            except DamagedFile as error:
                gaps.append(_far_gap(stage["run"], name, Fault(error.fault, str(error))))
                continue
            if content["made_from"]["stages"].get(stage["stage"]) != key:
                gaps.append(_far_gap(stage["run"], name, STALE))
            elif "unit" not in images:
                gaps.append(_far_gap(stage["run"], name, WITHOUT_SUBJECTS))
            else:
                who = {column: stage[column] for column in (*ID_COLUMNS[:-1], "method_name")}
                counts = {f"images_{part}": count for part, count in content["images"].items()}
                own = images[(images["stage"] == stage["stage"]) & (images["feature"] == "z")]
                rows.append(who | counts | {"distance": probe_unfamiliar.FAR, "unfamiliar": name} | separations(own))
    return pd.DataFrame(rows), list(dict.fromkeys(gaps))


def _far_gap(run: Run, name: str, fault: Fault) -> Gap:
    folder = "/".join(["multirun", *run.path.parts[-4:-2]])
    command = f"{COMMAND} {shlex.quote(folder)} --against data={name}"
    return Gap(f"{run.name} against {name}", fault.why, command, (fault.damage,) if fault.damage else ())


def _gaps(faults: dict[Run, Fault]) -> list[Gap]:
    """Gaps for runs without probes, those of one held-out site and reason together; the command skips whole ones."""
    runs = pd.DataFrame({"run": list(faults), "why": [fault.why for fault in faults.values()]})
    runs = runs.assign(site=[run.path.parents[1] for run in runs["run"]])
    gaps = []
    for (site, why), own in runs.groupby(["site", "why"], sort=False):
        command = f"{COMMAND} {shlex.quote('/'.join(['multirun', *Path(str(site)).parts[-2:]]))}"
        damage = tuple(faults[run].damage for run in own["run"] if faults[run].damage)
        gaps.append(Gap(", ".join(run.name for run in own["run"]), str(why), command, damage))
    return gaps
