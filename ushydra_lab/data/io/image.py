"""Decoding an image file to a uint8 grey array: the only place that does so."""

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ushydra_lab.data.io import image_header
from ushydra_lab.data.io.image_header import ImageProblem
from ushydra_lab.waiting import followed

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")
MAX_PIXELS = 50_000_000  # no scanner's frame comes near it: a bigger one is a decompression bomb or a wrong file
TOO_LARGE = f"claims more than {MAX_PIXELS:,} px; crop it or reduce its size"
PROGRESS_FROM = 200
CHUNK = 4096

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Decoded:
    """grey: (H, W) uint8; sha256: of the file's bytes; peak: the largest value, of 65535, of a file of more than 8 bits
    per pixel, None with 8.
    """

    grey: NDArray[np.uint8]
    sha256: str
    peak: int | None


def read_bytes(path: Path) -> bytes:
    """The file's content. Raises ImageProblem for anything that is not a readable, non-empty file."""
    try:
        if path.exists() and not path.is_file():
            raise ImageProblem("is not a file")
        content = path.read_bytes()
    except FileNotFoundError:
        raise ImageProblem("file not found; check the path and the spelling (upper and lower case count)") from None
    except OSError as error:
        raise ImageProblem(f"cannot be read: {error.strerror}") from error
    if not content:
        raise ImageProblem("file is empty; copy it again")
    return content


def decode(content: bytes) -> Decoded:
    """Grey by the luma of ITU-R BT.601 (RGB, palette, CMYK), over black where transparent; more than 8 bits by the full
    range of the declared bits.

    Raises ImageProblem: no image, truncated, several frames, turned by EXIF, floating point, signed, too large; a tone
    curve or pixels that are not square.
    """
    with _opened(content) as image:
        image_header.refuse_other_greys(image)
        digest = hashlib.sha256(content).hexdigest()
        if _deep(image):
            values = _sixteen_bits(image)
            return Decoded(np.rint(values / 257).astype(np.uint8), digest, int(np.rint(values.max(initial=0))))
        if image.mode in ("I", "F"):
            raise ImageProblem(f"has {image.mode!r} pixels (32 bits, no fixed range); export it with 8 or 16 bits")
        return Decoded(np.array(_over_black(image).convert("L")), digest, None)


@dataclass(frozen=True)
class Colours:
    """pixels: (H, W, 3) red, green, blue; palette: whether the file stores indices of a palette."""

    pixels: NDArray[np.uint8]
    palette: bool


def decode_colours(content: bytes) -> Colours:
    """Red, green, blue as stored, for masks: palettes by their colours, grey as equal three, black where transparent.

    Raises ImageProblem as `decode` does for what is no upright image, for JPEG and the like, for more than 8 bits with
    values above 255, for what is half transparent, or transparent all over but coloured below.
    """
    with _opened(content) as image:
        if _deep(image):
            if image_header.is_inverted(image):
                raise ImageProblem("mask has 16-bit values of which 0 is white; export it with 8 bits")
            values = np.where(_transparent(image), 0, np.asarray(image))
            if values.max(initial=0) > 255:
                raise ImageProblem(f"mask has 16-bit values up to {values.max()}; export it with 8 bits")
            return Colours(np.repeat(values.astype(np.uint8)[..., None], 3, axis=2), False)
        if image.mode in ("I", "F"):
            raise ImageProblem(f"mask has {image.mode!r} pixels (32 bits); export it with 8 bits")
        if image_header.is_lossy(image, content):
            raise ImageProblem("mask is compressed like a photograph, which changes values; export it as PNG")
        if image.has_transparency_data:
            _refuse_half_transparent(np.asarray(image.convert("RGBA")))
        return Colours(np.array(_over_black(image).convert("RGB")), image.mode in ("P", "PA"))


def _refuse_half_transparent(layers: NDArray[np.uint8]) -> None:
    colours, alpha = layers[..., :3], layers[..., 3]
    if ((alpha > 0) & (alpha < 255)).any():
        raise ImageProblem("mask is half transparent, so its values are none of those given; export it opaque")
    if not alpha.any() and colours.any():
        raise ImageProblem("mask is transparent all over but has colours below; export it without transparency")


@contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    """A loaded image. Whatever goes wrong in it is an ImageProblem."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            image_header.mend(image)
            _refuse_unusable(image)
            image.load()
            yield image
    except ImageProblem:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageProblem(TOO_LARGE) from None
    except Image.UnidentifiedImageError:
        known = ", ".join(FORMATS)
        raise ImageProblem(f"is not an image, or of unusual pixels (known: {known}); export it as PNG") from None
    except Exception as error:  # Pillow's decoders raise whatever their format's damage leads to
        raise ImageProblem(f"is damaged or truncated ({error}); copy or export it again") from error


def _refuse_unusable(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise ImageProblem(TOO_LARGE)
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a JPEG with a preview behind it
        raise ImageProblem(f"holds {frames} frames; a row is one image: export the frame")
    image_header.refuse_turned(image)
    image_header.refuse_deep_planes(image)


def _deep(image: Image.Image) -> bool:
    """Whether it has one value of 9 to 16 bits per pixel; Pillow unpacks PGM files of that kind to 32 bits."""
    return image.mode.startswith("I;16") or (image.format == "PPM" and image.mode == "I")


def _sixteen_bits(image: Image.Image) -> NDArray[np.float64]:
    """0 (black, also where transparent) to 65535 (white)."""
    values = np.asarray(image, np.float64) * (65535 / image_header.white(image))
    shown = 65535 - values if image_header.is_inverted(image) else values
    return np.where(_transparent(image), 0, shown)


def _transparent(image: Image.Image) -> NDArray[np.bool_]:
    """(H, W), by the one value that a 16-bit PNG declares transparent."""
    value = image.info.get("transparency")
    return np.zeros(image.size[::-1], bool) if value is None else np.asarray(image) == value


def _over_black(image: Image.Image) -> Image.Image:
    """8 bits per value, L, 1 or RGB."""
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), layers)
    return image if image.mode in ("L", "1", "RGB") else image.convert("RGB")


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], title: str) -> list[Result]:
    """[work(item), ...] in order, in threads (Pillow and hashlib release the GIL); a bar for many items."""
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        # In chunks, since a pool keeps a record of every item it was given.
        chunks = (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))
        results = (result for chunk in chunks for result in pool.map(work, chunk))
        if len(items) > PROGRESS_FROM:
            return list(followed(results, title, len(items)))
        return list(results)
