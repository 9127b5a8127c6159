"""Decoding mask files to label maps, by the colour of each structure."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ushydra_lab.data.io.image import ImageProblem, decode_colours
from ushydra_lab.data.vocabulary import nearest
from ushydra_lab.errors import UserError
from ushydra_lab.geometry.ellipse import Ellipse, fit

Colour = tuple[int, int, int]
BLACK: Colour = (0, 0, 0)
NO_LABEL = 255  # every pixel of a mask that a row lacks
LISTED = 6
OFF_OUTLINE = 3.0  # px an outline's pixel may lie off the fitted ellipse; lines are drawn 3 px wide


@dataclass(frozen=True)
class MaskCode:
    """structures: label k is structures[k - 1], 0 is background (black); colours: (red, green, blue) -> label.

    others: further colour codes that files of the same data set have; one file is of one code.
    outline: the file shows only the outline of one ellipse, which may leave the image: it is filled.
    """

    structures: tuple[str, ...]
    colours: Mapping[Colour, int]
    others: tuple[Mapping[Colour, int], ...] = ()
    outline: bool = False

    @classmethod
    def of(cls, structures: Mapping[str, int | list[int]]) -> Self:
        """Build from names with the grey value or [red, green, blue] each has in the files. Raises ValueError."""
        colours: dict[Colour, int] = {}
        for label, (name, value) in enumerate(structures.items(), 1):
            colour = tuple(value) if isinstance(value, (list, tuple)) else (value,) * 3
            if len(colour) != 3 or not all(isinstance(c, int) and 0 <= c <= 255 for c in colour):
                raise ValueError(f"{name}: {value} is neither a grey value nor [red, green, blue] of 0 to 255")
            if colour == BLACK or colour in colours:
                raise ValueError(f"{name}: {value} is {'the background' if colour == BLACK else 'given twice'}")
            colours[colour] = label
        return cls(tuple(map(str, structures)), colours)

    def relabelled(self, structures: Sequence[str]) -> Self:
        """Labels 1, 2, ... for these structures, all others being background; 'head=parenchyma+csp' joins several.

        Raises UserError for a structure that the files do not show.
        """
        joined = {text.partition("=")[0]: text.rpartition("=")[2].split("+") for text in structures}
        labels = {part: label for label, parts in enumerate(joined.values(), 1) for part in parts}
        if unknown := [f"{part!r}{nearest(part, self.structures)}" for part in labels if part not in self.structures]:
            choice = f"choose of these: structures=[{','.join(self.structures)}]"
            raise UserError(
                f"structures: the masks show {', '.join(self.structures)}, not {', '.join(unknown)}; {choice}"
            )
        codes = [
            {colour: labels.get(self.structures[label - 1], 0) if label else 0 for colour, label in code.items()}
            for code in (self.colours, *self.others)
        ]
        return replace(self, structures=tuple(joined), colours=codes[0], others=tuple(codes[1:]))

    def at(self, path: Path) -> Self:
        """How the file of a path is read: as every other."""
        return self

    @property
    def key(self) -> str:
        """Changes whenever a mask would be read otherwise."""
        parts = self.structures, [sorted(code.items()) for code in (self.colours, *self.others)], self.outline
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def decode(self, content: bytes) -> NDArray[np.uint8]:
        """The label map (H, W) of a file's bytes.

        Raises ImageProblem: no image, colours that are no structure's or of two codes (with their counts), or what
        should be the outline of an ellipse is none.
        """
        colours = decode_colours(content)
        pixels = colours.pixels.astype(np.int32)
        labels = self._labels(pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2], colours.palette)
        return _filled(labels) if self.outline else labels

    def _labels(self, values: NDArray[np.int32], palette: bool) -> NDArray[np.uint8]:
        codes = [self.colours, *self.others]
        where = {colour: values == _value(colour) for code in codes for colour in code}
        strange = values[~np.logical_or.reduce([values == _value(BLACK), *where.values()])]
        if strange.size:
            indices = "; its palette's colours count, not its indices" if palette else ""
            raise ImageProblem(self._unknown(strange) + indices)
        found = {colour: int(pixels.sum()) for colour, pixels in where.items() if pixels.any()}
        code = next((code for code in codes if found.keys() <= code.keys()), None)
        if code is None:
            shown = ", ".join(f"{_name(_value(colour))}: {count} px" for colour, count in found.items())
            raise ImageProblem(f"mask mixes the colours of different codes ({shown}); export it again")
        labels = np.zeros(values.shape, np.uint8)
        for colour in found:
            labels[where[colour]] = code[colour]
        return labels

    def _unknown(self, strange: NDArray[np.int32]) -> str:
        values, counts = np.unique(strange, return_counts=True)
        order = np.argsort(-counts, kind="stable")
        shown = ", ".join(f"{_name(int(values[i]))}: {counts[i]} px" for i in order[:LISTED])
        more = f" and {len(values) - LISTED} more" if len(values) > LISTED else ""
        union = {colour: label for code in (self.colours, *self.others) for colour, label in code.items()}
        names = ("background", *self.structures)
        known = ", ".join(f"{_name(_value(colour))} {names[label]}" for colour, label in union.items())
        return (
            f"mask has unknown colours ({shown}{more}); known are {known} and black; was it smoothed or saved as JPEG?"
        )


def _value(colour: Colour) -> int:
    return colour[0] << 16 | colour[1] << 8 | colour[2]


def _name(value: int) -> str:
    red, green, blue = value >> 16, value >> 8 & 255, value & 255
    return str(red) if red == green == blue else f"({red}, {green}, {blue})"


def outline_ellipse(labels: NDArray[np.uint8]) -> Ellipse:
    """The ellipse along the middle of a line of labels above 0.

    Raises ImageProblem: there is no line, it is not an ellipse's, or the ellipse is already filled.
    """
    row, column = np.nonzero(labels)
    points = np.stack([column + 0.5, row + 0.5], axis=1)
    try:
        ellipse = fit(points)
    except ValueError as error:
        raise ImageProblem(f"mask shows no outline of an ellipse: {error}") from None
    off = np.abs(ellipse.radius(points) - 1) * ellipse.minor
    if off.max() > OFF_OUTLINE:
        raise ImageProblem(
            f"mask shows no outline of an ellipse: {(off > OFF_OUTLINE).sum()} of its {len(off)} px lie more than "
            f"{OFF_OUTLINE:g} px off the nearest ellipse; is it filled already, or has it a second object?"
        )
    return ellipse


def _filled(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The outline's label up to the middle of its line; the outline may leave the image. Raises ImageProblem."""
    if not labels.any():
        return labels
    filled = outline_ellipse(labels).inside(labels.shape)
    if filled.sum() < 2 * (labels > 0).sum():
        raise ImageProblem("mask's outline encloses nothing")
    return filled.astype(np.uint8) * labels.max()
