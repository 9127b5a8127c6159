"""CLAIM and TRIPOD+AI item by item: where the report answers each, and which are left to the authors."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from ushydra_lab.data.vocabulary import SEEN_TEST, groups
from ushydra_lab.files import DamagedFile, write_text
from ushydra_lab.probes import JSON
from ushydra_lab.report.document import Document, Heading, Note, Table
from ushydra_lab.report.render import markdown
from ushydra_lab.report.tables import seen_part
from ushydra_lab.results.collect import Collected
from ushydra_lab.runs.plan import read_plans
from ushydra_lab.tasks.columns import members

FILE = "reporting_checklist.md"
ITEMS = Path(__file__).parents[1] / "checklist_items.csv"
"""list, item, what it asks for in our own words, and keys of `answers`, separated by semicolons."""
SOURCES = {
    "CLAIM": "A. S. Tejani et al., Checklist for Artificial Intelligence in Medical Imaging (CLAIM): 2024 update, "
    "Radiol. Artif. Intell. 6, 2024, doi:10.1148/ryai.240300",
    "TRIPOD+AI": "G. S. Collins et al., TRIPOD+AI statement, BMJ 385, 2024, doi:10.1136/bmj-2023-078378",
}
TITLE = "Reporting checklists"
SEEN = {"val": "tables of the validation images", SEEN_TEST: "tables of the test images of the seen sites"}
ABOUT = (
    "Items are paraphrased: answer by the originals. A section that is named says something on an item, perhaps not "
    "all; the authors decide whether that is enough. OPEN: the report knows nothing of it. Written anew with every "
    "report, so fill in a copy."
)
OPEN = "OPEN"


def section(collected: Collected, folder: Path) -> Document:
    """A note on the lists, which are written into `folder` as FILE."""
    found, counts = answers(collected, folder.parent), []
    texts: Document = [Heading(TITLE, 1), Note(ABOUT)]
    items = pd.read_csv(ITEMS, dtype=str, keep_default_na=False)
    for name, own in items.groupby("list", sort=False):
        table = filled(own, found)
        texts += [Heading(str(name), 2), Table(table, f"{SOURCES[str(name)]}.")]
        counts.append(f"{(table['answered in'] != OPEN).sum()} of {len(table)} items of {name}")
    write_text(folder / FILE, markdown.render(texts))
    text = f"The report says something on {' and '.join(counts)}; {FILE} says where, and what is left to the authors."
    return [Heading(TITLE, 2), Note(text)]


def filled(items: pd.DataFrame, found: dict[str, str]) -> pd.DataFrame:
    """item, asks for, answered in: the sections that the report has on it."""
    cells = ["; ".join(found[key] for key in keys.split(";") if key in found) or OPEN for keys in items["answers"]]
    return pd.DataFrame({"item": items["item"], "asks for": items["asks"], "answered in": cells})


def answers(collected: Collected, experiment: Path) -> dict[str, str]:
    """Key of `checklist_items.csv` -> the section of this report; without keys of what this report lacks."""
    images, stages = collected.images, collected.stages
    runs = stages["run"].drop_duplicates()
    parts, claimed = set(images["part"]), _claimed(experiment)
    there = {
        "data": ("Protocol: Data, Held out", True),
        "parts": ("Protocol: images and subjects of each part", True),
        "split": ("Protocol: Split", True),
        "settings": ("Settings", True),
        "versions": ("Versions", True),
        "metrics": ("Protocol: Metrics; captions", True),
        "statistics": ("Protocol: Statistics; comparisons of every held-out site", True),
        "protocol": ("Protocol", True),
        "unfinished": ("Not in the tables; Missing", True),
        "cases": ("Worst and best cases", True),
        "claim": ("The claim", claimed),
        "power": ("The claim; How far these verdicts can be trusted", claimed),
        "selection": ("Protocol: Selection", any(s.selected_by for run in runs for s in run.summary.stages.values())),
        "curves": ("Loss curves", any(run.curves for run in runs)),
        "weights": ("notes on the networks' first weights", bool((stages["pretrained"] != "").any())),
        "internal": (SEEN[seen_part(images)], bool(parts & {*SEEN})),
        "external": ("tables of the unseen sites", "test" in parts),
        "hospitals": ("The claim: forest plot; All sites together", stages["held_out"].nunique() > 1),
        "subgroups": ("Subgroups", any(images[column].fillna("").ne("").any() for column in groups(images))),
        "calibration": ("Probabilities of planes", bool(members(images, "prob"))),
        "confusion": ("Confusion of planes", "predicted" in images),
        "explained": ("pictures with Grad-CAM, not validated", bool(members(images, "prob"))),
        "robustness": ("robustness/ beside the runs", any((run.path / "robustness.json").exists() for run in runs)),
        "unfamiliar": ("What the frozen encoder knows", any((run.path / JSON).exists() for run in runs)),
    }  # fmt: skip
    return {key: text for key, (text, is_there) in there.items() if is_there}


def _claimed(experiment: Path) -> bool:
    """Whether the experiment's plan has a claim; a damaged plan is told elsewhere."""
    try:
        return any(plan.claim for plan in read_plans(experiment))
    except DamagedFile:
        return False
