"""Multicentre fetal biometry benchmark: end points of the diameters of head, abdomen and femur at three sites.

C. Di Vece et al., A multi-centre, multi-device benchmark dataset for landmark-based comprehensive fetal biometry,
arXiv 2512.16710, 2025; licence CC BY-NC-SA 4.0. A site is HC18 (heads only), FP or UCL: a folder of that name holds
`Head.csv`, `Abdomen.csv`, `Femur.csv`. The images of HC18 and FP are those of HC18 and FETAL_PLANES_DB.
"""

import os
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import pandas as pd

from ushydra_lab.data.io.files import files
from ushydra_lab.data.io.resample import resampled
from ushydra_lab.data.readers import fetal_planes, folders
from ushydra_lab.data.readers.hc18 import subject_of
from ushydra_lab.data.readers.tables import (
    digest,
    file_names,
    files_by_name,
    of_one_unit,
    read_table,
    shift_coordinates,
    stacked,
)
from ushydra_lab.data.source import Source
from ushydra_lab.data.vocabulary import ANNOTATIONS, DECLARED, nearest
from ushydra_lab.errors import UserError

DOWNLOAD = "download the annotations (github.com/surgical-vision/Multicentre-Fetal-Biometry)"
SITES = {"hc18": "HC18", "fp": "FP", "ucl": "UCL"}
ANATOMIES = {"head": "landmarks", "abdomen": "abdomen_landmarks", "femur": "femur_landmarks"}
NAME, PIXEL, SPLIT = "image_name", "px_to_mm_rate", "Split"
CENTRE = ["center_w", "center_h"]  # px, half the image's size
IMAGES = (".png", ".jpg", ".jpeg")
UNLABELLED = "test_set"  # of HC18: other images of the same names


def read(
    root: str | PathLike[str],
    anatomy: str = "head",
    images: Mapping[str, str] | None = None,
    resample: str | None = None,
    fp_by_machine: bool = False,
    cache: str | PathLike[str] = "",
    strict: bool = False,
) -> Source:
    """One row per image of one anatomy: end points (px), mm per px where known, the published train and test part.

    images: site -> folder of its images, below root or absolute; elsewhere an image is looked for by its name under
    root, where folders named after another site do not count. The points are pixel indices, so 0.5 is added; rows
    with a point outside the image (a skull that the image cuts) have none. Where no subject is given it is the name's
    number: 002_3HC.jpeg is the third image of 002. The published parts of UCL share some of these: their training
    images are then of no part. The tables tell each image's size: copies that were stretched are left out by the check,
    or with resample='declared' brought back to it, as PNG in `cache`. fp_by_machine: a site of FP's images is their
    ultrasound machine, by the table of FETAL_PLANES_DB below root. strict: see `Source`. Raises UserError: no CSV of
    that anatomy, two different images of one name; fp_by_machine without that table, or with images that it lacks.
    """
    root = Path(os.path.abspath(folders.existing(root, DOWNLOAD)))  # noqa: PTH100 (links are followed only where they are checked)
    if anatomy not in ANATOMIES:
        raise UserError(f"anatomy={anatomy} is not one of {', '.join(ANATOMIES)}{nearest(anatomy, ANATOMIES)}")
    tables = {path.relative_to(root).as_posix(): _table(path, site, anatomy) for path, site in _csvs(root, anatomy)}
    table = stacked(tables)
    table["image"] = _images(table, root, images or {})
    table = _kept_apart(table)
    table = _by_machine(table, root) if fp_by_machine else table
    source = Source(table, f"multicentre_landmarks ({anatomy})", root, partial=True, strict=strict)
    return resampled(source, cache, resample)


def _csvs(root: Path, anatomy: str) -> list[tuple[Path, str]]:
    """The table of every site, or its _Train and _Test halves; the one least deep of several copies."""
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(files(root, ".csv"), key=lambda path: (len(path.parts), path)):
        if (site := _site_of(path, root)) and path.stem.lower() in (anatomy, f"{anatomy}_train", f"{anatomy}_test"):
            found.setdefault(site, {}).setdefault(path.stem.lower(), path)
    if not found:
        raise UserError(
            f"{root}: no {anatomy.title()}.csv in a folder named {', '.join(SITES.values())}; {DOWNLOAD} "
            "and set data.root to their folder"
        )
    chosen = [(site, [halves[anatomy]] if anatomy in halves else halves.values()) for site, halves in found.items()]
    return sorted((path, site) for site, paths in chosen for path in paths)


def _site_of(path: Path, root: Path) -> str:
    """By the innermost folder whose name is a site's or ends with one, as in multicentre_HC18; '' if there is none."""
    words = [re.split(r"[^a-z0-9]", part.lower())[-1] for part in path.parent.relative_to(root.parent).parts]
    return next((SITES[word] for word in reversed(words) if word in SITES), "")


