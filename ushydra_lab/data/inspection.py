"""Where the files of a manifest lie, and what each of them holds: every image and mask is decoded once, in full."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ushydra_lab.data.image import ImageProblem, decode, in_threads, read_bytes
from ushydra_lab.data.masks import MaskCode

Observer = Callable[[int, NDArray[np.uint8], NDArray[np.uint8] | None], None]
"""(position of the row, image (H, W), label map (H, W) or None); called from several threads."""
Problem = tuple[int, str]
"""(position of the row, or -1 for the table; what and the remedy)."""


@dataclass(frozen=True)
class Found:
    """An image file: native rows and columns (NaN where unreadable), digest, structures that the mask shows, joined by
    +, 16 bits; what is wrong with the row.
    """

    height: float = np.nan
    width: float = np.nan
    sha256: str = ""
    shows: str = ""
    scaled: bool = False
    problem: str = ""


def resolved(cells: pd.Series, root: Path, what: str) -> tuple[list[Path | None], list[Problem]]:
    """Absolute real paths, None for empty cells. A relative one must stay under root, also through links."""
    root, paths, problems = Path(os.path.realpath(root)), [], []
    for position, text in enumerate(cells):
        path = Path(os.path.realpath(root / text)) if text.strip() and "\0" not in text else None
        if "\0" in text:
            problems.append((position, f"{what} has a null character; correct the path"))
        elif os.sep == "/" and "\\" in text:
            problems.append((position, f"{what} has backslashes; write the folders of a path with '/'"))
        elif path and not Path(text).is_absolute() and not path.is_relative_to(root):
            problems.append((position, f"{what} leads out of {root}; give the absolute path if that is meant"))
        paths.append(path)
    return paths, problems


def there(path: Path) -> bool:
    """Whether the path leads to anything; no path that cannot exist, such as a name too long, does."""
    try:
        return path.exists()
    except OSError:
        return False


def inspect(
    images: list[Path | None], masks: list[Path | None], code: MaskCode | None, observe: Observer | None
) -> list[Found]:
    """Every image, and the mask beside it, decoded in full."""

    def one(position: int) -> Found:
        image, mask = images[position], masks[position]
        if image is None:
            return Found()
        try:
            decoded = decode(read_bytes(image))
        except ImageProblem as unreadable:
            return Found(problem=str(unreadable))
        (height, width), labels, shows, problem = decoded.grey.shape, None, "", ""
        if mask and code:
            labels, problem = _labels(mask, code, (height, width))
            present = set() if labels is None else set(np.unique(labels).tolist())
            shows = "+".join(name for label, name in enumerate(code.structures, 1) if label in present)
        if observe:
            observe(position, decoded.grey, labels)
        return Found(height, width, decoded.sha256, shows, decoded.scaled, problem)

    return in_threads(one, range(len(images)), "Checking images")


def _labels(path: Path, code: MaskCode, size: tuple[int, int]) -> tuple[NDArray[np.uint8] | None, str]:
    try:
        labels = code.decode(read_bytes(path))
    except ImageProblem as problem:
        text = str(problem)
        return None, text if text.startswith("mask") else f"mask {path.name} {text}"
    if labels.shape != size:
        shown = f"{labels.shape[1]} x {labels.shape[0]}, the image {size[1]} x {size[0]} (columns x rows)"
        turned = "; it fits when transposed" if labels.shape == size[::-1] else ""
        return None, f"mask {path.name} is {shown}{turned}; export it in the image's size"
    return labels, ""
