"""How like real images the phantom's are: statistics of both by the same functions, and what its images cost.

Real images are read where the environment variable USHYDRA_REAL_DATA names a folder that holds `nt_fetus_framework` and
`hc18`, these data sets or parts of them; else the figures stored here stand for them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from PIL import Image

from ushydra_lab import phantom
from ushydra_lab.benchmark.image_statistics import Grey, head_statistics, nt_statistics
from ushydra_lab.benchmark.lab import Lab, quiet
from ushydra_lab.benchmark.rows import Row, longer
from ushydra_lab.benchmark.timing import Quartiles, interleaved
from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import fetus_framework, hc18
from ushydra_lab.data.source import Source

PART = "phantom"
REAL_DATA = "USHYDRA_REAL_DATA"
TOLERANCE = 0.25
"""How far from the real statistic one at `real` may be, in parts of it; a mean may be one real SD away."""
SLOWER = 1.5
"""An image at `real` may take so many times as long as one at `easy`."""
IMAGES, TIMED = {"tiny": 2}, {"tiny": 1}
MANY_IMAGES, TIMED_IMAGES = 24, 6
"""A site and difficulty."""
REAL_IMAGES = 80

Statistics = Mapping[str, tuple[float, float]]
"""Name -> value and, of a mean, the SD over images within a site (else 0)."""


@dataclass(frozen=True)
class Likeness:
    """What is compared of a scene: means and SDs over images; published: these of `source`, as measured here."""

    measure: Callable[[Grey, Mapping[str, Any]], dict[str, float]]
    read: Callable[[Path], Source]
    folder: str
    annotation: str
    means: tuple[str, ...]
    spreads: tuple[str, ...]
    source: str
    published: Statistics


LIKENESSES = {
    "nt": Likeness(
        nt_statistics, fetus_framework.read, "nt_fetus_framework", "nt_x1",
        means=("lumen", "walls", "box height", "slope"), spreads=("lumen", "walls", "image", "x", "y"),
        source="51 images, Cui and Dong 2022, doi 10.17632/n2rbrb9t4f",
        published={
            "lumen": (0.065, 0.052), "walls": (0.721, 0.150), "box height": (0.070, 0.021), "slope": (-4.79, 0.73),
            "lumen, SD": (0.052, 0.0), "walls, SD": (0.150, 0.0), "image, SD": (0.036, 0.0), "x, SD": (0.126, 0.0),
            "y, SD": (0.047, 0.0),
        },
    ),
    "head": Likeness(
        head_statistics, hc18.read, "hc18", "ofd_1_x",
        means=("skull", "OFD", "slope"), spreads=("image", "x", "y", "OFD"),
        source="80 images, HC18, doi 10.5281/zenodo.1327317",
        published={
            "skull": (0.717, 0.137), "OFD": (0.523, 0.128), "slope": (-5.36, 0.79), "image, SD": (0.044, 0.0),
            "x, SD": (0.062, 0.0), "y, SD": (0.075, 0.0), "OFD, SD": (0.128, 0.0),
        },
    ),
}  # fmt: skip


def rows(lab: Lab) -> Iterator[Row]:
    """A row a statistic and difficulty, beside the real one; then how long an image takes to draw."""
    images = IMAGES.get(lab.scale, MANY_IMAGES)
    for scene, likeness in LIKENESSES.items():
        yield from _compared(scene, likeness, images)
    for scene in phantom.SCENES:
        yield _cost(lab, scene)


def _compared(scene: str, likeness: Likeness, images: int) -> Iterator[Row]:
    real, source = real_statistics(likeness)
    found = {difficulty: phantom_statistics(scene, difficulty, images) for difficulty in phantom.DIFFICULTIES}
    for name, (reference, sd) in real.items():
        allowed = max(TOLERANCE * abs(reference), sd)
        for difficulty, statistics in found.items():
            away = Quartiles.exact(abs(statistics[name][0] - reference) / allowed)
            aim = 1.0 if difficulty == "real" else None
            values = _spread(statistics[name]), "", source, _spread((reference, sd))
            yield Row(PART, f"{scene}: {name}", difficulty, *values, away, "of the tolerance", at_most=aim)


def real_statistics(likeness: Likeness) -> tuple[Statistics, str]:
    """Of the real images that the environment names, else the published ones; and whose they are."""
    folder = Path(os.environ.get(REAL_DATA, "")) / likeness.folder
    if not os.environ.get(REAL_DATA) or not folder.is_dir():
        return likeness.published, f"stored: {likeness.source}"
    with quiet():
        table = check_manifest(likeness.read(folder)).table
    table = table[table[likeness.annotation].notna()]
    rows = table.iloc[:: -(-len(table) // REAL_IMAGES)].to_dict("records")
    measured = [likeness.measure(_grey(row["image"]), cast(dict[str, Any], row)) for row in rows]
    return summary(
        likeness, pd.DataFrame(measured).assign(site=likeness.folder)
    ), f"{len(rows)} images below ${REAL_DATA}"


def phantom_statistics(scene: str, difficulty: str, images: int) -> Statistics:
    """Of so many images of each of the scene's first sites."""
    likeness = LIKENESSES[scene]
    measured = []
    for site in phantom.SCENES[scene].sites():
        for index in range(images):
            record = phantom.render(scene, 0, site, index, difficulty)
            measured.append(likeness.measure(record.image / 255, record.annotations) | {"site": site})
    return summary(likeness, pd.DataFrame(measured))


def summary(likeness: Likeness, measured: pd.DataFrame) -> Statistics:
    """measured: a row an image, with its site. SDs are those within a site, averaged over the sites."""
    within = measured.groupby("site").std(ddof=1).mean()
    means = {name: (float(measured[name].mean()), float(within[name])) for name in likeness.means}
    return means | {f"{name}, SD": (float(within[name]), 0.0) for name in likeness.spreads}


def _grey(path: str) -> Grey:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"), float) / 255


def _spread(value: tuple[float, float]) -> Quartiles:
    mean, sd = value
    return Quartiles(mean, mean - sd, mean + sd)


def _cost(lab: Lab, scene: str) -> Row:
    """Images of all sites in turn, at `real` and at `easy`."""
    sites, count = phantom.SCENES[scene].sites(), TIMED.get(lab.scale, TIMED_IMAGES)

    def draw(difficulty: str) -> None:
        for site in sites:
            for index in range(count):
                phantom.render(scene, 0, site, index, difficulty)

    works = {difficulty: lambda difficulty=difficulty: draw(difficulty) for difficulty in ("real", phantom.EASY)}
    times = interleaved(works, lab.repeats, lab.device)
    each = {difficulty: [one / (count * len(sites)) for one in taken] for difficulty, taken in times.items()}
    return longer(PART, f"{scene}: an image", "real", each["real"], "easy", each[phantom.EASY], at_most=SLOWER)
