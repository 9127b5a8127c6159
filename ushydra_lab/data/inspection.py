"""Inspection of the files of a manifest: every image and mask is located and decoded once, in full."""

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ushydra_lab.data.io.files import is_inside, spelt
from ushydra_lab.data.io.image import ImageProblem, decode, in_threads, read_bytes
from ushydra_lab.data.io.mask_codes import AnyCode
from ushydra_lab.errors import UserError

Observer = Callable[[int, NDArray[np.uint8], NDArray[np.uint8] | None], None]
"""(position of the row, image (H, W), label map (H, W) or None); called from several threads."""
Problem = tuple[int, str]
"""(position of the row, or -1 for the table; what and the remedy)."""
DIM = 65536 // 4  # a 16-bit image without a value of this size shows at most 64 of 256 grey levels
SCALE = "scale their values to 16 bits before (of 12-bit data: times 16)"
ALIKE = 5
_NUMBER = re.compile(r"(?<![\w/.])[-+]?\d+(?:[.,]\d+)?(?:e[-+]?\d+)?(?![\w/]|\.\w)")


@dataclass(frozen=True)
class InspectedFile:
    """An inspected image file.

    Native rows and columns (NaN where unreadable), digest, structures that the mask shows, joined by +; the largest
    value where it has 16 bits; the problem of the row, if any.
    """

    height: float = np.nan
    width: float = np.nan
    sha256: str = ""
    shows: str = ""
    peak: int | None = None
    problem: str = ""


def resolved(cells: pd.Series, root: Path, what: str) -> tuple[list[Path | None], list[Problem]]:
    """Absolute real paths, None for empty cells. A relative one must stay under root, also through links."""
    root, paths, problems = Path(os.path.realpath(root)), [], []
    for position, text in enumerate(cells):
        path = Path(os.path.realpath(spelt(root / text))) if text.strip() and "\0" not in text else None
        if "\0" in text:
            problems.append((position, f"{what} has a null character; correct the path"))
        elif os.sep == "/" and "\\" in text:
            problems.append((position, f"{what} has backslashes; write the folders of a path with '/'"))
        elif path and not Path(text).is_absolute() and not is_inside(path, root):
            problems.append((position, f"{what} leads out of {root}; give the absolute path if that is meant"))
        paths.append(path)
    return paths, problems


def inspect(
    images: list[Path | None], masks: list[Path | None], code: AnyCode | None, observe: Observer | None
) -> list[InspectedFile]:
    """Decode every image and the mask beside it in full."""

    def one(position: int) -> InspectedFile:
        image, mask = images[position], masks[position]
        if image is None:
            return InspectedFile()
        try:
            decoded = decode(read_bytes(image))
        except ImageProblem as unreadable:
            return InspectedFile(problem=str(unreadable))
        (height, width), labels, shows, problem = decoded.grey.shape, None, "", ""
        if mask and code:
            labels, problem = _labels(mask, code, (height, width))
            present = set() if labels is None else set(np.unique(labels).tolist())
            shows = "+".join(name for label, name in enumerate(code.structures, 1) if label in present)
        if observe:
            observe(position, decoded.grey, labels)
        return InspectedFile(height, width, decoded.sha256, shows, decoded.peak, problem)

    found = in_threads(one, range(len(images)), "Checking images")
    _announce([each.peak for each in found if each.peak is not None])
    return found


def _announce(peaks: list[int]) -> None:
    """peaks: of the 16-bit images."""
    if peaks:
        print(f"{len(peaks)} images have 16 bits per pixel: read by their full range, 65535 as 255")
    if dim := [peak for peak in peaks if peak < DIM]:
        print(f"{len(dim)} of them have no value above {max(dim)}, so they are read nearly black: {SCALE}")


def grouped(problems: Sequence[tuple[str, str]]) -> list[str]:
    """(place, or '' for the table; text) -> lines. Where more than ALIKE rows have one text but for its numbers, as
    after one mistake in a column, the first stands for all, with the next places and the count.
    """
    kinds: dict[str, list[tuple[str, str]]] = {}
    for place, text in problems:
        kinds.setdefault(_NUMBER.sub("#", text) if place else text, []).append((place, text))
    return [line for alike in kinds.values() for line in _lines(alike)]


def left_out(problems: Sequence[tuple[str, str]], count: int) -> str:
    """(place, why) of what is left out, of `count` files: a headline and a line each, those alike together."""
    without = len({place for place, _ in problems})
    headline = f"{without} of {count} files cannot be used and are left out (data.strict=true: refuse them all)"
    return str(UserError.listing(headline, grouped(problems)))


def _lines(alike: list[tuple[str, str]]) -> list[str]:
    lines = [f"{place}: {text}" if place else text for place, text in alike]
    if len(alike) <= ALIKE:
        return lines
    places = ", ".join(place for place, _ in alike[1:ALIKE])
    return [f"{lines[0]}\n      and {len(alike) - 1} alike: {places}, ..."]


def _labels(path: Path, code: AnyCode, size: tuple[int, int]) -> tuple[NDArray[np.uint8] | None, str]:
    try:
        labels = code.at(path).decode(read_bytes(path))
    except ImageProblem as problem:
        text = str(problem)
        return None, text if text.startswith("mask") else f"mask {path.name} {text}"
    if labels.shape != size:
        shown = f"{labels.shape[1]} x {labels.shape[0]}, the image {size[1]} x {size[0]} (columns x rows)"
        turned = "; it fits when transposed" if labels.shape == size[::-1] else ""
        return None, f"mask {path.name} is {shown}{turned}; export it in the image's size"
    return labels, ""
