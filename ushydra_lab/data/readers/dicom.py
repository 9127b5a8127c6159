"""Reader for a folder of DICOM ultrasound files: PNG files of the 2-D tissue regions, without any tag of the patient.

One row per region of spatial format 2-D and data type tissue (PS3.3 C.8.5.5) of each frame asked for. The region is cut
out, so texts outside it go; its own calibration gives the spacing (PhysicalDeltaX, PhysicalDeltaY in cm). Of the header
nothing else is kept: a subject is a keyed hash of PatientID, `source` the number of the file in the order of the
paths, since names of files may be names of patients.
"""

import secrets
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock

from ushydra_lab.data.io import convert, dicom_pixels
from ushydra_lab.data.io.convert import Conversion, Converter, Images, isotropic, isotropic_size, pixel_mm
from ushydra_lab.data.io.dicom_files import FRAMES, SUBJECTS, File, Region, by_folder, examined
from ushydra_lab.data.io.files import files as files_below
from ushydra_lab.data.io.image import ImageProblem, in_threads
from ushydra_lab.data.readers import folders
from ushydra_lab.data.readers.annotation_table import AnnotationTable, Recorded
from ushydra_lab.data.readers.joined import Picture, joined
from ushydra_lab.data.source import Source
from ushydra_lab.data.vocabulary import SUBJECT, nearest
from ushydra_lab.errors import UserError
from ushydra_lab.geometry.letterbox import Letterbox

NAME = "dicom"
HOW = "dicom 2"
KEY_BYTES = 16
Shot = tuple[Path, int]
"""A file, and the index of one of its frames."""
CONSTANT = 3  # studies of one PatientID, if these are most of all: one person, or a name taken away?


