"""What the header of a DICOM ultrasound file says: where its 2-D regions lie, their spacing, whose study it is.

No value of a tag of the patient goes into a message: only the keyed hash of PatientID is kept.
"""

import hashlib
import hmac
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ushydra_lab.data.image import MAX_PIXELS, TOO_LARGE, ImageProblem
from ushydra_lab.data.names import is_placeholder
from ushydra_lab.errors import UserError

if TYPE_CHECKING:
    from pydicom import Dataset

FRAMES = ("first", "middle", "all")
SUBJECTS = ("patient", "study", "folder")
MODALITIES = ("US", "IVUS", "")
TAGS = [
    "Modality", "PatientID", "IssuerOfPatientID", "StudyInstanceUID", "BurnedInAnnotation", "Rows", "Columns",
    "NumberOfFrames", "PixelSpacing", "SequenceOfUltrasoundRegions",
]  # fmt: skip
BARE = {bytes((group, 0, element, 0)) for group in (2, 8) for element in (0, 1, 2, 5, 8, 0x10, 0x12, 0x16, 0x18)} | {
    b"\0\x08\0" + bytes((element,)) for element in (0, 1, 5, 8, 0x12, 0x16, 0x18)
}
"""How a data set without preamble begins, little- and big-endian: its first group, and an element of it."""
DEFLATED = "1.2.840.10008.1.2.1.99"
TWO_D, TISSUE, CENTIMETRES = 1, 1, 3  # PS3.3 C.8.5.5.1
MAX_VIDEO_PIXELS = 100 * MAX_PIXELS
MAX_RATIO = 8  # of the two spacings; more is a damaged header
OVERHANG = 1  # px: some machines count the far edge as inclusive when it is not


@dataclass(frozen=True)
class Region:
    """box: x1, y1, x2, y2, edges in px; spacing: mm along (rows, columns), None if uncalibrated."""

    box: tuple[int, int, int, int]
    spacing: tuple[float, float] | None


@dataclass(frozen=True)
class File:
    """skipped: why it is not used, problem: why it cannot be; both empty for an image.

    subject, study: keyed hashes; named: whether PatientID is there, `no`, or a word for none, `placeholder`.
    """

    path: Path
    skipped: str = ""
    problem: str = ""
    subject: str = ""
    study: str = ""
    named: str = "yes"
    burned_in: bool = False
    frames: tuple[int, ...] = ()
    regions: tuple[Region, ...] = ()


def examined(path: Path, key: bytes, frame: str, subject: str, folder: str) -> File:
    """key: of the subjects' hashes; frame: one of FRAMES; subject: one of SUBJECTS; folder: the person's, '' if none.

    Raises UserError where pydicom is missing.
    """
    try:
        header = _header(path)
        if isinstance(header, str):
            return File(path, skipped=header)
        chosen = _frames(header, frame)
        regions = _regions(header)
        named = _named(header)
        text = _subject(header, subject if named != "no" or subject == "folder" else "study", folder)
        whose, study = (hmac.new(key, t.encode(), hashlib.sha256).hexdigest()[:16] for t in (text, _study(header)))
        burned_in = header.get("BurnedInAnnotation", "") == "YES"
    except ImageProblem as problem:
        return File(path, problem=str(problem))
    except UserError:
        raise
    except Exception:  # pydicom raises whatever damage leads to; the text may quote a tag of the patient
        return File(path, problem="its header is damaged")
    if not regions:
        return File(path, skipped="no 2-D tissue region")
    return File(path, "", "", whose, study, named, burned_in, chosen, regions)


def _header(path: Path) -> "Dataset | str":
    """The tags that are used, or why the file is left out."""
    try:
        from pydicom import dcmread
        from pydicom.errors import InvalidDicomError
        from pydicom.filereader import read_file_meta_info
    except ImportError:
        raise UserError("DICOM files need pydicom: pip install 'ushydra_lab[dicom]'") from None
    if path.name.upper() == "DICOMDIR":
        return "DICOMDIR"
    try:
        bare = _is_bare(path)
        if not bare and read_file_meta_info(path).get("TransferSyntaxUID") == DEFLATED:  # inflated without a limit
            raise ImageProblem("is deflated as a whole; convert it with 'dcmconv +te'")
        header = dcmread(path, stop_before_pixels=True, specific_tags=TAGS, force=bare)
    except (InvalidDicomError, EOFError):
        return "no DICOM file"
    modality = str(header.get("Modality") or "").strip().upper()
    if "Rows" not in header:
        return "a report" if modality == "SR" else "no pixels"
    return header if modality in MODALITIES else f"not ultrasound but {modality[:16]}"


