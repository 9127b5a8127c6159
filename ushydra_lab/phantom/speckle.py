"""B-mode image formation: scatterers, point-spread function, attenuation, envelope, scan geometry.

All lengths are mm with the origin in the middle of the image, x right, y down (away from the probe). Arrays
in beam space are (samples, lines): depth along rows, one column per beam.
"""

from dataclasses import dataclass
from math import cos, hypot
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter1d, map_coordinates

Array = NDArray[np.floating[Any]]
APERTURE_MM = 0.8  # a beam is as wide as its aperture: shadows have soft edges


@dataclass
class Tissue:
    """Acoustic properties at the sample points, each (samples, lines).

    scatter: root-mean-square amplitude of the diffuse scatterers, dB relative to soft tissue.
    specular: amplitude of smooth interfaces (linear, 1 = soft tissue's diffuse amplitude).
    attenuation: loss beyond what the machine's time gain compensation assumes, dB per mm of depth (two-way).
    """

    scatter: Array
    specular: Array
    attenuation: Array


class Scan(Protocol):
    @property
    def lines(self) -> int: ...

    def points(self) -> tuple[Array, Array]:
        """x and y (mm) of every sample, (samples, lines)."""

    def locate(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Fractional (sample, line) of points given in mm."""

    def line_mm(self) -> Array:
        """Distance between neighbouring beams at every depth, (samples,)."""


@dataclass(frozen=True)
class LinearScan:
    """Parallel beams over a width x depth rectangle (mm)."""

    width: float
    depth: float
    samples: int
    lines: int

    def points(self) -> tuple[Array, Array]:
        x = np.linspace(-self.width / 2, self.width / 2, self.lines, dtype=np.float32)
        y = np.linspace(-self.depth / 2, self.depth / 2, self.samples, dtype=np.float32)
        grid_y, grid_x = np.meshgrid(y, x, indexing="ij")
        return grid_x, grid_y

    def locate(self, x: Array, y: Array) -> tuple[Array, Array]:
        row = (y / self.depth + 0.5) * (self.samples - 1)
        return row, (x / self.width + 0.5) * (self.lines - 1)

    def line_mm(self) -> Array:
        return np.full(self.samples, self.width / (self.lines - 1), np.float32)


@dataclass(frozen=True)
class SectorScan:
    """Beams from a virtual apex `radius` mm above the image; `angle` is half the opening (rad)."""

    radius: float
    angle: float
    width: float
    depth: float
    samples: int
    lines: int

    @property
    def reach(self) -> float:
        """Length of a beam (mm): long enough for the image's lower corners."""
        bottom = self.radius + self.depth
        return min(hypot(bottom, self.width / 2), bottom / cos(self.angle)) - self.radius

    def points(self) -> tuple[Array, Array]:
        r = self.radius + np.linspace(0, self.reach, self.samples, dtype=np.float32)[:, None]
        theta = np.linspace(-self.angle, self.angle, self.lines, dtype=np.float32)
        return r * np.sin(theta), r * np.cos(theta) - self.radius - self.depth / 2

    def locate(self, x: Array, y: Array) -> tuple[Array, Array]:
        down = y + (self.radius + self.depth / 2)
        row = (np.hypot(x, down) - self.radius) / self.reach * (self.samples - 1)
        return row, (np.arctan2(x, down) / self.angle + 1) / 2 * (self.lines - 1)

    def line_mm(self) -> Array:
        r = self.radius + np.linspace(0, self.reach, self.samples, dtype=np.float32)
        return r * np.float32(2 * self.angle / (self.lines - 1))


@dataclass(frozen=True)
class Pulse:
    """Gaussian point-spread function: standard deviations in mm, the lateral one at `focus` (part of the
    depth).

    Away from the focus the beam widens as a Gaussian beam does, by sqrt(1 + (z / spread)^2) at z mm from it.
    """

    axial: float
    lateral: float
    focus: float = 0.6
    spread: float = 20.0

    def lateral_at(self, depth: Array) -> Array:
        away = (depth - self.focus * depth[-1]) / self.spread
        return self.lateral * np.sqrt(1 + away**2)


def complex_noise(rng: np.random.Generator, shape: tuple[int, ...]) -> NDArray[np.complex64]:
    """Circular complex Gaussian noise of unit mean power."""
    pairs = rng.standard_normal((*shape, 2), dtype=np.float32) * np.float32(np.sqrt(0.5))
    return pairs.view(np.complex64)[..., 0]


def blur(field: NDArray[np.complex64], axial: float, lateral: Array) -> NDArray[np.complex64]:
    """Convolve with the point-spread function; `axial` in samples, `lateral` (samples,) in lines, per depth.

    Spectral, so the lateral width may differ in every row; unit noise power is kept in the interior.
    """
    pad = (int(4 * axial) + 1, int(4 * float(lateral.max())) + 1)
    size = [fft.next_fast_len(n + p) for n, p in zip(field.shape, pad, strict=True)]
    f_axial = fft.fftfreq(size[0]).astype(np.float32)[:, None]
    f_lateral = fft.fftfreq(size[1]).astype(np.float32)[None, :]
    spectrum = fft.fft(field, size[1], axis=1)
    spectrum *= np.exp(-2 * np.pi**2 * (lateral[:, None] * f_lateral) ** 2)
    spectrum = fft.fft(spectrum, size[0], axis=0)
    spectrum *= np.exp(-2 * np.pi**2 * (axial * f_axial) ** 2)
    blurred: NDArray[np.complex64] = fft.ifft2(spectrum)[: field.shape[0], : field.shape[1]]
    return blurred


def envelope(rng: np.random.Generator, tissue: Tissue, scan: Scan, pulse: Pulse, noise_db: float) -> Array:
    """Envelope amplitude in beam space, (samples, lines); soft tissue (0 dB) has a mean square of 1.

    The scatterer field (diffuse, complex Gaussian) and the specular interfaces (coherent) are attenuated
    along the beam and convolved with the pulse; electronic noise of `noise_db` is added. Fully developed
    speckle is Rayleigh: mean / standard deviation = 1.91 (Wagner et al. 1983, IEEE Trans. Sonics Ultrason.
    30(3)).
    """
    line_mm = scan.line_mm()
    y = scan.points()[1][:, tissue.scatter.shape[1] // 2]
    sample_mm = float(y[1] - y[0])
    lateral = pulse.lateral_at(y - y[0]) / line_mm
    axial = pulse.axial / sample_mm
    path_loss = np.cumsum(tissue.attenuation, axis=0) * np.float32(sample_mm)
    loss = gaussian_filter1d(path_loss, APERTURE_MM / float(line_mm.mean()), axis=1)
    diffuse = 10 ** ((tissue.scatter - loss) / 20) * np.sqrt(4 * np.pi * axial * lateral)[:, None]
    field = complex_noise(rng, tissue.scatter.shape) * diffuse.astype(np.float32)
    field += tissue.specular * 10 ** (-loss / 20)
    echo = blur(field, axial, lateral)
    echo += complex_noise(rng, echo.shape) * np.float32(10 ** (noise_db / 20))
    return np.abs(echo)


def log_compress(amplitude: Array, gain_db: Array | float, dynamic_range_db: float) -> Array:
    """Grey in [0, 1]: 0 dB plus gain is white, `dynamic_range_db` below it is black."""
    decibel = 20 * np.log10(np.maximum(amplitude, 1e-6)) + gain_db
    return np.clip(1 + decibel / dynamic_range_db, 0, 1).astype(np.float32)


def scan_convert(beams: Array, scan: Scan, x: Array, y: Array, outside: float) -> Array:
    """Bilinear interpolation of beam data at points in mm; `outside` where there is no beam."""
    at = np.stack(scan.locate(x, y))
    grey: Array = map_coordinates(beams, at, order=1, mode="constant", cval=outside, output=np.float32)
    return grey
