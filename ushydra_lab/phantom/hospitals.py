"""Three hospitals, each with a machine and habits of its own: what the same fetus looks like there."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from ushydra_lab.phantom.speckle import (
    Array,
    LinearScan,
    Pulse,
    Scan,
    SectorScan,
    Tissue,
    envelope,
    log_compress,
    scan_convert,
)

SAMPLE_MM, LINE_MM = 0.08, 0.2
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class View:
    """Image size (rows, columns), spacing (mm per px) and scan geometry of one acquisition."""

    shape: tuple[int, int]
    pixel_mm: float
    scan: Scan

    def to_px(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Continuous image coordinates (column, row) of points in mm."""
        return x / self.pixel_mm + self.shape[1] / 2, y / self.pixel_mm + self.shape[0] / 2

    def grid(self) -> tuple[Array, Array]:
        """x and y (mm) of every pixel centre, (H, W)."""
        rows, columns = (np.arange(n, dtype=np.float32) + 0.5 - n / 2 for n in self.shape)
        y, x = np.meshgrid(rows * self.pixel_mm, columns * self.pixel_mm, indexing="ij")
        return x, y

    def visible(self, x: Array, y: Array) -> NDArray[np.bool_]:
        """Which points (mm) lie inside the image and the scanned field."""
        column, row = self.to_px(x, y)
        line = self.scan.locate(x, y)[1]
        inside = (column >= 0) & (column <= self.shape[1]) & (row >= 0) & (row <= self.shape[0])
        return inside & (line >= 0) & (line <= self.scan.lines - 1)


class Subject(Protocol):
    @property
    def size_mm(self) -> tuple[float, float]:
        """Width and height (mm) that the image should frame."""

    def tissue(self, x: Array, y: Array) -> Tissue: ...

    def annotations(self, rng: np.random.Generator, view: View) -> dict[str, float | str]:
        """The truth in the manifest's columns: native px, mm, names."""

    def labels(self, x: Array, y: Array) -> NDArray[np.uint8] | None:
        """The structure at every point (mm): 0 background, k the scene's k-th; None for a scene without masks."""


@dataclass(frozen=True)
class Machine:
    """One hospital's scanner. Pairs are ranges drawn from uniformly for every image.

    `fill`: part of the image height the subject takes; `field`: scanned width at mid depth over image width;
    `apex_mm`: the sector's apex above the image (0: linear array); `tgc_db`: gain error at equally spaced
    depths; `persistence`: smoothing of the envelope (samples, lines), standing for compounding; `noise_db`:
    electronic noise relative to soft tissue; `sharpen`: edge enhancement; `gamma`, `black`: grey map and its
    darkest grey; `inset`, `crosses`: probability of a thumbnail and of caliper crosses.
    """

    height: tuple[float, float]
    aspect: tuple[float, float]
    fill: tuple[float, float]
    field: tuple[float, float]
    apex_mm: float
    pulse: Pulse
    persistence: tuple[float, float]
    gain_db: tuple[float, float]
    dynamic_range_db: tuple[float, float]
    tgc_db: tuple[float, ...]
    noise_db: float
    gamma: float
    sharpen: float
    black: float
    text: tuple[str, ...]
    text_on_left: bool
    inset: float
    crosses: float

    def view(self, rng: np.random.Generator, size_mm: tuple[float, float]) -> View:
        height = round(rng.uniform(*self.height))
        width = round(height * rng.uniform(*self.aspect))
        pixel_mm = round(size_mm[1] / (height * rng.uniform(*self.fill)), 5)
        width_mm, depth_mm = width * pixel_mm, height * pixel_mm
        field_mm = width_mm * rng.uniform(*self.field)
        samples, lines = round(1.04 * depth_mm / SAMPLE_MM), round(field_mm / LINE_MM)
        scan: Scan = LinearScan(field_mm, depth_mm, samples, lines)
        if self.apex_mm:
            angle = float(np.arctan(field_mm / 2 / (self.apex_mm + depth_mm / 2)))
            scan = SectorScan(self.apex_mm, angle, width_mm, depth_mm, samples, lines)
        return View((height, width), pixel_mm, scan)

    def acquire(self, rng: np.random.Generator, subject: Subject, view: View) -> Array:
        """The subject as this machine shows it: grey in [0, 1], (H, W), nothing burnt in."""
        tissue = subject.tissue(*view.scan.points())
        echo = envelope(rng, tissue, view.scan, self.pulse, self.noise_db)
        echo = gaussian_filter(echo, self.persistence, truncate=3)
        depth = np.linspace(0, 1, echo.shape[0])
        tgc = np.interp(depth, np.linspace(0, 1, len(self.tgc_db)), self.tgc_db) + rng.uniform(*self.gain_db)
        grey = log_compress(echo, tgc[:, None].astype(np.float32), rng.uniform(*self.dynamic_range_db))
        if self.sharpen:
            grey = np.clip(grey + self.sharpen * (grey - gaussian_filter(grey, (4, 2), truncate=2)), 0, 1)
        grey = self.black + (1 - self.black) * grey**self.gamma
        return scan_convert(grey, view.scan, *view.grid(), outside=self.black)

    def burn_in(self, rng: np.random.Generator, grey: Array, clear: Box | None, crosses: bool) -> NDArray[np.uint8]:
        """Text, grey bar, ruler, perhaps an inset, which spares the box `clear`, and caliper crosses in that box."""
        image = Image.fromarray(np.round(grey * 255).astype(np.uint8))
        draw = ImageDraw.Draw(image)
        self._text(draw, image.size)
        _ruler(draw, image.size, right=self.text_on_left)
        if rng.random() < self.inset:
            _inset(image, right=bool(rng.random() < 0.5), clear=clear)
        if clear and crosses and rng.random() < self.crosses:
            _crosses(draw, clear, rng.uniform(0.3, 0.7))
        return np.asarray(image)

    def _text(self, draw: ImageDraw.ImageDraw, size: tuple[int, int]) -> None:
        font = ImageFont.load_default(size=12)
        for row, line in enumerate(self.text):
            x = 4 if self.text_on_left else size[0] - 4 - draw.textlength(line, font=font)
            draw.text((x, 3 + 13 * row), line, fill=225, font=font)


