"""Mask files and their images, by their names."""

from collections.abc import Iterator
from pathlib import Path

from ushydra_lab.data.importers.form import Request
from ushydra_lab.data.importers.problem import ExportProblem
from ushydra_lab.data.io.files import exists, files, spelt
from ushydra_lab.data.readers.images import SUFFIXES
from ushydra_lab.errors import UserError

SEGMENTATION = ".seg.nrrd"
VOLUMES = (".nii.gz", ".nii", ".mhd", ".nrrd")
ENDINGS = (SEGMENTATION, *VOLUMES, *SUFFIXES)


def below(source: Path, *endings: str) -> list[Path]:
    """The source itself, or the files below it that end so. Raises UserError: there is none."""
    path = spelt(source)
    if not exists(path):
        raise UserError(f"{source}: no such file or folder; give the export")
    found = [path] if path.is_file() else files(path)
    kept = [one for one in found if one.name.lower().endswith(endings)]
    if not kept:
        raise UserError(f"{source}: no file of this format here ({', '.join(endings)})")
    return kept


def pairs(request: Request, *endings: str) -> Iterator[tuple[Path, list[Path]]]:
    """Each mask, with the image files of its name: path/NAME + suffix + ending and path/NAME, or NAME anywhere else."""
    masks = [path for path in below(request.source, *endings) if _stem(path.name).endswith(request.suffix)]
    if not masks:
        raise UserError(f"{request.source}: no name here ends with {request.suffix!r} (--suffix)")
    images: dict[str, list[Path]] = {}
    for path in files(request.pictures.root):
        if path.name.lower().endswith(ENDINGS) and not path.name.lower().endswith(SEGMENTATION):
            images.setdefault(_stem(path.name), []).append(path)
    for mask in masks:
        stem = _stem(mask.name)
        named = [path for path in images.get(stem[: len(stem) - len(request.suffix)], []) if path != mask]
        beside = [path for path in named if path.parent == mask.parent or path.parent.name == mask.parent.name]
        yield mask, beside if len(beside) == 1 else named


def only(images: list[Path], mask: Path, request: Request) -> Path:
    """Raises ExportProblem: none, or several."""
    if not images:
        hint = "" if request.suffix else "; where masks are named a_mask, b_mask, ..., say so: --suffix _mask"
        raise ExportProblem(f"no image of its name is below {request.pictures.root} (--images){hint}")
    if len(images) > 1:
        names = ", ".join(request.pictures.name(path) for path in images[:3])
        raise ExportProblem(f"{len(images)} images have the name of {mask.name} ({names}); keep one")
    return images[0]


def place(mask: Path, request: Request) -> str:
    """The path of a mask below the source, for messages."""
    return mask.name if mask == request.source else mask.relative_to(request.source).as_posix()


def _stem(name: str) -> str:
    ending = next((ending for ending in ENDINGS if name.lower().endswith(ending)), "")
    return name[: len(name) - len(ending)]
