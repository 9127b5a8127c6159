"""Reader for a folder of your own videos with a table of annotations: the frames that it names, as PNG files."""

from functools import partial
from os import PathLike
from pathlib import Path

import pandas as pd

from ushydra_lab.data.io import convert, files, videos
from ushydra_lab.data.io.convert import Conversion, Converter, Images
from ushydra_lab.data.io.image import ImageProblem
from ushydra_lab.data.readers import folders
from ushydra_lab.data.readers.annotation_table import AnnotationTable, Recorded
from ushydra_lab.data.readers.joined import Picture, joined
from ushydra_lab.data.source import Source
from ushydra_lab.data.vocabulary import nearest
from ushydra_lab.errors import UserError, printable

NAME, HOW = "video", "video 1"
SUBJECTS = ("video", "folder")


def read(
    root: str | PathLike[str],
    cache: str | PathLike[str],
    annotations: str | PathLike[str],
    site: str,
    subject: str = "video",
    strict: bool = False,
) -> Source:
    """One row per row of `annotations` (`annotation_table`), as PNG in `cache`: the frame it names, or the first.

    site: of the whole folder, and subject: every video is a person of its own, or every folder that directly holds
    some; columns `site` and `subject` go before these. Videos without a row, rows that name no video and videos that
    cannot be decoded are left out and listed; strict: they are an error. Raises UserError: no such folder, no video in
    it that can be used, annotations that fit no frame.
    """
    if subject not in SUBJECTS:
        raise UserError(f"data.subject = {subject!r} is not one of {', '.join(SUBJECTS)}{nearest(subject, SUBJECTS)}")
    base = folders.existing(root, "give the folder of your videos")
    paths = [path.relative_to(base) for path in files.files(base, *videos.SUFFIXES)]
    if not paths:
        raise UserError(f"{base}: no video here ({', '.join(videos.SUFFIXES)}); set data.root to their folder")
    notes = AnnotationTable.read(annotations)
    lines, left_out = notes.lines([Recorded(path.as_posix(), str(path), None) for path in paths], strict)
    named = {path: dict(sorted(own.items())) for path, own in zip(paths, lines, strict=True) if own}
    pngs = Converter(Path(cache), base, strict).pngs([_conversion(base / path, own) for path, own in named.items()])
    rows, pictures = list[dict[str, str]](), list[Picture]()
    for (path, own), made in zip(named.items(), pngs, strict=True):
        for index, line in own.items() if made else ():
            whose = printable(str(path if subject == "video" else path.parent))
            told = {"site": folders.site_name(site), "subject": whose, "source": f"{path}, frame {index}"}
            rows.append({"image": str(made[_part(index)]), **told})
            pictures.append(Picture(line))
    table = joined(pd.DataFrame(rows), notes, pictures)
    return Source(table, f"{NAME} ({base.name})", base, strict=strict, remarks=(*left_out, *convert.remarks(pngs)))


def _conversion(video: Path, frames: dict[int, int]) -> Conversion:
    return Conversion((video,), f"{HOW} {[*frames]}", partial(_images, video, {*frames}))


def _images(video: Path, wanted: set[int]) -> Images:
    found = set[int]()
    for shown in videos.frames(video, wanted.__contains__, max(wanted)):
        found.add(shown.index)
        yield _part(shown.index), shown.grey
    if missing := sorted(wanted - found):
        raise ImageProblem(f"ends before frame {missing[0]}, counted from 0, which the annotations name")


def _part(frame: int) -> str:
    return f"frame_{frame:06d}"