def _ruler(draw: ImageDraw.ImageDraw, size: tuple[int, int], right: bool) -> None:
    x = size[0] - 12 if right else 4
    for level in range(100):
        draw.line([(x, 130 - level), (x + 6, 130 - level)], fill=int(level * 2.5))
    for y in range(140, size[1] - 4, 60):
        draw.rectangle([x + 2, y, x + 4, y + 2], fill=200)


def _inset(image: Image.Image, right: bool, clear: Box | None) -> None:
    """Thumbnail of the whole scan in a lower corner, unless it would cover the box."""
    width, height = image.width // 6, image.height // 6
    left, top = (image.width - width - 2 if right else 2), image.height - height - 2
    if clear and left < clear[2] and left + width > clear[0] and top < clear[3]:
        return
    small = Image.new("L", (width, height))
    small.paste(image.resize((width // 2, height // 2)), (width // 4, height // 4))
    ImageDraw.Draw(small).rectangle([0, 0, width - 1, height - 1], outline=120)
    image.paste(small, (left, top))


def _crosses(draw: ImageDraw.ImageDraw, box: Box, along: float) -> None:
    x = box[0] + along * (box[2] - box[0])
    for y in (box[1] + 3, box[3] - 3):
        draw.line([(x - 3, y), (x + 3, y)], fill=235)
        draw.line([(x, y - 3), (x, y + 3)], fill=235)


MACHINES: dict[str, Machine] = {
    "hospital_a": Machine(
        height=(440, 500), aspect=(1.38, 1.5), fill=(0.86, 0.94), field=(0.98, 1.1), apex_mm=90,
        pulse=Pulse(axial=0.13, lateral=0.34), persistence=(0.8, 2.0),
        gain_db=(-21, -17), dynamic_range_db=(46, 50), tgc_db=(-2, 0, 1), noise_db=-34,
        gamma=1.5, sharpen=0.0, black=0.0,
        text=("NT", "Har-high", "85", "Gn  2", "C7 / M15", "FF4 / E2"), text_on_left=False,
        inset=0.0, crosses=0.4,
    ),
    "hospital_b": Machine(
        height=(480, 550), aspect=(1.25, 1.4), fill=(0.68, 0.78), field=(0.78, 0.88), apex_mm=60,
        pulse=Pulse(axial=0.12, lateral=0.28), persistence=(0.7, 1.2),
        gain_db=(-21, -17), dynamic_range_db=(54, 58), tgc_db=(2, 0, -3), noise_db=-38,
        gamma=1.8, sharpen=0.5, black=0.0,
        text=("1.Trim. Card", "Har-high", "94", "Gn  3", "C8 / M16", "P2 / E3"), text_on_left=False,
        inset=0.8, crosses=0.3,
    ),
    "hospital_c": Machine(
        height=(365, 430), aspect=(1.4, 1.55), fill=(0.84, 0.92), field=(1.0, 1.0), apex_mm=0,
        pulse=Pulse(axial=0.14, lateral=0.42), persistence=(0.8, 2.5),
        gain_db=(-24, -19), dynamic_range_db=(62, 68), tgc_db=(-6, 0, 2), noise_db=-40,
        gamma=1.6, sharpen=0.0, black=0.07,
        text=("OB NT  MI 1.0", "5-2", "41Hz", "Z 3.4", "2D", "51%", "Dyn R 66", "P Low"), text_on_left=True,
        inset=0.1, crosses=0.5,
    ),
}  # fmt: skip
