"""Audit of annotations that a canvas is too small for, or that the crop cuts off: training skips such images."""

from collections.abc import Collection

import numpy as np
import pandas as pd

from ushydra_lab.audit.flags import Finding, Flag
from ushydra_lab.data import checks
from ushydra_lab.data.usable import ON_CANVAS, usable
from ushydra_lab.data.vocabulary import annotations, filled

SMALLEST = (128, 128)  # of the experiments, on a laptop

METHOD = (
    "Whether every box keeps 1 x 1 px on the canvas, and the crop cuts off no point, by the rule that training itself "
    f"applies; without --canvas on {SMALLEST[0]} x {SMALLEST[1]} px, the smallest that an experiment has on a laptop."
)


def audit(table: pd.DataFrame, canvas: tuple[int, int], troubled: Collection[int]) -> Finding:
    """troubled: rows with problems, which are not looked at again."""
    flags = []
    size = f"{canvas[0]} x {canvas[1]} px (rows x columns)"
    sound = ~np.isin(np.arange(len(table)), [*troubled]) & table["height"].notna().to_numpy()
    for annotation in (a for a in annotations(table.columns).values() if a.kind in ON_CANVAS):
        rows = np.flatnonzero(sound & filled(table, annotation).to_numpy())
        lost = rows[~usable(table.iloc[rows].reset_index(drop=True), annotation, canvas).to_numpy()]
        if len(lost):
            text = f"{len(lost)} of {len(rows)} images lose their {annotation.name} on a canvas of {size}"
            first = checks.place(table, int(lost[0]))
            flags.append(Flag(f"{text}, from {first}: training on it leaves them out", tuple(map(int, lost))))
    return Finding("lost", "Annotations that get lost on the canvas", METHOD, flags)
