"""Large-Scale Annotation Dataset for Fetal Head Biometry: brain, cavum septi pellucidi and lateral ventricles.

M. Alzubaidi et al., Data 8(2) 38, 2023, doi 10.3390/data8020038; Zenodo, doi 10.5281/zenodo.8265464, licence CC BY
4.0. Images of 959 x 661 px of FETAL_PLANES_DB in `Trans-{thalamic,cerebellum,ventricular}/`, images of HC18 in
`Diverse Fetal Head Images/Orginal_train_images_to_959_661/`; masks of the same names in the folder `SegmentationClass`
of each export.
"""

import re
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import pandas as pd

from ushydra_lab.data.io.files import files, is_clutter
from ushydra_lab.data.io.files import folders as folders_below
from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.data.readers import folders
from ushydra_lab.data.readers.hc18 import subject_of
from ushydra_lab.data.readers.tables import of_one_unit, read_table
from ushydra_lab.data.source import Source
from ushydra_lab.data.vocabulary import nearest
from ushydra_lab.errors import UserError

NAME = "large_fetal_head"
DOWNLOAD = "download the data set (doi.org/10.5281/zenodo.8265464)"
STRUCTURES = ("parenchyma", "csp", "lv")
RED, GREEN, YELLOW, BLUE = (255, 0, 0), (0, 255, 0), (255, 255, 0), (0, 0, 255)
DIVERSE = {RED: 1, YELLOW: 2, BLUE: 3}
PASCAL = {(128, 0, 0): 1, (0, 128, 0): 2, (128, 128, 0): 3}
MASKS = MaskCode(STRUCTURES, {RED: 1, GREEN: 2, BLUE: 3}, others=(DIVERSE, PASCAL))
NAMES = {"brain": 1, "csp": 2, "lv": 3}  # in an export's labelmap.txt
MASK_FOLDER = "SegmentationClass"
PIXEL = "Pixel in mm"
PIXEL_SIZES = re.compile("pixel.*size", re.IGNORECASE)  # names of the tables of pixel sizes


@dataclass(frozen=True)
class Group:
    """images: name of the folder; masks: how an export's folder begins; plane: column brain_plane."""

    site: str
    images: str
    masks: str
    plane: str


PLANES = {
    "transthalamic": Group("FP", "Trans-thalamic", "Trans-thalamic-", "trans-thalamic"),
    "transcerebellar": Group("FP", "Trans-cerebellum", "Trans-cerebellum-", "trans-cerebellum"),
    "transventricular": Group("FP", "Trans-ventricular", "Trans-ventricular-", "trans-ventricular"),
    "diverse": Group("HC18", "Orginal_train_images_to_959_661", "Test-Dataset-", ""),
}


def read(root: str | PathLike[str], plane: str | None = None, by_plane: bool = False, strict: bool = False) -> Source:
    """One row per image or mask, wherever the four archives and the archives in them were unpacked below root.

    Site FP are the three planes, HC18 the diverse heads. plane: one of these groups alone (transthalamic,
    transcerebellar, transventricular, diverse). by_plane: a site is a plane, to hold one out; of a patient in several
    only the images of the plane with most are kept, else the patient would be trained and tested on.

    Of several exports of the masks the one named Segmentation is taken; in the diverse set its CSP is yellow, and a
    PASCAL export has colours of its own. Subjects are the numbers in the names. mm per px are published for the planes
    only: the diverse heads were stretched to one size, so that theirs differ in x and y. strict: see `Source`. Raises
    UserError: no such plane, none of the folders, masks without images, a labelmap.txt with other colours, two pixel
    sizes of one image.
    """
    root = folders.existing(root, DOWNLOAD)
    places = sorted(folders_below(root))
    if plane is not None and plane not in PLANES:
        raise UserError(f"data.plane={plane} is not one of {', '.join(PLANES)}{nearest(plane, PLANES)}")
    chosen = [group for name, group in PLANES.items() if plane in (None, name)]
    rows = [row for group in chosen for row in _rows(group, places, root)]
    if not any(row["mask"] for row in rows):
        raise UserError(
            f"{root}: no masks in {chosen[0].masks}Segmentation/{MASK_FOLDER} and the like; {DOWNLOAD}, "
            "unpack its archives and those of the masks in them, and set data.root"
        )
    table = pd.DataFrame(rows)
    if by_plane:
        table["site"] = table["brain_plane"].where(table["brain_plane"] != "", table["site"])
        kept = of_one_unit(table, "subject", "site")
        print(f"{NAME}: {(~kept).sum()} images of patients seen in several planes are left out (by_plane)")
        table = table[kept].reset_index(drop=True)
    spacing = _spacing(root)
    table["pixel_mm"] = [spacing.get(Path(image).stem, "") for image in table["image"]]
    return Source(table.rename_axis(index="row"), NAME, root, MASKS, partial=True, strict=strict)


def _rows(group: Group, places: list[Path], root: Path) -> list[dict[str, str]]:
    """Of an image that is not there the row has its mask and the place where it belongs."""
    exports = [f for f in places if f.name == MASK_FOLDER and f.parent.name.lower().startswith(group.masks.lower())]
    exports.sort(key=lambda folder: "segmentation" not in folder.parent.name.lower())
    masks = {path.name: path for folder in exports[:1] for path in _pngs(folder)}
    for folder in exports[:1]:
        _check_labelmap(folder.parent / "labelmap.txt")
    homes = [folder for folder in places if folder.name.lower() == group.images.lower() and _pngs(folder)]
    home = homes[0] if homes else root / group.images
    images = {path.name for path in _pngs(home)}
    return [
        {
            "image": (home / name).relative_to(root).as_posix(),
            "site": group.site,
            "subject": subject(name),
            "mask": masks[name].relative_to(root).as_posix() if name in masks else "",
            "brain_plane": group.plane,
        }
        for name in sorted(images | masks.keys())
    ]


def _pngs(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*.png") if not is_clutter(path.name))


def subject(name: str) -> str:
    """'168' of Patient00168_Plane3_1_of_3.png, '010' of 010_2HC.png."""
    patient = re.match(r"Patient0*(\d+)_", name)
    return patient[1] if patient else subject_of(name)


def _check_labelmap(path: Path) -> None:
    """The exports of CVAT say which colour is which: `label:color_rgb:parts:actions`."""
    if not path.is_file():
        return
    lines = re.findall(r"^(\w+):(\d{1,3}),(\d{1,3}),(\d{1,3}):", path.read_text("utf-8", "replace"), re.MULTILINE)
    found = {(int(r), int(g), int(b)): NAMES[name.lower()] for name, r, g, b in lines if name.lower() in NAMES}
    if not any(found.items() <= code.items() for code in (MASKS.colours, *MASKS.others)):
        shown = ", ".join(f"{STRUCTURES[label - 1]} {colour}" for colour, label in found.items())
        raise UserError(f"{path}: its colours ({shown}) are of no code that is known; use the Segmentation export")


def _spacing(root: Path) -> dict[str, str]:
    """Name without suffix -> mm per px."""
    found: dict[str, str] = {}
    problems = []
    for path in [path for path in files(root, ".csv") if PIXEL_SIZES.search(path.name)]:
        table = read_table(path, ["Label", PIXEL])
        for line, label, pixel in table[["Label", PIXEL]].itertuples():
            name = Path(label.strip()).stem
            if pixel.strip() and found.setdefault(name, pixel) != pixel:
                problems.append(f"{path} line {line}: {name} has {pixel} mm per px, elsewhere {found[name]}")
    if problems:
        raise UserError.listing(f"{NAME}: pixel sizes contradict each other", problems)
    return found
