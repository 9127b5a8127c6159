"""Resampling of stretched copies of images to the size that their annotations were made at (see `declared`)."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from ushydra_lab.data.declared import differs
from ushydra_lab.data.inspection import resolved
from ushydra_lab.data.io.convert import Conversion, Converter, Images
from ushydra_lab.data.io.image import decode, read_bytes
from ushydra_lab.data.source import Source
from ushydra_lab.data.vocabulary import DECLARED, IMAGE, SOURCE
from ushydra_lab.errors import UserError

HOW = "declared size 1"
RESAMPLE = "declared"


def resampled(source: Source, cache: str | os.PathLike[str], resample: str | None) -> Source:
    """With resample='declared': images of another size than their table says are brought to that size, bilinearly, as
    PNG in `cache`. Raises UserError for another word.
    """
    if resample not in (None, RESAMPLE):
        raise UserError(f"data.resample = {resample!r} is neither null nor {RESAMPLE}")
    table = source.table
    if resample is None or not {IMAGE, *DECLARED} <= {*table}:
        return source
    sizes = table[list(DECLARED)].apply(pd.to_numeric, errors="coerce").to_numpy(float)
    paths, _ = resolved(table[IMAGE].fillna("").map(str), source.root, IMAGE)
    stretched = differs(np.array([_size(path) for path in paths]).reshape(-1, 2), sizes)
    rows = [row for row, path in enumerate(paths) if path and stretched[row]]
    if not rows:
        return source
    chosen = [(Path(paths[row] or ""), (round(sizes[row, 0]), round(sizes[row, 1]))) for row in rows]
    conversions = [Conversion((path,), f"{HOW} {size}", partial(_brought_back, path, size)) for path, size in chosen]
    home = os.path.commonpath([os.path.realpath(source.root), *(path for path, _ in chosen)])
    pngs = Converter(Path(cache), Path(home), bool(np.all(source.strict))).pngs(conversions)
    images = table[IMAGE].astype(object)
    origins = table.get(SOURCE, pd.Series("", table.index)).astype(object)
    for row, made in zip(rows, pngs, strict=True):
        if made:
            origins.iloc[row] = origins.iloc[row] or images.iloc[row]
            images.iloc[row] = str(made["image"])
    print(f"{source.name}: {sum(map(bool, pngs))} images brought to the size that their annotations were made at")
    return replace(source, table=table.assign(**{IMAGE: images, SOURCE: origins}))


def _size(path: Path | None) -> tuple[float, float]:
    """(width, height) by the file's header, NaN where it cannot be read: the check says why."""
    try:
        with Image.open(path or "") as image:
            return image.size
    except Exception:  # Pillow raises whatever a file's damage leads to
        return np.nan, np.nan


def _brought_back(path: Path, size: tuple[int, int]) -> Images:
    grey = decode(read_bytes(path)).grey
    yield "image", np.array(Image.fromarray(grey).resize(size, Image.Resampling.BILINEAR))