def _table(path: Path, site: str, anatomy: str) -> pd.DataFrame:
    points = list(ANNOTATIONS[ANATOMIES[anatomy]].columns)
    table = read_table(path, [NAME, PIXEL, SPLIT, *CENTRE, *points])
    names = file_names(path, table[NAME])
    given = [table[column] for column in ("SubjectID", "Patient") if column in table]
    subjects = given[0].str.strip() if given else pd.Series("", table.index)
    rows = pd.DataFrame(
        {
            "image": names,
            "site": site,
            "subject": subjects.where(subjects != "", names.map(subject_of)),
            "part": table[SPLIT].str.strip().str.lower(),
            "pixel_mm": table[PIXEL],
        }
    )
    rows[list(DECLARED)] = 2 * table[CENTRE].apply(pd.to_numeric, errors="coerce")
    return rows.join(_inside(path, shift_coordinates(table[points], 0.5), rows[list(DECLARED)]))


def _inside(path: Path, points: pd.DataFrame, sizes: pd.DataFrame) -> pd.DataFrame:
    numbers = points.apply(pd.to_numeric, errors="coerce")
    limits = sizes.to_numpy()[:, [i % 2 for i in range(len(points.columns))]]
    outside = ((numbers < -1) | (numbers > limits + 1)).any(axis=1)
    if outside.any():
        print(f"{path}: {outside.sum()} rows have a point outside the image: they get no landmarks")
    return points.mask(outside, axis=0)


def _images(table: pd.DataFrame, root: Path, folders: Mapping[str, str]) -> pd.Series:
    """Path of every row's image, the bare name where there is none."""
    if unknown := [f"{site!r}{nearest(site, SITES.values())}" for site in folders if site not in SITES.values()]:
        raise UserError(f"data.images: no site {', '.join(unknown)}; they are {', '.join(SITES.values())}")
    anywhere = files_by_name(root, IMAGES)
    below = {site: files_by_name(Path(os.path.normpath(root / folder)), IMAGES) for site, folder in folders.items()}
    paths, problems = [], []
    for line, name, site in table[["image", "site"]].itertuples():
        found = below[site].get(name, []) if site in below else _of_site(anywhere.get(name, []), site, root)
        if len(found) > 1 and len(set(map(digest, found))) > 1:
            problems.append(f"line {line}: {name} is {' and '.join(map(str, found))}")
        paths.append(str(_relative(found[0], root)) if found else name)
    if problems:
        raise UserError.listing("different images of one name; set data.images={SITE: FOLDER}", problems)
    return pd.Series(paths, table.index)


def _relative(path: Path, root: Path) -> Path:
    return path.relative_to(root) if path.is_relative_to(root) else path


def _of_site(found: list[Path], site: str, root: Path) -> list[Path]:
    """Those in a folder of the site, else those in no site's folder."""
    labelled = [path for path in found if UNLABELLED not in path.relative_to(root).parts]
    own = [path for path in labelled if _site_of(path, root) == site]
    return own or [path for path in labelled if not _site_of(path, root)]


def _kept_apart(table: pd.DataFrame) -> pd.DataFrame:
    parts = table.groupby(["site", "subject"])["part"].transform("nunique")
    shared = (parts > 1) & (table["part"] == "train")
    if shared.any():
        subjects = table.loc[shared, ["site", "subject"]].drop_duplicates().agg(" ".join, axis=1)
        print(
            f"multicentre_landmarks: {len(subjects)} subjects are in the published train and test part "
            f"({', '.join(subjects)}): their {shared.sum()} training images are left out of both"
        )
    return table.assign(part=table["part"].mask(shared, ""))


def _by_machine(table: pd.DataFrame, root: Path) -> pd.DataFrame:
    """FP's rows with their machine as the site; of a subject seen with several only those of the most used one.

    A machine of which images of one subject alone are there is left out: a site needs one subject to train on and one
    to validate.
    """
    sheets = files_by_name(root, (".csv",)).get(fetal_planes.SHEET, [])
    if len(set(map(digest, sheets))) != 1:
        found = f"{len(sheets)} different ones: {', '.join(map(str, sheets))}" if sheets else "it is not there"
        raise UserError(f"data.fp_by_machine=true takes one {fetal_planes.SHEET} below {root}; {found}")
    fp = table["site"] == SITES["fp"]
    names = table.loc[fp, "image"].map(lambda path: Path(path).stem)
    rows = table[fp].assign(site=fetal_planes.machines(sheets[0]).reindex(names, fill_value="").to_numpy())
    if lacking := [f"line {line}: {name}" for line, name in names[rows["site"] == ""].items()]:
        raise UserError.listing(f"{sheets[0]}: no machine of these images of FP; data.fp_by_machine=false", lacking)
    kept = of_one_unit(rows, "subject", "site")
    print(f"multicentre_landmarks: {(~kept).sum()} images of subjects seen with several machines are left out")
    rows = rows[kept]
    here = rows[[(root / image).is_file() for image in rows["image"]]]
    if few := [machine for machine, subjects in here.groupby("site")["subject"].nunique().items() if subjects < 2]:
        print(
            f"multicentre_landmarks: machines with images of a single subject are left out: {', '.join(map(str, few))}"
        )
    return pd.concat([table[~fp], rows[~rows["site"].isin(few)]])
