"""Thumbnails of images with their annotations drawn on."""

import base64
import io
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw
from scipy.ndimage import binary_erosion

from ushydra_lab.data.checks import Examined
from ushydra_lab.data.io.image import ImageProblem, decode, read_bytes
from ushydra_lab.data.io.mask_codes import AnyCode
from ushydra_lab.data.vocabulary import annotations

SIDE, QUALITY = 256, 80
COLOURS = ("#ffb000", "#3ddbd9", "#ff7eb6", "#a6e22e", "#be95ff", "#ff832b", "#82cfff", "#f1c21b", "#6fdc8c")


def palette(table: pd.DataFrame, masks: AnyCode | None) -> dict[str, str]:
    """Colour of every mask structure, box (by its annotation's name) and diameter ('ofd' for ofd_1 and ofd_2)."""
    known = annotations(table.columns).values()
    boxes = [annotation.name for annotation in known if annotation.kind == "box"]
    diameters = [c.removesuffix("_1_x") for a in known if a.kind == "points" for c in a.columns[::4]]
    names = dict.fromkeys([*(masks.structures if masks else ()), *boxes, *diameters])
    return {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(names)}


def thumbnail(examined: Examined, masks: AnyCode | None, row: int) -> str:
    """The row's image with boxes, end points and mask outlines: a data URI (JPEG, at most SIDE px), '' without one."""
    path = examined.paths[row]
    try:
        grey = decode(read_bytes(path)).grey if path else None
    except ImageProblem:
        grey = None
    if grey is None:
        return ""
    picture = Image.fromarray(grey)
    picture.thumbnail((SIDE, SIDE), Image.Resampling.BILINEAR)
    scale = picture.width / grey.shape[1], picture.height / grey.shape[0]
    picture = picture.convert("RGB")
    colours = palette(examined.table, masks)
    if masks and (mask := examined.masks[row]):
        picture = _outlined(picture, masks, mask, colours)
    _draw_annotations(ImageDraw.Draw(picture), examined.table, row, scale, colours)
    stored = io.BytesIO()
    picture.save(stored, "JPEG", quality=QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(stored.getvalue()).decode()


def _outlined(picture: Image.Image, masks: AnyCode, path: Path, colours: dict[str, str]) -> Image.Image:
    try:
        labels = masks.at(path).decode(read_bytes(path))
    except ImageProblem:
        return picture
    small = np.asarray(Image.fromarray(labels).resize(picture.size, Image.Resampling.NEAREST))
    pixels = np.array(picture)
    for k, structure in enumerate(masks.structures, 1):
        inside: NDArray[np.bool_] = small == k
        pixels[inside & ~binary_erosion(inside)] = ImageColor.getrgb(colours[structure])
    return Image.fromarray(pixels)


def _draw_annotations(
    draw: ImageDraw.ImageDraw, table: pd.DataFrame, row: int, scale: tuple[float, float], colours: dict[str, str]
) -> None:
    for annotation in annotations(table.columns).values():
        if annotation.kind not in ("box", "points") or not set(annotation.columns) <= set(table):
            continue
        pairs = table[list(annotation.columns)].iloc[row].to_numpy(float).reshape(-1, 2, 2) * scale
        names = [annotation.name] if annotation.kind == "box" else [c[:-4] for c in annotation.columns[::4]]
        for name, (start, end) in zip(names, pairs, strict=True):
            if not np.isfinite([start, end]).all():
                continue
            if annotation.kind == "box":
                draw.rectangle([*np.minimum(start, end), *np.maximum(start, end)], outline=colours[name])
            else:
                draw.line([*start, *end], fill=colours[name])
                draw.ellipse([*(start - 3), *(start + 3)], outline=colours[name])
                draw.ellipse([*(end - 3), *(end + 3)], fill=colours[name])
