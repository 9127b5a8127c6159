"""The USHydraNet paper's Tables 3 to 6: routed decoders beside other networks, our numbers and the printed ones."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ushydra_lab.data.vocabulary import SEEN_TEST
from ushydra_lab.files import write_csv
from ushydra_lab.metrics.classification import classification_scores
from ushydra_lab.report.document import Document, Gap, Heading, Table
from ushydra_lab.report.missing import command, gap_list, held_out_key, reasons
from ushydra_lab.report.papers.ushydranet.printed import HEART, MIXTURE, PLANES, UNSEEN, Printed
from ushydra_lab.report.sections import classification, segmentation
from ushydra_lab.report.tables import NOT_RUN, NOTHING, count_cell, mean_cell, seen_part, with_printed
from ushydra_lab.results.collect import Collected

ROUTED = ("weight_10", "single")
"""Variants of the experiment itself, evaluated after its last stage; the others are `hydra_baselines`, of one stage."""
TORCHVISION = ("vgg16", "fcn", "deeplabv3")


def plane_scores(images: pd.DataFrame) -> dict[str, float]:
    """Macro-averaged scores over all images together; empty where none was classified."""
    known = classification.classified_images(images)
    chances = [f"prob_{plane}" for plane in classification.planes_in(known)]
    return classification_scores(known["true"].astype(int), known[chances]) if len(known) else {}


def mean_overlaps(images: pd.DataFrame) -> dict[str, float]:
    """`dice` and `iou`: the mean over images of the mean over the structures that each shows."""
    names = segmentation.structures_in(images)
    return {score: images[[f"{score}_{name}" for name in names]].mean(axis=1).mean() for score in ("dice", "iou")}


@dataclass(frozen=True)
class System:
    """One of the paper's two systems: its experiment, scores, methods, data sets and printed numbers.

    experiment: its name; methods: variant -> its name; tables: number -> variants; columns: score -> title, in the
    printed order;
    datasets: quality of a seen site -> the paper's data set; unseen: its unseen one; note: what is meant by a score.
    """

    experiment: str
    score: Callable[[pd.DataFrame], dict[str, float]]
    columns: dict[str, str]
    methods: dict[str, str]
    tables: dict[str, tuple[str, ...]]
    datasets: dict[str, str]
    unseen: str
    printed: Printed
    note: str


CONTROL = "Single decoder"
MEASURES = ("precision", "recall", "f1")
SYSTEMS = {
    "hydra_vit": System(
        experiment="hydra_vit",
        score=plane_scores,
        columns={f"{name}_macro": name.capitalize() for name in MEASURES}
        | {"accuracy": "Accuracy", "auc_macro": "AUC"},
        methods={
            "vit": "ViT",
            "single": CONTROL,
            "resnet50": "ResNet50",
            "vgg16": "VGG16",
            "densenet121": "DenseNet121",
            "resnet18": "ResNet18",
            "weight_10": "USHydra-ViT",
        },
        tables={
            "Table 3": ("vit", "single", "weight_10"),
            "Table 5": ("resnet50", "vgg16", "densenet121", "resnet18", "weight_10"),
        },
        datasets={"low": "African", "medium": "European", "high": "Macao"},
        unseen=NOTHING,
        printed=PLANES,
        note="Precision, recall, F1 and AUC (one against the rest): means over the planes, alike (macro); weighted "
        "ones: the tables of planes above. The paper does not say which, but prints a recall that is the accuracy in "
        "nearly every row, as a weighted one is.",
    ),
    "hydra_unet": System(
        experiment="hydra_unet",
        score=mean_overlaps,
        columns={"dice": "Dice", "iou": "IoU"},
        methods={
            "unet": "UNet",
            "single": CONTROL,
            "dofe": "DoFE",
            "segnet": "SegNet",
            "deeplabv3": "DeepLab v3",
            "fcn": "FCN",
            "weight_10": "USHydra-UNet",
        },
        tables={
            "Table 4": ("unet", "single", "weight_10"),
            "Table 6": ("dofe", "segnet", "deeplabv3", "fcn", "weight_10"),
        },
        datasets={"low": "Camus", "high": "EchoNet"},
        unseen=UNSEEN,
        printed=HEART,
        note="Dice and IoU: means over the images that show the structure; the paper does not say over what.",
    ),
}
"""Experiment -> its half of the paper."""
NOTES = {
    "Table 3": "",
    "Table 4": f"USHydra-UNet on {UNSEEN} is printed in Table 6.",
    "Table 5": "ResNet18's printed rows are those of ViT in Table 3, digit by digit. The paper's VGG is VGG16 here.",
    "Table 6": "SegNet's printed Mixture row is USHydra-UNet's, digit by digit; the text has 91.87 and 84.74 for the "
    "latter. FCN and DeepLab v3 have torchvision's ResNet50 here.",
}
CAPTION = (
    "In %: mean ± SD over seeds (ddof 1); n: seeds x images of a seed, at most; higher is better. All networks are "
    "trained on the seen sites together; {hydra} routes by equation 11 with weight 10; {control}: a network of as "
    "many parameters, not in the paper. Seen sites: {seen}. "
    "{mixture}: the images of all seen sites together; in print it is ambiguous. Paper: the printed number of its data "
    "set of the same image quality ({datasets}), other images than ours; a site's quality is that of its images in the "
    "runs (column domain); {nothing} where that is unknown or mixed, or nothing is printed. {note}"
)


FLATTER = "validation images, which also selected the checkpoint, so they flatter; the paper's are test images, 20 % of"
SEEN = {"val": f"{FLATTER} the same sites", SEEN_TEST: "test images, by which nothing was selected, as in the paper"}
"""Part -> what the caption says of the images of the seen sites."""


def section(system: System, collected: Collected, folder: Path) -> Document:
    """Two tables for every held-out site and what is missing from them; written as CSV into `folder` too."""
    blocks: Document = [Heading("Routed decoders beside other networks", 2)]
    for held_out, images in collected.images.groupby("held_out", sort=False):
        stages = collected.stages[collected.stages["held_out"] == held_out]
        for number, variants in system.tables.items():
            rows = table(images, stages, system, variants)
            write_csv(folder / f"ushydranet_{number.lower().replace(' ', '')}_{held_out}.csv", rows)
            title = f"{number}: {', '.join(system.columns.values())}, held out {held_out}"
            blocks += [Heading(title, 3), Table(rows, _caption(system, number, SEEN[seen_part(images)]))]
        blocks += gap_list(_gaps(collected, stages, system, folder.parent))
    return blocks


def table(images: pd.DataFrame, stages: pd.DataFrame, system: System, variants: tuple[str, ...]) -> pd.DataFrame:
    """One row per method and data set, each score beside the printed one."""
    sets, rows = datasets(images, qualities(images, stages), system), []
    runs = stages.drop_duplicates(["fold", "seed"])
    for variant in variants:
        methods = stages.loc[(stages["variant"] == variant) & (stages["stage"] == _stage(variant)), "method"]
        for title, dataset, own in sets:
            chosen = own[own["method"].isin(methods)]
            row = {"Method": system.methods[variant], "Images": title, "Paper's": dataset}
            printed = system.printed.get(variant, {}).get(dataset)
            rows.append(row | with_printed(_cells(chosen, system), printed) | {"n": _count(chosen, len(runs))})
    return pd.DataFrame(rows)


def qualities(images: pd.DataFrame, stages: pd.DataFrame) -> dict[str, str]:
    """Map each site whose images all have the same known quality to that quality."""
    words = {
        method: json.loads(task).get("domains") for method, task in zip(stages["method"], stages["task"], strict=True)
    }
    if "domain" not in images:
        return {}
    known = images[images["domain"].notna() & images["method"].map(words).notna()]
    named = [
        words[method][int(code)] if code >= 0 else ""
        for method, code in zip(known["method"], known["domain"], strict=True)
    ]
    of_sites = known.assign(quality=named).groupby("site")["quality"].unique()
    return {str(site): found[0] for site, found in of_sites.items() if len(found) == 1}


def datasets(images: pd.DataFrame, of_sites: dict[str, str], system: System) -> list[tuple[str, str, pd.DataFrame]]:
    """(title, the paper's data set or –, images): of each seen site, all of them, and each site of the test part."""
    own_part = seen_part(images)
    seen, test = (
        {str(site): own for site, own in images[images["part"] == part].groupby("site")} for part in (own_part, "test")
    )
    printed = {site: system.datasets.get(of_sites.get(site, ""), NOTHING) for site in seen}
    sets = [(site, printed[site], own) for site, own in seen.items()]
    sets.append((MIXTURE, MIXTURE, images[images["part"] == own_part]))
    for site, own in test.items():
        title, dataset = ("test part", printed[site]) if site in seen else ("unseen", system.unseen)
        sets.append((f"{site} ({title})", dataset, own))
    return sets


def _stage(variant: str) -> str:
    return "route" if variant in ROUTED else "train"


def _cells(images: pd.DataFrame, system: System) -> dict[str, str]:
    if images.empty:
        return dict.fromkeys(system.columns.values(), NOT_RUN)
    per_seed = pd.DataFrame([system.score(own) for _, own in images.groupby("seed")], columns=list(system.columns))
    means, sds = 100 * per_seed.mean(), 100 * per_seed.std()
    return {title: mean_cell(means[score], sds[score], 2) for score, title in system.columns.items()}


def _count(images: pd.DataFrame, runs: int) -> str:
    lacking = runs - len(images.drop_duplicates(["fold", "seed"]))
    return count_cell(images, lacking, runs) + ("" if lacking or images.empty else str(images["missing_runs"].iloc[0]))


def _caption(system: System, number: str, seen: str) -> str:
    pairs = ", ".join(f"{quality} = {name}" for quality, name in system.datasets.items())
    told = CAPTION.format(
        hydra=system.methods["weight_10"],
        control=CONTROL.lower(),
        mixture=MIXTURE,
        seen=seen,
        datasets=pairs,
        nothing=NOTHING,
        note=system.note,
    )
    return f"{told} {NOTES[number]}".strip()


def _gaps(collected: Collected, stages: pd.DataFrame, system: System, experiment: Path) -> list[Gap]:
    """Methods that lack some of the seeds or folds of the others, why, and the command that makes them."""
    states, gaps = reasons(collected), []
    held_out = str(stages["held_out"].iloc[0])
    pairs = sorted(set(zip(stages["fold"], stages["seed"], strict=True)))
    done = set(zip(stages["fold"], stages["seed"], stages["variant"], strict=True))
    for variant, name in system.methods.items():
        lacking = [(fold, seed) for fold, seed in pairs if (fold, seed, variant) not in done]
        if lacking:
            seeds = ",".join(map(str, dict.fromkeys(seed for _, seed in lacking)))
            why = dict.fromkeys(states.get(f"{f}/seed{s}/{variant}", "not started") for f, s in lacking)
            needs = "; needs torchvision (pip install torchvision)" if variant in TORCHVISION else ""
            fill = _command(experiment, system, variant, **held_out_key(collected, held_out), seed=seeds)
            gaps.append(Gap(f"'{name}'", f"not run (seed {seeds}): {'; '.join(why)}{needs}", fill))
    return gaps


def _command(experiment: Path, system: System, variant: str, **changed: object) -> str:
    """The last sweep's command for another arm; what it set of another experiment's stages and network is left out."""
    group, name = ("hydra", system.experiment) if variant in ROUTED else ("hydra_baselines",) * 2
    words = shlex.split(command(experiment, **changed, arm=f"{group}/{variant}"))
    if f"+experiment={name}" not in words:
        foreign = ("experiment=", "stages.", "network", "variant=")
        words = [word for word in words if not word.lstrip("+~").startswith(foreign)]
        words.insert(words.index("ushydra_lab") + 1, f"+experiment={name}")
    return shlex.join(words)
