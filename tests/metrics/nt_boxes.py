"""Boxes with and without an NT: what the caliper's gate is fitted on (one half) and tested on (the other)."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ushydra_lab.data.readers.fetus_framework import read
from ushydra_lab.phantom import render
from ushydra_lab.phantom.hospitals import MACHINES
from ushydra_lab.phantom.nt import WALL_MM, Anatomy, Fetus
from ushydra_lab.phantom.speckle import Array, Tissue

EDGES = ("x1", "y1", "x2", "y2")
CANVASES = {"native": None, "laptop": (176, 256)}
FITTED, TESTED = 0, 1
"""Halves: by the image for real ones, by the index for phantoms."""


@dataclass(frozen=True)
class Case:
    """A box of an image; kind: what it shows."""

    image: NDArray[np.uint8]
    box: tuple[float, ...]
    kind: str
    half: int
    name: str
    thickness_mm: float = np.nan
    pixel_mm: float = np.nan

    @property
    def has_nt(self) -> bool:
        return self.kind.endswith(" nt")

    def on(self, canvas: tuple[int, int] | None) -> tuple[Tensor, Tensor, float]:
        """Image (1, 1, H, W) and box (1, 4), made smaller or larger to fit a canvas, and by how much."""
        height, width = self.image.shape
        scale = 1.0 if canvas is None else min(canvas[0] / height, canvas[1] / width)
        size = (round(width * scale), round(height * scale))
        image = np.array(Image.fromarray(self.image).resize(size, Image.Resampling.BILINEAR))
        factors = torch.tensor([size[0] / width, size[1] / height] * 2)
        box = torch.tensor(self.box, dtype=torch.float32) * factors
        return torch.from_numpy(image)[None, None] / 255, box[None], scale


def of_real(data: Path) -> Iterator[Case]:
    """The boxes of all nine structures, and three boxes of the NT's size elsewhere in each image."""
    source = read(data / "nt_fetus_framework")
    table = source.table[source.table["image"].map(lambda name: (source.root / name).is_file())]
    order = np.random.default_rng(0).permutation(len(table))
    rng = np.random.default_rng(1)
    structures = [column.removesuffix("_x1") for column in table if column.endswith("_x1")]
    for place, row in zip(order, table.sort_values("image").to_dict("records"), strict=True):
        image = np.asarray(Image.open(source.root / row["image"]).convert("L"))
        one = Case(image, (), "", int(place) % 2, Path(row["image"]).stem)
        boxes = {name: tuple(float(row[f"{name}_{edge}"]) for edge in EDGES) for name in structures}
        for structure, box in boxes.items():
            if not np.isnan(box).any():
                yield replace(one, box=box, kind=f"real {structure}")
        yield from elsewhere(replace(one, box=boxes["nt"]), "real elsewhere", 3, rng)


def of_phantom(seed: int, count: int, **settings: str) -> Iterator[Case]:
    """Of each hospital `count` images with their NT boxes, and two boxes of that size elsewhere in each."""
    rng = np.random.default_rng(seed)
    for site in MACHINES:
        for index in range(count):
            record = render("nt", seed, site, index, **settings)
            box = tuple(float(record.annotations[f"nt_{edge}"]) for edge in EDGES)
            truth = float(record.annotations["nt_mm"])
            one = Case(record.image, box, "phantom nt", index % 2, f"{site}{index}", truth, record.pixel_mm)
            yield one
            yield from elsewhere(one, "phantom elsewhere", 2, rng)


def without_nt(kind: str, seed: int, count: int) -> Iterator[Case]:
    """Phantoms as the machines show them in the box where an NT would be: `left out`, or nothing but `speckle`."""
    for number, (site, machine) in enumerate(MACHINES.items()):
        for index in range(count):
            rng = np.random.default_rng([seed, number, index])
            fetus = Fetus.draw(rng)
            view = machine.view(rng, fetus.size_mm)
            annotations = fetus.annotations(rng, view)
            subject = {"left out": LeftOut, "speckle": Speckle}[kind](**vars(fetus))
            image = np.round(machine.acquire(rng, subject, view) * 255).astype(np.uint8)
            box = tuple(float(annotations[f"nt_{edge}"]) for edge in EDGES)
            yield Case(image, box, f"phantom {kind}", index % 2, f"{site}{index}")


class Speckle(Fetus):
    """Soft tissue everywhere."""

    def tissue(self, x: Array, y: Array) -> Tissue:
        nothing = np.zeros(np.broadcast(x, y).shape, np.float32)
        return Tissue(nothing, nothing.copy(), nothing.copy())


class LeftOut(Fetus):
    """The trunk's tissue where the fluid and its lines would be; the amniotic fluid behind the back stays."""

    def tissue(self, x: Array, y: Array) -> Tissue:
        return _Filled(self, *self.to_fetus(x, y)).paint()


class _Filled(Anatomy):
    def nuchal_translucency(self) -> None:
        strip = self.fetus.strip
        beyond = np.abs(strip.depth(self.x, self.y)[0]) - strip.lumen(self.x) / 2 - WALL_MM
        self.fill(beyond, -7 + 5.5 * self.streaks + 3.5 * self.coarse)


def elsewhere(case: Case, kind: str, count: int, rng: np.random.Generator) -> Iterator[Case]:
    """Boxes of the same size that do not touch the box, nor what lies within its height above and below."""
    x1, y1, x2, y2 = case.box
    (height, width), (h, w) = case.image.shape, (y2 - y1, x2 - x1)
    for _ in range(400):
        x, y = (rng.uniform(0.08 * n, max(0.09 * n, 0.92 * n - s)) for n, s in ((width, w), (height, h)))
        apart = x > x2 + 8 or x + w < x1 - 8 or y > y2 + h or y + h < y1 - h
        if apart and x + w <= width:
            yield replace(case, box=(x, y, x + w, y + h), kind=kind, thickness_mm=np.nan)
            count -= 1
        if not count:
            return
