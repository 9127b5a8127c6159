"""The words a manifest may use. A new annotation is one entry in ANNOTATIONS, of a kind below.

Coordinates are continuous px, x right, y down: pixel (row r, column c) covers [c, c+1) x [r, r+1) and its
centre is (c + 0.5, r + 0.5). A box is its edges (x1, y1, x2, y2). A canvas is (rows, columns).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data.letterbox import Letterbox

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Annotation:
    """name: key in a batch; columns: in a manifest; low, high: the plausible range of a number, in `unit`."""

    name: str
    columns: tuple[str, ...]
    kind: Literal["box", "number", "spacing"]
    unit: str
    low: float = 0.0
    high: float = float("inf")


ANNOTATIONS = {
    annotation.name: annotation
    for annotation in (
        Annotation("nt_box", ("nt_x1", "nt_y1", "nt_x2", "nt_y2"), "box", "px"),
        Annotation("nt_mm", ("nt_mm",), "number", "mm", low=0.05, high=20.0),
        Annotation("pixel_mm", ("pixel_mm",), "spacing", "mm per px", low=0.005, high=2.0),
    )
}

# How the values of one row, (columns,), go through the letterbox of its image.
ON_CANVAS: dict[str, Callable[[Letterbox, Values], Values]] = {
    "box": lambda letterbox, box: letterbox.apply_box(box),
    "number": lambda letterbox, number: number,
    "spacing": lambda letterbox, spacing: letterbox.pixel_mm(spacing),
}

IMAGE, SITE, SUBJECT, PART = "image", "site", "subject", "part"
REQUIRED = (IMAGE, SITE, SUBJECT)
PARTS = ("train", "val", "test")
DERIVED = ("height", "width", "sha256")  # native rows and columns, digest of the file: filled in by the check
NUMERIC = tuple(column for annotation in ANNOTATIONS.values() for column in annotation.columns)
KNOWN = (*REQUIRED, PART, *NUMERIC, *DERIVED)


def nearest(word: Any, words: Iterable[str], cutoff: float = 0.6) -> str:
    """' (did you mean ...?)' or nothing, to be put behind an unknown word."""
    folded = {known.casefold(): known for known in words}
    matches = get_close_matches(str(word).casefold(), folded, n=1, cutoff=cutoff)
    return f" (did you mean {folded[matches[0]]!r}?)" if matches else ""
