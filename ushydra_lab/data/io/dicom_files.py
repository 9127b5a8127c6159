"""Reading the headers of DICOM ultrasound files: the 2-D regions, their spacing, and the subject.

No value of a tag of the patient goes into a message: only the keyed hash of PatientID is kept.
"""

import hashlib
import hmac
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ushydra_lab.data.io.dicom_tags import frame_count, is_bare, numbers, optional_value, read_header, required_integer
from ushydra_lab.data.io.image import MAX_PIXELS, TOO_LARGE, ImageProblem
from ushydra_lab.data.names import is_placeholder
from ushydra_lab.errors import UserError

if TYPE_CHECKING:
    from pydicom import Dataset

FRAMES = ("first", "middle", "all")
SUBJECTS = ("patient", "study", "folder")
MODALITIES = ("US", "IVUS", "")
TAGS = [
    "Modality", "PatientID", "IssuerOfPatientID", "StudyInstanceUID", "BurnedInAnnotation", "Rows", "Columns",
    "NumberOfFrames", "PixelSpacing", "PixelAspectRatio", "SequenceOfUltrasoundRegions", "SOPInstanceUID",
]  # fmt: skip
DEFLATED = "1.2.840.10008.1.2.1.99"
TWO_D, TISSUE, CENTIMETRES = 1, 1, 3  # PS3.3 C.8.5.5.1
MAX_VIDEO_PIXELS = 100 * MAX_PIXELS
MAX_RATIO = 8  # of the two spacings; more is a damaged header
OVERHANG = 1  # px: some machines count the far edge as inclusive when it is not


@dataclass(frozen=True)
class Region:
    """box: x1, y1, x2, y2, edges in px; spacing: mm along (rows, columns), None if uncalibrated; sides: of a pixel
    along (rows, columns) in any unit; calibrated: whether the spacing is the region's own, else it is PixelSpacing.
    """

    box: tuple[int, int, int, int]
    spacing: tuple[float, float] | None
    sides: tuple[float, float]
    calibrated: bool = field(default=False, repr=False, compare=False)  # which is part of the name of what is converted


@dataclass(frozen=True)
class File:
    """skipped: why it is not used, problem: why it cannot be; both empty for an image.

    subject, study: keyed hashes; named: whether PatientID is there, `no`, or a word for none, `placeholder`; burned_in:
    whether it says that texts are burnt into the image, None where it does not say; uid: SOP Instance UID, to find its
    annotations by; size: (rows, columns) of a frame.
    """

    path: Path
    skipped: str = ""
    problem: str = ""
    subject: str = ""
    study: str = ""
    named: str = "yes"
    burned_in: bool | None = None
    frames: tuple[int, ...] = ()
    regions: tuple[Region, ...] = ()
    uid: str = ""
    size: tuple[int, int] = (0, 0)


def examined(path: Path, key: bytes, frame: str, subject: str) -> File:
    """key: of the subjects' hashes; frame: one of FRAMES; subject: one of SUBJECTS, `folder` awaits `by_folder`.

    Raises UserError where pydicom is missing.
    """
    try:
        header = _header(path)
        if isinstance(header, str):
            return File(path, skipped=header)
        chosen = _frames(header, frame)
        regions = _regions(header)
        named = _named(header)
        text = _subject(header, subject if named != "no" or subject == "folder" else "study")
        whose, study = (_hashed(key, each) for each in (text, _text(header, "StudyInstanceUID")))
        uid, size = _text(header, "SOPInstanceUID"), (int(header.Rows), int(header.Columns))
        burned_in = {"YES": True, "NO": False}.get(_text(header, "BurnedInAnnotation").upper())
    except ImageProblem as problem:
        return File(path, problem=str(problem))
    except UserError:
        raise
    except Exception:  # pydicom raises whatever damage leads to; the text may quote a tag of the patient
        return File(path, problem="its header is damaged")
    if not regions:
        return File(path, skipped="no 2-D tissue region")
    return File(path, "", "", whose, study, named, burned_in, chosen, regions, uid, size)


def by_folder(files: list[File], key: bytes) -> list[File]:
    """A subject is the first folder below the one that holds all images; tables and masks beside them do not count."""
    images = [file for file in files if not file.skipped]
    top = os.path.commonpath([file.path.parent for file in images]) if images else ""

    def told(file: File) -> File:
        if file.skipped or file.problem:
            return file
        folder = file.path.relative_to(top).parts[0] if file.path.parent != Path(top) else ""
        if not folder:
            return replace(file, problem="lies in no folder of its own: data.subject=folder needs one for every person")
        return replace(file, subject=_hashed(key, f"folder\0{folder}"))

    return [told(file) for file in files]


def _hashed(key: bytes, text: str) -> str:
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:16]


def _header(path: Path) -> "Dataset | str":
    """The tags that are used, or why the file is left out."""
    try:
        from pydicom import errors, filereader
    except ImportError:
        raise UserError("DICOM files need pydicom: pip install 'ushydra_lab[dicom]'") from None
    if path.name.upper() == "DICOMDIR":
        return "DICOMDIR"
    try:
        if not is_bare(path) and filereader.read_file_meta_info(path).get("TransferSyntaxUID") == DEFLATED:
            raise ImageProblem("is deflated as a whole; convert it with 'dcmconv +te'")  # pydicom: without a limit
        header = read_header(path, TAGS)
    except (errors.InvalidDicomError, EOFError):
        return "no DICOM file"
    modality = _text(header, "Modality").upper()
    if "Rows" not in header:
        return "a report" if modality == "SR" else "no pixels"
    return header if modality in MODALITIES else f"not ultrasound but {modality[:16]}"


