"""The multicentre fetal biometry benchmark's cross-site table: our numbers of each tested site, and printed ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from ushydra_lab.data.vocabulary import LABEL_FLAG, PUBLISHED
from ushydra_lab.files import write_csv
from ushydra_lab.report.document import Document, Heading, Note, Table
from ushydra_lab.report.missing import gap_list, splits_to_run
from ushydra_lab.report.papers.multicentre.printed import POOLED, PRINTED, TEST_IMAGES, TRAIN_IMAGES
from ushydra_lab.report.tables import (
    NOT_RUN,
    NOTHING,
    count_cell,
    last_stage,
    mean_cell,
    methods_in,
    spread_cell,
    with_printed,
)
from ushydra_lab.results.collect import Collected
from ushydra_lab.results.location import location

METRICS = {"bpd_nme": "BPD", "ofd_nme": "OFD"}
HERE, PUBLISHED_TEST, PLAUSIBLE = "all here", "published test part", "without flagged labels"
CAPTION = (
    "NME by each diameter's own length, its ends exchangeable: mean ± SD over seeds (ddof 1) of the mean over images, "
    "and the median over images; lower is better. Trained on: all images of these sites that are here, none of the "
    "tested site. Paper: trained on one site's published training part "
    f"({', '.join(f'{site} {count}' for site, count in TRAIN_IMAGES.items())} heads), tested on another's test part "
    f"({', '.join(f'{site} {count}' for site, count in TEST_IMAGES.items())}); {NOTHING}: nothing is printed for these "
    "sites. Chosen: the arm with the lowest NME on validation images of the training sites. n: seeds x images."
)


def section(collected: Collected, folder: Path) -> Document:
    """The table with a row for each tested site, set of images and method, also as CSV, and what it lacks."""
    images = last_stage(collected.images)
    tested = tested_images(collected, images)
    best = {str(held_out): chosen(own) for held_out, own in images.groupby("held_out")}
    rows = pd.DataFrame([*_ours(tested, best), *_not_run(set(zip(tested["trained"], tested["tested"], strict=True)))])
    write_csv(folder / "multicentre.csv", rows)
    notes: Document = [Note(text) for text in _remarks(collected, tested)]
    gaps = gap_list(splits_to_run(collected, folder.parent))
    return [Heading("The multicentre benchmark's table", 2), Table(rows, CAPTION), *notes, *gaps]


def tested_images(collected: Collected, images: pd.DataFrame) -> pd.DataFrame:
    """The test images with the sites that were `trained` on, in alphabetical order, and what is `tested`: the image's
    site, or POOLED where that was trained on too.
    """
    runs = collected.stages.drop_duplicates("held_out").set_index("held_out")["run"]
    splits = {held_out: run.split for held_out, run in runs.items()}
    trained = {held_out: tuple(sorted(set(of.loc[of["part"] == "train", "site"]))) for held_out, of in splits.items()}
    test = images[images["part"] == "test"]
    pairs = zip(test["site"], test["held_out"], strict=True)
    tested = [POOLED if site in trained[held_out] else site for site, held_out in pairs]
    return test.assign(trained=test["held_out"].map(trained), tested=tested)


def chosen(images: pd.DataFrame) -> str:
    """The method with the lowest mean NME on the validation images of one held-out site; '' without such images."""
    means = images[images["part"] == "val"].groupby("method_name")["nme_own"].mean().dropna()
    return str(means.idxmin()) if len(means) else ""


def subsets(images: pd.DataFrame) -> Iterator[tuple[str, pd.DataFrame]]:
    """All test images of one site, then those of the published test part and those whose labels are not flagged, where
    these are fewer.
    """
    kept = {PUBLISHED_TEST: (PUBLISHED, "test"), PLAUSIBLE: (LABEL_FLAG, "")}
    yield HERE, images
    for name, (column, word) in kept.items():
        if column in images and 0 < (of := images[column] == word).sum() < len(images):
            yield name, images[of]


def _ours(tested: pd.DataFrame, best: dict[str, str]) -> Iterator[dict[str, str]]:
    for (held_out, site), own in tested.groupby(["held_out", "tested"], sort=False):
        trained = own["trained"].iloc[0]
        for name, images in subsets(own):
            for method in methods_in(images):
                who = {"trained on": ", ".join(trained), "tested on": str(site), "images": name, "method": method}
                of_method = images[images["method"] == method]
                yield who | _row(of_method, best[str(held_out)], PRINTED.get((trained, str(site))))


def _row(images: pd.DataFrame, best: str, printed: tuple[str, str] | None) -> dict[str, str]:
    means = {title: spread_cell(images, name, 3) for name, title in METRICS.items()}
    medians = {
        f"{title} median": mean_cell(location(images, name).median, np.nan, 3) for name, title in METRICS.items()
    }
    marked = "yes" if images["method_name"].iloc[0] == best else ""
    return with_printed(means, printed) | medians | {"chosen": marked, "n": count_cell(images)}


def _not_run(ran: set[tuple[tuple[str, ...], str]]) -> Iterator[dict[str, str]]:
    """Rows of what is printed and no run has."""
    for (trained, site), values in PRINTED.items():
        if (trained, site) not in ran:
            who = {"trained on": ", ".join(trained), "tested on": site, "images": NOTHING, "method": NOT_RUN}
            medians = {f"{title} median": NOT_RUN for title in METRICS.values()}
            yield (
                who
                | with_printed(dict.fromkeys(METRICS.values(), NOT_RUN), values)
                | medians
                | {"chosen": "", "n": "0"}
            )


def _remarks(collected: Collected, tested: pd.DataFrame) -> Iterator[str]:
    """Sites that are not here, how much of the published test parts is, and the labels that are flagged."""
    here = {site for sites in collected.stages["sites"] for site in sites}
    once = tested.drop_duplicates(["site", "record"])
    for site, count in TEST_IMAGES.items():
        known = once[once["site"] == site]
        if site not in here:
            yield f"{site} is no site of these runs."
        elif PUBLISHED in known and len(known):
            number = int((known[PUBLISHED] == "test").sum())
            yield f"{site}: {number} of the {count} published test images are among the tested ones."
    flagged = once[once[LABEL_FLAG].fillna("") != ""] if LABEL_FLAG in once else once.head(0)
    for row in flagged.to_dict("records"):
        yield f"Flagged by the audit of labels: record {row['record']} of {row['site']}, {row[LABEL_FLAG]}."