def _is_bare(path: Path) -> bool:
    """Whether it begins with data elements of group 2 or 8 at once, without the preamble of a DICOM file."""
    with path.open("rb") as file:
        start = file.read(132)
    return start[128:] != b"DICM" and start[:4] in BARE


def without_preamble(path: Path) -> "Dataset | None":
    """The whole data set of a file that has no preamble, its syntax as it was found; None of any other file."""
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

    if not _is_bare(path):
        return None
    found = dcmread(path, force=True)
    implicit, little = found.original_encoding
    syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    found.file_meta.setdefault("TransferSyntaxUID", syntax)
    return found


def _named(header: "Dataset") -> str:
    """`no` without PatientID, `placeholder` for one that is no name, else `yes`."""
    patient = str(header.get("PatientID") or "").strip()
    if not patient:
        return "no"
    return "placeholder" if is_placeholder(patient) or set(patient) <= {"0"} else "yes"


def _study(header: "Dataset") -> str:
    return str(header.get("StudyInstanceUID") or "").strip()


def _subject(header: "Dataset", by: str, folder: str) -> str:
    """What tells a person: never shown, only hashed. Raises ImageProblem: the file does not say."""
    if by == "patient":
        return f"{header.get('IssuerOfPatientID') or ''}\0{str(header.get('PatientID')).strip()}"
    if by == "study" and not _study(header):
        raise ImageProblem("has no PatientID or StudyInstanceUID that tells whose image it is; set data.subject=folder")
    if by == "folder" and not folder:
        raise ImageProblem("lies in no folder of its own: data.subject=folder needs one for every person")
    return _study(header) if by == "study" else f"folder\0{folder}"


def _frames(header: "Dataset", frame: str) -> tuple[int, ...]:
    count = int(header.get("NumberOfFrames") or 1)
    pixels = int(header.Rows) * int(header.Columns)
    if count < 1 or pixels < 1:
        raise ImageProblem("holds no pixels")
    if pixels > MAX_PIXELS or count * pixels > MAX_VIDEO_PIXELS:
        raise ImageProblem(TOO_LARGE if pixels > MAX_PIXELS else f"claims {count:,} frames; split it")
    return {"first": (0,), "middle": (count // 2,), "all": tuple(range(count))}[frame]


def _regions(header: "Dataset") -> tuple[Region, ...]:
    """The tissue regions, each once; the whole frame where the file has no regions of any kind."""
    items = header.get("SequenceOfUltrasoundRegions") or []
    given = header.get("PixelSpacing") or []
    spacing = _usable(float(given[0]), float(given[1])) if len(given) == 2 else None
    if not items:
        return (Region((0, 0, int(header.Columns), int(header.Rows)), spacing),)
    tissue = [i for i in items if i.get("RegionSpatialFormat") == TWO_D and i.get("RegionDataType") == TISSUE]
    return tuple(dict.fromkeys(Region(_box(i, header), _calibration(i) or spacing) for i in tissue))


def _box(item: Any, header: "Dataset") -> tuple[int, int, int, int]:
    x1, y1 = int(item.RegionLocationMinX0), int(item.RegionLocationMinY0)
    x2, y2 = int(item.RegionLocationMaxX1) + 1, int(item.RegionLocationMaxY1) + 1
    columns, rows = int(header.Columns), int(header.Rows)
    if not (0 <= x1 < x2 <= columns + OVERHANG and 0 <= y1 < y2 <= rows + OVERHANG) or x1 >= columns or y1 >= rows:
        raise ImageProblem(f"its region {x1}, {y1}, {x2}, {y2} (x1, y1, x2, y2) leaves the {columns} x {rows} px")
    return x1, y1, min(x2, columns), min(y2, rows)


def _calibration(item: Any) -> tuple[float, float] | None:
    if item.get("PhysicalUnitsXDirection") != CENTIMETRES or item.get("PhysicalUnitsYDirection") != CENTIMETRES:
        return None
    return _usable(10 * abs(float(item.PhysicalDeltaY)), 10 * abs(float(item.PhysicalDeltaX)))


def _usable(down: float, across: float) -> tuple[float, float] | None:
    """mm along (rows, columns); 0 is how some machines say that they do not know."""
    if not (min(down, across) > 0 and max(down, across) < float("inf")):
        return None
    if max(down, across) > MAX_RATIO * min(down, across):
        raise ImageProblem(f"says its pixels are {across:g} x {down:g} mm; its header is damaged")
    return down, across
