"""Tables of counts per site and per part: images, subjects, annotations, classes, sizes."""

import numpy as np
import pandas as pd

from ushydra_lab.audit.features import Features
from ushydra_lab.audit.flags import by_site
from ushydra_lab.data.vocabulary import PART, SITE, SUBJECT, annotations, filled
from ushydra_lab.geometry.letterbox import Letterbox

SIZES = {"pixel_mm": "mm per px", "height": "height, px", "width": "width, px"}


def overview(table: pd.DataFrame, left_out: list[int], seen: Features, canvas: tuple[int, int] | None) -> pd.DataFrame:
    """One column of text per site; the rows say what: images, subjects, annotations, classes, structures, sizes."""
    present = np.ones(len(table), bool)
    present[left_out] = False
    columns = {site: _site(table, rows, present, seen, canvas) for site, rows in by_site(table).items()}
    return pd.DataFrame(columns).fillna("0")


def parts(table: pd.DataFrame) -> pd.DataFrame:
    """Images and subjects per site and part; no rows where the data set has no parts."""
    if PART not in table:
        return pd.DataFrame(columns=[SITE, PART, "images", "subjects"])
    groups = table.assign(**{PART: table[PART].replace("", "unused")}).groupby([SITE, PART], sort=True)
    return groups[SUBJECT].agg(images="size", subjects="nunique").reset_index()


def repeats(table: pd.DataFrame) -> str:
    """The number of subjects with several images, as text."""
    counts = table.groupby([SITE, SUBJECT]).size()
    several = int((counts > 1).sum())
    said = f"{len(table)} rows of {len(counts)} subjects"
    return f"{said}; with several rows: {several}, at most {counts.max()} of one" if several else f"{said}, one each"


def _site(
    table: pd.DataFrame, rows: np.ndarray, present: np.ndarray, seen: Features, canvas: tuple[int, int] | None
) -> dict[str, str]:
    own, here = table.iloc[rows], present[rows]
    shown = {"images": str(int(here.sum())), "subjects": str(own.loc[here, SUBJECT].nunique())}
    if not here.all():
        shown["rows left out"] = str(int((~here).sum()))
    for name, annotation in annotations(table.columns).items():
        if annotation.kind == "category":
            shown |= {f"{name} {level}": str(int((own[name] == level).sum())) for level in annotation.levels}
        else:
            shown[f"with {name}"] = str(int(filled(own, annotation).sum()))
    for k, structure in enumerate(seen.structures):
        shown[f"{structure} in mask"] = str(int((seen.shapes[rows, k, -1] > 0).sum()))
    shown |= {title: _span(own[column]) for column, title in SIZES.items() if column in own}
    if canvas:
        shown[f"{canvas[0]} x {canvas[1]} filled, %"] = _span(_filled(own, canvas))
    return shown


def _span(values: pd.Series) -> str:
    """'0.061 .. 0.12', one number where all are equal, '-' where there is none."""
    low, high = values.min(), values.max()
    if values.isna().all():
        return "-"
    return f"{low:.4g}" if low == high else f"{low:.4g} .. {high:.4g}"


def _filled(rows: pd.DataFrame, canvas: tuple[int, int]) -> pd.Series:
    """How much of the canvas each image takes up, the rest is padding, %."""
    sizes = rows[["height", "width"]].dropna().drop_duplicates().astype(int)
    fits = [Letterbox.fit((height, width), canvas).size for height, width in sizes.itertuples(index=False)]
    return pd.Series([100 * h * w / (canvas[0] * canvas[1]) for h, w in fits], dtype=float)