def _named(header: "Dataset") -> str:
    """`no` without PatientID, `placeholder` for one that is no name, else `yes`."""
    patient = _text(header, "PatientID")
    if not patient:
        return "no"
    return "placeholder" if is_placeholder(patient) or set(patient) <= {"0"} else "yes"


def _text(header: "Dataset", keyword: str) -> str:
    return str(optional_value(header, keyword) or "").strip()


def _subject(header: "Dataset", by: str) -> str:
    """What tells a person: never shown, only hashed. Raises ImageProblem: the file does not say."""
    if by == "patient":
        return f"{optional_value(header, 'IssuerOfPatientID') or ''}\0{_text(header, 'PatientID')}"
    if by == "study" and not _text(header, "StudyInstanceUID"):
        raise ImageProblem("has no PatientID or StudyInstanceUID that tells whose image it is; set data.subject=folder")
    return _text(header, "StudyInstanceUID") if by == "study" else ""


def _frames(header: "Dataset", frame: str) -> tuple[int, ...]:
    count = frame_count(header)
    pixels = required_integer(header, "Rows") * required_integer(header, "Columns")
    if count < 1 or pixels < 1:
        raise ImageProblem("holds no pixels")
    if pixels > MAX_PIXELS or count * pixels > MAX_VIDEO_PIXELS:
        raise ImageProblem(TOO_LARGE if pixels > MAX_PIXELS else f"claims {count:,} frames; split it")
    return {"first": (0,), "middle": (count // 2,), "all": tuple(range(count))}[frame]


def _regions(header: "Dataset") -> tuple[Region, ...]:
    """The tissue regions, each once; the whole frame where the file has no regions of any kind."""
    items = optional_value(header, "SequenceOfUltrasoundRegions") or []
    pixel, sides = numbers(header, "PixelSpacing"), numbers(header, "PixelAspectRatio")
    spacing = _usable(pixel[0], pixel[1]) if len(pixel) == 2 else None
    square = (_usable(sides[0], sides[1]) if len(sides) == 2 else None) or (1.0, 1.0)
    if not items:
        box = (0, 0, required_integer(header, "Columns"), required_integer(header, "Rows"))
        return (Region(box, spacing, spacing or square),)
    for item in items:
        _refuse_stale(item, header)
    tissue = [
        i
        for i in items
        if optional_value(i, "RegionSpatialFormat") == TWO_D and optional_value(i, "RegionDataType") == TISSUE
    ]
    found = [(_box(item, header), _calibration(item)) for item in tissue]
    return tuple(
        dict.fromkeys(Region(box, own or spacing, own or spacing or square, own is not None) for box, own in found)
    )


def _refuse_stale(item: "Dataset", header: "Dataset") -> None:
    """Raises ImageProblem for a region of any kind that ends beyond the frame: calibrations are those of before."""
    right, bottom = (numbers(item, f"RegionLocationMax{axis}1") for axis in "XY")
    columns, rows = required_integer(header, "Columns"), required_integer(header, "Rows")
    if (right and right[0] >= columns + OVERHANG) or (bottom and bottom[0] >= rows + OVERHANG):
        raise ImageProblem(
            f"has a region that ends at {right[0] if right else 0:g}, {bottom[0] if bottom else 0:g}, beyond its "
            f"{columns} x {rows} px: it was resized after its calibration was written; export it in its original size"
        )


def _box(item: "Dataset", header: "Dataset") -> tuple[int, int, int, int]:
    x1, y1, x2, y2 = (required_integer(item, f"RegionLocation{end}") for end in ("MinX0", "MinY0", "MaxX1", "MaxY1"))
    columns, rows = required_integer(header, "Columns"), required_integer(header, "Rows")
    if not (0 <= x1 <= x2 and 0 <= y1 <= y2) or x1 >= columns or y1 >= rows:
        raise ImageProblem(f"its region {x1}, {y1}, {x2}, {y2} (x1, y1, x2, y2) is none of the {columns} x {rows} px")
    return x1, y1, min(x2 + 1, columns), min(y2 + 1, rows)


def _calibration(item: "Dataset") -> tuple[float, float] | None:
    if {optional_value(item, f"PhysicalUnits{axis}Direction") for axis in "XY"} != {CENTIMETRES}:
        return None
    across, down = (numbers(item, f"PhysicalDelta{axis}") for axis in "XY")
    return _usable(10 * abs(down[0]), 10 * abs(across[0])) if across and down else None


def _usable(down: float, across: float) -> tuple[float, float] | None:
    """mm along (rows, columns); 0 is how some machines say that they do not know."""
    if not (min(down, across) > 0 and max(down, across) < float("inf")):
        return None
    if max(down, across) > MAX_RATIO * min(down, across):
        raise ImageProblem(f"says its pixels are {across:g} x {down:g} mm; its header is damaged")
    return down, across
