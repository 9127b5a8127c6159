"""The vocabulary of a manifest: its columns and annotations. A new annotation is one entry in ANNOTATIONS.

Coordinates are continuous px, x right, y down: pixel (row r, column c) covers [c, c+1) x [r, r+1) and its
centre is (c + 0.5, r + 0.5). A box is its edges (x1, y1, x2, y2). A canvas is (rows, columns).

Any column `group_NAME` holds texts or numbers that reports show results for, each on its own: a machine, a gestational
age. Nothing is trained or selected by it.
Any four columns NAME_x1, NAME_y1, NAME_x2, NAME_y2 are a box annotation `NAME_box`: an image may have several.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal

import pandas as pd

Kind = Literal["box", "points", "number", "spacing", "category", "mask"]


@dataclass(frozen=True)
class Annotation:
    """name: key in a batch; columns: in a manifest; low, high: the plausible range of a number, in `unit`;
    levels: the words of a category, in the order of their codes 0, 1, ...
    """

    name: str
    columns: tuple[str, ...]
    kind: Kind
    unit: str = ""
    low: float = 0.0
    high: float = float("inf")
    levels: tuple[str, ...] = ()

    @property
    def numeric(self) -> bool:
        return self.kind not in ("category", "mask")


def box(name: str) -> Annotation:
    return Annotation(f"{name}_box", tuple(f"{name}{edge}" for edge in EDGES), "box", "px")


def points(name: str, *ends: str) -> Annotation:
    return Annotation(name, tuple(f"{end}_{axis}" for end in ends for axis in "xy"), "points", "px")


EDGES = ("_x1", "_y1", "_x2", "_y2")
ANNOTATIONS = {
    annotation.name: annotation
    for annotation in (
        box("nt"),
        Annotation("nt_mm", ("nt_mm",), "number", "mm", low=0.05, high=20.0),
        Annotation("pixel_mm", ("pixel_mm",), "spacing", "mm per px", low=0.005, high=2.0),
        points("landmarks", "ofd_1", "ofd_2", "bpd_1", "bpd_2"),
        points("abdomen_landmarks", "tad_1", "tad_2", "apad_1", "apad_2"),
        points("femur_landmarks", "fl_1", "fl_2"),
        Annotation("hc_mm", ("hc_mm",), "number", "mm", low=20.0, high=500.0),
        Annotation("label_weight", ("label_weight",), "number", low=0.0, high=1.0),
        Annotation("mask", ("mask",), "mask"),
        Annotation("plane", ("plane",), "category", levels=("abdomen", "brain", "femur", "thorax", "cervix", "other")),
        Annotation("quality", ("quality",), "category", levels=("low", "medium", "high")),
    )
}


def annotations(columns: Iterable[str]) -> dict[str, Annotation]:
    """The annotations of which some column exists, and every further box."""
    given = set(columns)
    known = {a.name: a for a in ANNOTATIONS.values() if given & set(a.columns)}
    names = sorted({column.removesuffix(edge) for column in given for edge in EDGES if column.endswith(edge)})
    return known | {
        f"{name}_box": box(name) for name in names if name not in ("", "crop") and f"{name}_box" not in known
    }


def groups(columns: Iterable[object]) -> list[str]:
    """The columns `group_NAME`."""
    return [column for column in map(str, columns) if re.fullmatch(rf"{GROUP}\w+", column)]


def number_columns(columns: Iterable[str]) -> list[str]:
    """The columns of these annotations and of the crop that hold numbers."""
    known = [*annotations(columns).values(), CROP]
    return [column for annotation in known if annotation.numeric for column in annotation.columns]


IMAGE, SITE, SUBJECT, PART, MASK = "image", "site", "subject", "part", "mask"
REQUIRED = (IMAGE, SITE, SUBJECT)
PUBLISHED, LABEL_FLAG = "published_part", "label_flag"
"""Columns of split.csv: the data set's own part, and what the audit of landmarks finds implausible ('' for nothing)."""
GROUP = "group_"
PARTS = ("train", "val", "test")
SEEN_TEST = "seen_test"
ALL_PARTS = ("train", "val", SEEN_TEST, "test")
"""With the part that tests at the sites of the training images, where `test` is of sites that training has not seen."""
DERIVED = ("height", "width", "sha256", "shows")
"""Native rows and columns, digest of the file, structures in the mask (`csp+lv`): filled in by the check."""
DECLARED = ("width", "height")
"""In a table that is read: the size, px, that its annotations were made at; see `declared`."""
SOURCE = "source"  # the file an image was taken from, where it is not the image file itself; for messages
DATA_SET = "data_set"  # of a union: the source that a row is from
CROP = box("crop")
"""The part of an image that is used; annotations stay in px of the whole image."""
KNOWN = (*REQUIRED, PART, SOURCE, *CROP.columns, *(c for a in ANNOTATIONS.values() for c in a.columns), *DERIVED)


def filled(table: pd.DataFrame, annotation: Annotation) -> pd.Series:
    """Whether each row of a typed table has all values of the annotation; False where the columns are missing."""
    if not set(annotation.columns) <= set(table):
        return pd.Series(False, index=table.index)
    cells = table[list(annotation.columns)]
    return (cells.notna() & (cells != "")).all(axis=1)


def nearest(word: Any, words: Iterable[str], cutoff: float = 0.6) -> str:
    """' (did you mean ...?)' or nothing, to be put behind an unknown word."""
    folded = {known.casefold(): known for known in words}
    matches = get_close_matches(str(word).casefold(), folded, n=1, cutoff=cutoff)
    return f" (did you mean {folded[matches[0]]!r}?)" if matches else ""
