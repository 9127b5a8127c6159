"""CAMUS: apical two- and four-chamber views of 500 patients at end diastole and end systole, one hospital.

S. Leclerc et al., IEEE Transactions on Medical Imaging 38, 2198 (2019), doi 10.1109/TMI.2019.2900516; University
Hospital of St Etienne; licence CC BY-NC-SA 4.0, humanheart-project.creatis.insa-lyon.fr. One folder per patient:
`patient0001/patient0001_2CH_ED.nii.gz`, with `_gt` its labels (0 background, 1 left ventricle, 2 myocardium, 3 left
atrium), `Info_2CH.cfg` (optional); beside `database_nifti` the folder `database_split` (optional). Older copies have
`.mhd` with `.raw`, in the folders `training` and `testing`, the latter without labels.
"""

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from ushydra_lab.data.io import volumes
from ushydra_lab.data.io.convert import Conversion, Converter, Images, isotropic, pixel_mm, remarks
from ushydra_lab.data.io.files import exists
from ushydra_lab.data.io.files import folders as folders_below
from ushydra_lab.data.io.image import ImageProblem, in_threads
from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.data.readers import folders
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError

NAME = "camus"
HOW = "camus 1"
DOWNLOAD = "download CAMUS (humanheart-project.creatis.insa-lyon.fr)"
STRUCTURES = {"lv": 1, "myocardium": 2, "left_atrium": 3}
QUALITIES = {"Good": "high", "Medium": "medium", "Poor": "low"}
QUALITY = re.compile(r"(?m)^[ \t]*ImageQuality[ \t]*:[ \t]*(\S.*?)\s*$")
SPLITS = "database_split"
PARTS = {"subgroup_training.txt": "train", "subgroup_validation.txt": "val", "subgroup_testing.txt": "test"}
LACKS = {
    "part": f"{SPLITS} (subgroup_training.txt, ...) is not there, so split=official cannot be used",
    "quality": "Info_2CH.cfg and Info_4CH.cfg, which say ImageQuality, are not in the patients' folders",
}


@dataclass(frozen=True)
class Frame:
    """labels: None where there are none."""

    patient: Path
    view: str
    phase: str
    image: Path
    labels: Path | None


def read(
    root: str | PathLike[str],
    cache: str | PathLike[str],
    views: Sequence[str] = ("2CH", "4CH"),
    structures: Sequence[str] = ("lv",),
    strict: bool = False,
) -> Source:
    """One row per patient, view and phase, as PNG in `cache`; mask of `structures`, other labels are background.

    Pixels are resampled to squares of the finer spacing. Frames that are not there are left out by the check; those
    that cannot be used here, and listed, unless strict. Parts and qualities are those whose files are there. Raises
    UserError: no such folder, unknown views or structures, no file that can be used, contradicting splits.
    """
    _known(views, ("2CH", "4CH"), "views")
    _known(structures, tuple(STRUCTURES), "structures")
    base = folders.existing(root, DOWNLOAD)
    patients = sorted(folder for folder in folders_below(base, folders.LEVELS + 1) if folder.name.startswith("patient"))
    frames = [frame for patient in patients for frame in _frames(patient, views)]
    found = [frame for frame in frames if exists(frame.image)]
    if not found:
        raise UserError(
            f"{base}: no patient0001/patient0001_{views[0]}_ED.nii.gz here; {DOWNLOAD} and set data.root to it"
        )
    conversions = [Conversion(_files(frame), HOW, partial(_images, frame)) for frame in found]
    converted = Converter(Path(cache), base, strict).pngs(conversions)
    pngs = dict(zip(found, converted, strict=True))
    table = _table([frame for frame in frames if pngs.get(frame) != {}], pngs, base)
    lacks = {column: why for column, why in LACKS.items() if column not in table}
    print(*(f"{NAME}: no {column}: {why}" for column, why in lacks.items()), sep="\n", end="\n" * bool(lacks))
    return Source(
        table, NAME, base, _code(structures), partial=True, strict=strict, remarks=remarks(converted), lacks=lacks
    )


def _known(given: Sequence[str], known: Sequence[str], key: str) -> None:
    if not given or len({*given}) < len(given) or not {*given} <= {*known}:
        raise UserError(f"data.{key} = {list(given)}: give one or several of {', '.join(known)}, each once")


