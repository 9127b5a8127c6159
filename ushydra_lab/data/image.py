"""One image file -> one uint8 grey array. The only place that decodes."""

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
from rich.progress import track

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP", "GIF", "PPM")
MAX_PIXELS = 50_000_000  # no scanner's frame comes near it: a bigger one is a decompression bomb or a wrong file
TOO_LARGE = f"claims more than {MAX_PIXELS:,} px; crop it or reduce its size"
PROGRESS_FROM = 200
CHUNK = 4096
ORIENTATION = 0x0112

Item = TypeVar("Item")
Result = TypeVar("Result")


class ImageProblem(Exception):
    """Why a file cannot be used as an image, with the remedy, for the listing of the row's problems."""


@dataclass(frozen=True)
class Decoded:
    """grey: (H, W) uint8; sha256: of the file's bytes; peak: the largest value of 16 bits per pixel, None with 8."""

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
    """Grey by the luma of ITU-R BT.601 (RGB, palette, CMYK), over black where transparent; 16 bits by their
    full range.

    Raises ImageProblem: no image, truncated, several frames, turned by EXIF, floating point, too large.
    """
    with _opened(content) as image:
        peak = int(np.asarray(image).max(initial=0)) if image.mode.startswith("I;16") else None
        return Decoded(_to_grey(image), hashlib.sha256(content).hexdigest(), peak)


def decode_colours(content: bytes) -> NDArray[np.uint8]:
    """(H, W, 3) red, green, blue as stored, for masks: palettes by their colours, grey as equal three, no alpha.

    Raises ImageProblem as `decode` does, and for 16-bit files with values above 255.
    """
    with _opened(content) as image:
        if image.mode.startswith("I;16"):
            values = np.asarray(image)
            if values.max(initial=0) > 255:
                raise ImageProblem(f"mask has 16-bit values up to {values.max()}; export it with 8 bits")
            return np.repeat(values.astype(np.uint8)[..., None], 3, axis=2)
        if image.mode in ("I", "F"):
            raise ImageProblem(f"mask has {image.mode!r} pixels (32 bits); export it with 8 bits")
        return np.array(image.convert("RGB"))


@contextmanager
def _opened(content: bytes) -> Iterator[Image.Image]:
    """A loaded image. Whatever goes wrong in it is an ImageProblem."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            _refuse_unusable(image)
            image.load()
            yield image
    except ImageProblem:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise ImageProblem(TOO_LARGE) from None
    except Image.UnidentifiedImageError:
        raise ImageProblem(f"is not an image (known: {', '.join(FORMATS)}); export it as PNG") from None
    except Exception as error:  # Pillow's decoders raise whatever their format's damage leads to
        raise ImageProblem(f"is damaged or truncated ({error}); copy or export it again") from error


def _refuse_unusable(image: Image.Image) -> None:
    if image.width * image.height > MAX_PIXELS:
        raise ImageProblem(TOO_LARGE)
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # a JPEG with a preview behind it
        raise ImageProblem(f"holds {frames} frames; a row is one image: export the frame")
    if image.getexif().get(ORIENTATION, 1) != 1:
        raise ImageProblem("is turned by its EXIF orientation, so coordinates are ambiguous; save it upright")


def _to_grey(image: Image.Image) -> NDArray[np.uint8]:
    if image.mode.startswith("I;16"):
        return np.rint(np.asarray(image, np.float64) / 257).astype(np.uint8)
    if image.mode in ("I", "F"):
        raise ImageProblem(f"has {image.mode!r} pixels (32 bits, no fixed range); export it with 8 or 16 bits")
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", image.size, "black"), layers)
    if image.mode not in ("L", "1", "RGB"):
        image = image.convert("RGB")
    return np.array(image.convert("L"))


def in_threads(work: Callable[[Item], Result], items: Sequence[Item], title: str) -> list[Result]:
    """[work(item), ...] in order, in threads (Pillow and hashlib release the GIL); a bar for many items."""
    with ThreadPoolExecutor(min(16, os.cpu_count() or 1)) as pool:
        # In chunks, since a pool keeps a record of every item it was given.
        chunks = (items[start : start + CHUNK] for start in range(0, len(items), CHUNK))
        results = (result for chunk in chunks for result in pool.map(work, chunk))
        if len(items) > PROGRESS_FROM:
            return list(track(results, title, total=len(items), transient=True))
        return list(results)