def read(
    root: str | PathLike[str],
    cache: str | PathLike[str],
    site: str,
    subject_key: str | PathLike[str],
    frame: str = "first",
    subject: str = "patient",
    annotations: str | PathLike[str] | None = None,
    strict: bool = False,
) -> Source:
    """One row per tissue region per frame (first, middle, or all of a file), as PNG in `cache`.

    site: of the whole folder. subject_key: a file with the secret of the subjects' hashes, made on first use. The same
    key gives the same subjects, and whoever has it can test guesses of a PatientID: keep it, and to yourself.
    subject: who counts as one person, the `patient` (PatientID; without one the study), every `study`, or every
    `folder`: the first below the folder that holds all images. Where PatientID is a word for no name, or the same in
    more than half of at least three studies, that is said, in the check too. Without a calibrated region the spacing is
    PixelSpacing, else none. annotations: a table of them (`annotation_table`); what it says of an image goes before
    what the file or a setting does, frames are those that it names, and files without a row are left out. Files that
    are no ultrasound images are counted with the reason, files that cannot be used are left out and listed, rows that
    name no file too; strict: all but the first are an error. Raises UserError: no such folder, no image in it that can
    be used, annotations that fit no image.
    """
    for name, word, words in (("frame", frame, FRAMES), ("subject", subject, SUBJECTS)):
        if word not in words:
            raise UserError(f"data.{name} = {word!r} is not one of {', '.join(words)}{nearest(word, words)}")
    base = folders.existing(root, "give the folder of your DICOM files")
    paths = files_below(base)
    notes = AnnotationTable.read(annotations) if annotations else None
    key, frame = _key(Path(subject_key)), "all" if notes and notes.by_frame else frame
    number = {path: f"DICOM file {n} of {len(paths)} by path" for n, path in enumerate(paths, 1)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's quote the values of tags
        look = partial(_looked_at, key=key, frame=frame, subject=subject)
        files = in_threads(look, paths, "Reading DICOM headers")
        if subject == "folder":
            files = by_folder(files, key)
        remarks = _report(files, base, "" if notes and SUBJECT in notes.rows else subject)
        used, lines = [file for file in files if not file.skipped], dict[Shot, int]()
        if notes:
            used, lines, left_out = _annotated(used, notes, base, number, strict)
            remarks += left_out
        pngs = Converter(Path(cache), base, strict).pngs([_conversion(file) for file in used])
    shown = list(_shown(used, pngs))
    rows = [
        {
            "image": str(png),
            "site": folders.site_name(site),
            "subject": file.subject,
            "pixel_mm": pixel_mm(region.spacing) if region.spacing else np.nan,
            "source": f"{number[file.path]}, frame {index}",
        }
        for file, index, region, png in shown
    ]
    table = pd.DataFrame(rows, index=pd.RangeIndex(len(rows), name="row"))
    if notes:
        pictures = [Picture(lines[file.path, index], _place(file, region)) for file, index, region, _ in shown]
        table = joined(table, notes, pictures)
    return Source(table, NAME, base, strict=strict, remarks=(*remarks, *convert.remarks(pngs)))


def _annotated(
    used: list[File], notes: AnnotationTable, base: Path, number: dict[Path, str], strict: bool
) -> tuple[list[File], dict[Shot, int], tuple[str, ...]]:
    """Files that have annotations, with those frames, and damaged ones; the line of each frame; what is left out."""
    recorded = [
        Recorded(
            file.path.relative_to(base).as_posix(), number[file.path], None if file.problem else file.frames, file.uid
        )
        for file in used
    ]
    lines, left_out = notes.lines(recorded, strict)
    kept = [(file, own) for file, own in zip(used, lines, strict=True) if own or file.problem]
    files = [replace(file, frames=tuple(sorted(own))) for file, own in kept]
    return files, {(file.path, index): line for file, own in kept for index, line in own.items()}, left_out


def _shown(files: list[File], pngs: list[dict[str, Path]]) -> Iterator[tuple[File, int, Region, Path]]:
    """Each region of each frame, with its PNG file."""
    for file, made in zip(files, pngs, strict=True):
        for index in file.frames if made else ():
            for n, region in enumerate(file.regions):
                yield file, index, region, made[_part(index, n)]


def _place(file: File, region: Region) -> Letterbox:
    """Where a region lies in its frame, and how large it is with square pixels."""
    x1, y1, x2, y2 = region.box
    return Letterbox.cut(file.size, region.box, isotropic_size((y2 - y1, x2 - x1), region.sides))


def _looked_at(path: Path, key: bytes, frame: str, subject: str) -> File:
    if not path.is_file():
        return File(path, skipped="a link that leads nowhere")
    return examined(path, key, frame, subject)


def _key(path: Path) -> bytes:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            _make_key(path)
        key = path.read_bytes().strip()
    except OSError as error:
        raise UserError(f"{path}: cannot be used ({error.strerror}); set data.subject_key to another file") from error
    if len(key) < KEY_BYTES:
        raise UserError(
            f"{path}: holds less than {KEY_BYTES} bytes; delete it to have one made, or give a longer secret"
        )
    return key


def _make_key(path: Path) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with FileLock(f"{path}.lock", mode=0o666):
        if path.exists():
            return
        try:
            temporary.touch(mode=0o600)
            temporary.write_text(secrets.token_hex(32))
            temporary.rename(path)
        finally:
            temporary.unlink(missing_ok=True)
    print(f"{NAME}: made {path}; keep it: the subjects' names depend on it")


def _report(files: list[File], base: Path, by: str) -> tuple[str, ...]:
    """Says what there is; returns what deserves a look. by: of SUBJECTS, '' of a table. Raises UserError: no image."""
    used = [file for file in files if not file.skipped]
    reasons = Counter(file.skipped for file in files if file.skipped)
    print(f"{NAME}: {len(used)} of {len(files)} files are ultrasound images")
    for reason, count in sorted(reasons.items()):
        print(f"  {count} left out: {reason}")
    if not used:
        raise UserError(f"{base}: no ultrasound image here; set data.root to the folder of the DICOM files")
    good = [file for file in used if not file.problem]
    said = Counter(file.burned_in for file in good)
    for count, what in (
        (len({file.subject for file in good}), "subjects"),
        (sum(file.named == "no" for file in good), "without PatientID" + ": one subject per study" * (by == "patient")),
        (sum(any(region.spacing is None for region in file.regions) for file in good), "without a spacing"),
        (said[True], "say that texts are burnt into the image: look before you share them"),
        (said[None], "do not say whether text is burnt in: look before you share them"),
    ):
        if count:
            print(f"  {count} {what}")
    remarks = tuple(_nameless(good)) if by == "patient" else ()
    print(*(f"  {remark}" for remark in remarks), sep="\n", end="\n" * bool(remarks))
    return remarks


def _nameless(files: list[File]) -> Iterator[str]:
    """Identifiers that do not tell people apart: placeholders, none, or one and the same nearly everywhere."""
    studies = {kind: {f.study for f in files if f.named == kind} for kind in ("yes", "no", "placeholder")}
    count = len({file.study for file in files})
    remedy = "set data.subject=study or data.subject=folder"
    if n := len(studies["placeholder"]):
        images = sum(file.named == "placeholder" for file in files)
        yield f"PatientID is a placeholder in {images} files of {n} studies, which count as one person: {remedy}"
    if (n := len(studies["no"])) > 1:
        yield f"PatientID is empty in {n} studies, which count as {n} people; if one has several: data.subject=folder"
    same = Counter(subject for subject, _ in {(f.subject, f.study) for f in files if f.named == "yes"})
    for _, n in same.most_common(1):
        if n >= CONSTANT and 2 * n > count:
            yield f"PatientID is the same in {n} of {count} studies, which count as one person; else {remedy}"


def _part(frame: int, region: int) -> str:
    return f"frame_{frame:05d}_region_{region}"


def _conversion(file: File) -> Conversion:
    return Conversion((file.path,), f"{HOW} {file.frames} {file.regions}", partial(_images, file))


def _images(file: File) -> Images:
    if file.problem:
        raise ImageProblem(file.problem)
    for index, pixels in dicom_pixels.frames(file.path, file.frames):
        for n, region in enumerate(file.regions):
            x1, y1, x2, y2 = region.box
            yield _part(index, n), isotropic(pixels[y1:y2, x1:x2], region.sides)
