"""Ellipses in px: fitted to points, their perimeter and axes (head circumference, BPD and OFD)."""

from dataclasses import dataclass
from math import cos, pi, sin

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ellipe

Points = NDArray[np.float64]


@dataclass(frozen=True)
class Ellipse:
    """Centre (x, y) and semi-axes in px, major >= minor; angle from x towards y to the major axis, in (-pi/2, pi/2]."""

    x: float
    y: float
    major: float
    minor: float
    angle: float

    @property
    def perimeter(self) -> float:
        """px."""
        return float(perimeter(self.major, self.minor))

    @property
    def ends(self) -> Points:
        """(4, 2): both ends of the major axis, the left one first, then of the minor axis, the upper one first."""
        along, across = np.array([[cos(self.angle), sin(self.angle)], [-sin(self.angle), cos(self.angle)]])
        offsets = [-self.major * along, self.major * along, -self.minor * across, self.minor * across]
        return np.array([self.x, self.y]) + offsets

    def radius(self, points: Points) -> Points:
        """Relative radius of points (..., 2): 0 at the centre, 1 on the outline, more outside."""
        x, y = points[..., 0] - self.x, points[..., 1] - self.y
        along, across = x * cos(self.angle) + y * sin(self.angle), y * cos(self.angle) - x * sin(self.angle)
        distance: Points = np.hypot(along / self.major, across / self.minor)
        return distance

    def inside(self, shape: tuple[int, int]) -> NDArray[np.bool_]:
        """(rows, columns): the pixels whose centre lies inside."""
        return self.radius(np.stack(np.meshgrid(*(np.arange(n) + 0.5 for n in shape[::-1])), axis=-1)) < 1


def perimeter(major: ArrayLike, minor: ArrayLike) -> Points:
    """Exact perimeter by the semi-axes: 4 a E(e^2), E the complete elliptic integral of the second kind."""
    a, b = np.asarray(major, float), np.asarray(minor, float)
    with np.errstate(divide="ignore", invalid="ignore"):  # NaN for what is no ellipse
        return np.asarray(4 * a * ellipe(1 - (b / a) ** 2))


def fit(points: Points) -> Ellipse:
    """The ellipse nearest to points (N, 2) of its outline, by algebraic least squares; a part of the outline may do.

    R. Halir and J. Flusser, Numerically stable direct least squares fitting of ellipses, WSCG 1998; points are
    centred and scaled first. Raises ValueError: fewer than 5 points, or they lie on no ellipse.
    """
    if len(points) < 5:
        raise ValueError(f"{len(points)} points do not make an ellipse")
    origin = points.mean(axis=0)
    scale = float(np.abs(points - origin).max())
    if np.linalg.matrix_rank(points - origin, tol=1e-6 * scale * len(points)) < 2:
        raise ValueError("the points lie on a line")
    return _of_conic(_conic((points - origin) / scale), origin, scale)


def _conic(points: Points) -> Points:
    """(a, b, c, d, e, f) of a x^2 + b x y + c y^2 + d x + e y + f = 0 with 4 a c - b^2 > 0."""
    x, y = points.T
    quadratic = np.stack([x * x, x * y, y * y], axis=1)
    linear = np.stack([x, y, np.ones_like(x)], axis=1)
    reduced = -np.linalg.solve(linear.T @ linear, linear.T @ quadratic)
    scatter = quadratic.T @ quadratic + quadratic.T @ linear @ reduced
    constraint = np.array([[0.0, 0.0, 2.0], [0.0, -1.0, 0.0], [2.0, 0.0, 0.0]])
    vectors = np.linalg.eig(np.linalg.solve(constraint, scatter))[1].real
    elliptic = 4 * vectors[0] * vectors[2] - vectors[1] ** 2
    best = vectors[:, int(np.argmax(elliptic))]
    return np.concatenate([best, reduced @ best])


def _of_conic(conic: Points, origin: Points, scale: float) -> Ellipse:
    a, b, c, d, e, f = conic
    form = np.array([[a, b / 2], [b / 2, c]])
    centre = -np.linalg.solve(2 * form, [d, e])
    squares, axes = np.linalg.eigh(form / -(f + (d * centre[0] + e * centre[1]) / 2))
    if squares[0] <= 0:
        raise ValueError("the points lie on no ellipse")
    minor, major = scale / np.sqrt(squares[1]), scale / np.sqrt(squares[0])
    angle = float(np.arctan2(axes[1, 0], axes[0, 0]))
    x, y = origin + scale * centre
    return Ellipse(float(x), float(y), float(major), float(minor), pi / 2 - (pi / 2 - angle) % pi)


def contour(mask: NDArray[np.bool_]) -> Points:
    """(N, 2) x, y of the middle of every pixel side between inside and outside; the image's own border is none."""
    row, column = np.nonzero(mask[:, 1:] != mask[:, :-1])
    upright = np.stack([column + 1.0, row + 0.5], axis=1)
    row, column = np.nonzero(mask[1:] != mask[:-1])
    return np.concatenate([upright, np.stack([column + 0.5, row + 1.0], axis=1)])