def _code(structures: Sequence[str]) -> MaskCode:
    labels = {STRUCTURES[name]: label for label, name in enumerate(structures, 1)}
    return MaskCode(tuple(structures), {(value,) * 3: labels.get(value, 0) for value in STRUCTURES.values()})


def _frames(patient: Path, views: Sequence[str]) -> Iterator[Frame]:
    for view in views:
        for phase in ("ED", "ES"):
            stem = f"{patient.name}_{view}_{phase}"
            labels = _file(patient, f"{stem}_gt")
            yield Frame(patient, view, phase, _file(patient, stem), labels if exists(labels) else None)


def _file(folder: Path, stem: str) -> Path:
    """The first of the known endings that is there, else the usual one."""
    candidates = [folder / f"{stem}{suffix}" for suffix in volumes.SUFFIXES]
    return next((path for path in candidates if exists(path)), candidates[0])


def _files(frame: Frame) -> tuple[Path, ...]:
    return (*volumes.files(frame.image), *(volumes.files(frame.labels) if frame.labels else ()))


def _images(frame: Frame) -> Images:
    header = volumes.header(frame.image)
    if header.shape[0] != 1:
        raise ImageProblem(f"holds {header.shape[0]} frames, not one")
    yield "image", isotropic(volumes.grey(volumes.read(frame.image)[0]), header.spacing)
    if frame.labels:
        labels = volumes.labels(frame.labels, header.shape, STRUCTURES.values())
        yield "labels", isotropic(labels[0], header.spacing, labels=True)


def _table(frames: list[Frame], pngs: dict[Frame, dict[str, Path]], base: Path) -> pd.DataFrame:
    parents = sorted({frame.patient.parent for frame in frames})
    parts = _parts(parents)
    spacings = in_threads(lambda frame: _pixel_mm(frame) if frame in pngs else np.nan, frames, "Reading headers")
    table = pd.DataFrame(
        {
            "image": [
                str(pngs[frame]["image"] if frame in pngs else frame.image.relative_to(base)) for frame in frames
            ],
            "site": NAME,
            "subject": [frame.patient.relative_to(os.path.commonpath(parents)).as_posix() for frame in frames],
            "part": [parts.get(frame.patient.name, "") for frame in frames],
            "pixel_mm": spacings,
            "mask": [str(pngs.get(frame, {}).get("labels", "")) for frame in frames],
            "quality": _qualities(frames),
            "group_view": [frame.view for frame in frames],
            "group_phase": [frame.phase for frame in frames],
            "source": [frame.image.relative_to(base).as_posix() for frame in frames],
        },
        index=pd.RangeIndex(len(frames), name="row"),
    )
    return table.drop(columns=[column for column in ("part", "quality") if not table[column].any()])


def _pixel_mm(frame: Frame) -> float:
    return pixel_mm(volumes.header(frame.image).spacing)


def _parts(parents: list[Path]) -> dict[str, str]:
    """patient -> part, by the official files, beside the patients' folder or in it."""
    found: dict[str, str] = {}
    problems = []
    for folder in [near / SPLITS for parent in parents for near in (parent, parent.parent)]:
        for file, part in PARTS.items():
            for patient in _words(folder / file):
                if found.setdefault(patient, part) != part:
                    problems.append(f"{folder / file}: {patient} is also in {found[patient]}")
    if problems:
        raise UserError.listing("patients in two parts; copy database_split again", problems)
    return found


def _words(file: Path) -> list[str]:
    return folders.text(file).split() if file.is_file() else []


def _qualities(frames: list[Frame]) -> list[str]:
    """By Info_2CH.cfg, Info_4CH.cfg: `ImageQuality: Good`. Raises UserError for other words."""
    found, problems = [], []
    for frame in frames:
        file = frame.patient / f"Info_{frame.view}.cfg"
        given = QUALITY.search(folders.text(file)) if file.is_file() else None
        if given and given[1] not in QUALITIES and frame.phase == "ED":
            problems.append(f"{file}: ImageQuality = {given[1]!r} is not one of {', '.join(QUALITIES)}")
        found.append(QUALITIES.get(given[1], "") if given else "")
    if problems:
        raise UserError.listing("qualities that CAMUS does not have; copy the files again", problems)
    return found
