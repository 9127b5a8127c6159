"""Run-length encoded masks, of COCO and CVAT: lengths of runs of 0 and 1 in turn, the first being of 0.

COCO's compressed texts are decoded here rather than by pycocotools, whose C code reads beyond the end of a damaged one
(maskApi.c, `rleFrString`, of github.com/cocodataset/cocoapi defines them).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data.importers.problem import ExportProblem

FIRST, LAST = 48, 111  # characters, of 6 bits each
BITS, MORE, SIGN = 0x1F, 0x20, 0x10
LONGEST = 35  # bits of a length; longer is damage


def unpacked(lengths: Sequence[int], size: tuple[int, int], order: Literal["C", "F"]) -> NDArray[np.bool_]:
    """(rows, columns) of a mask, row by row ('C', CVAT) or column by column ('F', COCO). Raises ExportProblem."""
    total = sum(lengths)
    if min(lengths, default=0) < 0 or total != size[0] * size[1]:
        raise ExportProblem(
            f"has runs of {total:,} px in a mask of {size[1]} x {size[0]}; it is damaged: export it again"
        )
    return np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(size, order=order)


def lengths_of(packed: str) -> list[int]:
    """The lengths in a compressed text of COCO: digits of five bits, the lowest first, the last with the sign; from the
    fourth on, differences to the last but one. Raises ExportProblem.
    """
    lengths: list[int] = []
    value = shift = 0
    for character in packed:
        digit = ord(character) - FIRST
        if not 0 <= digit <= LAST - FIRST or shift > LONGEST:
            raise ExportProblem("has a damaged text of run lengths; export it again")
        value |= (digit & BITS) << shift
        shift += 5
        if not digit & MORE:
            value -= bool(digit & SIGN) << shift
            lengths.append(value + (lengths[-2] if len(lengths) > 2 else 0))
            value = shift = 0
    if shift:
        raise ExportProblem("has a truncated text of run lengths; export it again")
    return lengths
