"""CardiacUDA: echocardiography videos of two hospitals, G and R, a few frames of each with the chambers labelled.

J. Yang et al., "GraphEcho", ICCV 2023, arXiv 2309.11145; Kaggle xiaoweixumedicalai/cardiacudc-dataset (its page states
the licence). `cardiacUDC_dataset/{Site_G_20, ..., Site_R_126}/patient-1-4_image.nii.gz` with `_label.nii.gz`, frames
last; the number before `_image` is the view: 1 left ventricle long axis, 2 pulmonary artery, 3 short axis, 4 apical
four-chamber. `Site_R_73` has no labels.

Labels of the four-chamber view: 1 left ventricle, 2 left atrium, 3 right atrium, 4 right ventricle, by the authors'
own loader (xmed-lab/GraphEcho, datasets/cardiac_uda.py); other public code takes 2 for the right ventricle, and some
finds 5 (epicardium) and 6: look at the overlays, and set `labels`. Some labels are outlines only: they are filled.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import binary_fill_holes

from ushydra_lab.data.io import volumes
from ushydra_lab.data.io.convert import Conversion, Converter, Images, isotropic, pixel_mm, remarks
from ushydra_lab.data.io.files import files
from ushydra_lab.data.io.image import in_threads
from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.data.readers import folders
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError

NAME = "cardiac_uda"
HOW = "cardiac_uda 1"
DOWNLOAD = "download CardiacUDA (kaggle.com/datasets/xiaoweixumedicalai/cardiacudc-dataset)"
LABELS = {"lv": 1, "left_atrium": 2, "right_atrium": 3, "right_ventricle": 4}
IMAGE = re.compile(r"(?P<stem>(?P<patient>.+)-(?P<view>\d))_image(?P<suffix>\.nii(\.gz)?)")
EVERY_FRAME = "label_all_frame"
UNCALIBRATED = (1.0, 1.0)  # what a NIfTI file says that was made from a video without spacing


@dataclass(frozen=True)
class Video:
    site: str
    subject: str
    image: Path
    labels: Path


def read(
    root: str | PathLike[str],
    cache: str | PathLike[str],
    view: int = 4,
    labels: Mapping[str, int] = LABELS,
    ignored: Collection[int] = (5,),
    strict: bool = False,
) -> Source:
    """One row per labelled frame, as PNG in `cache`. labels: value in the files of each structure; ignored: values that
    become background; any other value is a problem.

    The site is the hospital (Site_G, Site_R), as the authors adapt from one to the other; a subject is a folder and a
    patient. The folder label_all_frame is left out: its names do not say whose patients these are, and labels there
    were found coded otherwise. Spacing of exactly 1 x 1 mm is none. Files that cannot be used are left out and listed,
    unless strict. Raises UserError: no such folder, no labelled video of the view, labels given twice, no file that can
    be used.
    """
    base = folders.holding(root, "Site_[GR]_*", DOWNLOAD)
    code = _code(labels, ignored)
    videos = _videos(base, view)
    known = sorted({*labels.values(), *ignored})
    how = f"{HOW} {known}"
    conversions = [Conversion((video.image, video.labels), how, partial(_images, video, known)) for video in videos]
    converted = Converter(Path(cache), base, strict).pngs(conversions)
    videos, pngs = [v for v, files in zip(videos, converted, strict=True) if files], [f for f in converted if f]
    spacings = in_threads(lambda video: volumes.header(video.image).spacing, videos, "Reading headers")
    if without := spacings.count(UNCALIBRATED):
        print(f"{NAME}: {without} of {len(videos)} videos have no pixel spacing")
    rows = [
        {
            "image": str(files[name]),
            "site": video.site,
            "subject": video.subject,
            "pixel_mm": np.nan if spacing == UNCALIBRATED else pixel_mm(spacing),
            "mask": str(files[f"{name}_labels"]),
            "source": f"{video.image.relative_to(base).as_posix()}, {name}",
        }
        for video, files, spacing in zip(videos, pngs, spacings, strict=True)
        for name in files
        if f"{name}_labels" in files
    ]
    if not rows:
        raise UserError(f"{base}: no frame of view {view} has labels")
    table = pd.DataFrame(rows, index=pd.RangeIndex(len(rows), name="row"))
    return Source(table, NAME, base, code, strict=strict, remarks=remarks(converted))


def _code(labels: Mapping[str, int], ignored: Collection[int]) -> MaskCode:
    for key, values in (("labels", list(labels.values())), ("ignored", list(ignored))):
        if not all(isinstance(value, int) and 0 < value < 256 for value in values):
            raise UserError(f"data.{key}: {', '.join(map(str, values))} are not label values of 1 to 255")
    used = [*labels.values(), *ignored]
    if not labels or len({*used}) < len(used):
        raise UserError(f"data.labels = {dict(labels)}, data.ignored = {list(ignored)}: give every value once")
    code = MaskCode.of({str(name): value for name, value in labels.items()})
    return MaskCode(code.structures, {**code.colours, **{(value,) * 3: 0 for value in ignored}})


def _videos(base: Path, view: int) -> list[Video]:
    """Those of the view with labels, by path; the others are counted."""
    paths = [path for path in files(base, ".nii", ".gz") if "_image.nii" in path.name and path.parents[1] == base]
    named = [(path, match) for path in paths if (match := IMAGE.fullmatch(path.name))]
    of_view = [(path, match) for path, match in named if int(match["view"]) == view]
    sites = [(path, match) for path, match in of_view if path.parent.name != EVERY_FRAME]
    videos = [
        Video(path.parent.name.rpartition("_")[0], f"{path.parent.name}/{match['patient']}", path, labels)
        for path, match in sites
        if (labels := path.with_name(f"{match['stem']}_label{match['suffix']}")).exists()
    ]
    print(
        f"{NAME}: {len(videos)} videos of view {view}; left out: {len(sites) - len(videos)} without labels, "
        f"{len(of_view) - len(sites)} in {EVERY_FRAME}, {len(named) - len(of_view)} of other views, "
        f"{len(paths) - len(named)} whose name tells no view"
    )
    if not videos:
        raise UserError(f"{base}: no labelled video of view {view}; {DOWNLOAD} or set data.view")
    return videos


def _images(video: Video, known: Collection[int]) -> Images:
    header = volumes.header(video.image)
    labels = volumes.labels(video.labels, header.shape, known)
    frames = np.flatnonzero(labels.any(axis=(1, 2)))
    if not frames.size:
        return
    pixels = volumes.read(video.image)
    for frame in frames:
        name = f"frame_{frame:04d}"
        yield name, isotropic(volumes.grey(pixels[frame]), header.spacing)
        yield f"{name}_labels", isotropic(_filled(labels[frame]), header.spacing, labels=True)


def _filled(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Background that one label encloses belongs to it."""
    filled = labels.copy()
    for value in np.unique(labels[labels > 0]):
        filled[binary_fill_holes(labels == value) & (labels == 0)] = value
    return filled
