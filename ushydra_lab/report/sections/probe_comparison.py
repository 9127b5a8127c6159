"""Probes of a trained code z beside those of an untrained one: differences with intervals, by the lab's statistics."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ushydra_lab.files import write_csv
from ushydra_lab.report.comparisons import INTERVAL
from ushydra_lab.report.document import Document, Heading, Table
from ushydra_lab.report.sections.code_training import AUXILIARY, BY_DECODER, UNTRAINED, trained_by
from ushydra_lab.report.sections.probe_tables import NOT_PROBED
from ushydra_lab.results.clustered import area_of_images, balanced
from ushydra_lab.results.crossed import effect
from ushydra_lab.results.family import Comparison, adjusted

TITLE = "Probes of a trained code beside an untrained one"
AREAS = {"mahalanobis": "Mahalanobis", "mahalanobis_l2": "Mahalanobis, |z| = 1", "knn": "kNN"}
SCORES = {"site_right": "Accuracy, seen sites"} | {name: f"{title} AUROC" for name, title in AREAS.items()}
QUALITY, ERRORS = "quality", ("roi_edge_mae", "difficulty")
SCORES |= {QUALITY: "R² of the error"}
CAPTION = (
    "Code z of the last stage. First row: the untrained code's scores; below: a trained code's, the difference from "
    f"the untrained one's, and its {INTERVAL} (of this table); * significant after Holm's adjustment. R² takes the "
    "variance of the errors as known; those of another reconstruction are other errors."
)
Key = tuple[str, str, str]
"""Held-out site, method, score."""


def section(codes: pd.DataFrame, stages: pd.DataFrame, folder: Path) -> Document:
    """A table, written as CSV into `folder` too; nothing unless both kinds of codes were probed.

    codes: of z, one row per run, stage and image: held_out, fold, seed, method_name, stage and the columns of
    probes.csv. stages: as collected.
    """
    methods = trained_methods(stages)
    first = next((method for method, words in methods.items() if words == UNTRAINED), None)
    others = [method for method, words in methods.items() if words != UNTRAINED]
    if codes.empty or first is None or not others:
        return []
    images = image_scores(codes[codes["method_name"].isin([first, *others])])
    compared = compare(images, first, others)
    if not compared:
        return []
    rows = pd.DataFrame(_rows(compared, images[images["method_name"] == first], others))
    write_csv(folder / "probes_trained_code.csv", rows.replace("\n", " ", regex=True))
    return [Heading(TITLE, 3), Table(rows, f"{CAPTION} {conclusion(compared, others)}")]


def trained_methods(stages: pd.DataFrame) -> dict[str, str]:
    """Methods of the last stage whose z is an autoencoder's -> what trained it, by `trained_by`."""
    found = {}
    for row in stages.drop_duplicates("method_name").to_dict("records"):
        config = row["run"].config
        words = trained_by(config["network"])
        if row["stage"] == list(config["stages"])[-1] and words in (*AUXILIARY.values(), BY_DECODER):
            found[row["method_name"]] = words
    return found


def image_scores(codes: pd.DataFrame) -> pd.DataFrame:
    """One row per image as `results.crossed.effect` needs it; each of SCORES is a column, its mean over images."""
    runs = codes[codes["part"] != "train"].groupby(["held_out", "fold", "seed", "method_name"], sort=False)
    return pd.concat([_of_run(run) for _, run in runs]).rename(columns={"unit": "subject"})


def _of_run(images: pd.DataFrame) -> pd.DataFrame:
    unseen = images["part"] == "test"
    scores = {name: area_of_images(images[name], unseen) for name in AREAS if name in images}
    for name in ERRORS:
        if f"{name}_predicted" in images:
            missed = (images[name] - images[f"{name}_predicted"])[unseen] ** 2
            scores[QUALITY] = 1 - missed / np.var(images.loc[unseen, name].dropna())
    return images.assign(**scores, weight=balanced(unseen))


def compare(images: pd.DataFrame, first: str, others: list[str]) -> dict[Key, Comparison]:
    """Every other method against the first, at every held-out site and in every score: one family of tests."""
    effects = {}
    for held_out, own in images.groupby("held_out", sort=False):
        of_method = dict(tuple(own.groupby("method_name")))
        for method in others:
            for score in SCORES:
                if score in own and {first, method} <= of_method.keys():
                    most, weight = np.inf if score == QUALITY else 1.0, "weight" if score in AREAS else None
                    pair = of_method[first], of_method[method]
                    effects[str(held_out), method, score] = effect(*pair, score, most=most, weight=weight)
    return adjusted(effects)


def conclusion(compared: dict[Key, Comparison], others: list[str]) -> str:
    """In which scores each trained code is higher than the untrained one, lower, or not shown to be either."""
    sentences = []
    for method in others:
        own = {key: one for key, one in compared.items() if key[1] == method}
        signs = {key: np.sign(one.effect.change) if one.starred else 0 for key, one in own.items()}
        parts = [
            f"{words} in {', '.join(names)}"
            for sign, words in ((1, "higher"), (-1, "LOWER"), (0, "NOT shown to be higher"))
            if (names := [f"{SCORES[score]} ({site})" for (site, _, score), of in signs.items() if of == sign])
        ]
        sentences += [f"{method}: {'; '.join(parts)}."] * bool(parts)
    return " ".join(sentences)


def _rows(compared: dict[Key, Comparison], untrained: pd.DataFrame, others: list[str]) -> Iterator[dict[str, str]]:
    for held_out, images in untrained.groupby("held_out", sort=False):
        scores = [score for score in SCORES if score in images]
        first = {SCORES[score]: f"{images[score].mean():.3f}" for score in scores}
        row = {"held out": str(held_out), "method": str(images["method_name"].iloc[0])}
        yield row | first | {"seeds": str(images["seed"].nunique())}
        for method in others:
            own = {score: compared.get((str(held_out), method, score)) for score in scores}
            cells = {SCORES[score]: _cell(one) if one else NOT_PROBED for score, one in own.items()}
            seeds = max((one.effect.seeds for one in own.values() if one), default=0)
            yield row | {"method": method} | cells | {"seeds": str(seeds)}


def _cell(one: Comparison) -> str:
    value, change = f"{one.effect.means[1]:.3f}", one.effect.change
    if np.isnan(one.simultaneous[0]):
        return f"{value}\n{change:+.3f} [no interval]"
    low, high = one.simultaneous
    return f"{value}\n{change:+.3f}{'*' * one.starred} [{low:+.3f}, {high:+.3f}]"
