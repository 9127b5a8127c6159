"""Declarations in an image file about its pixels (orientation, inversion, depth, aspect): honoured or refused."""

import io
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImagePalette

ORIENTATION = 0x0112
BITS, COMPRESSION, WHITE_IS_ZERO, PLANES, COLOUR_MAP, SAMPLE_FORMAT = 258, 259, 262, 284, 320, 339  # tags of TIFF
LEVELS = {"L;2": 85, "L;4": 17}  # grey levels of a step of so few bits
CURVES = {291: "GrayResponseCurve", 301: "TransferFunction"}
SIGNED = 2
DISPLAY_GAMMA = 1 / 2.2  # what grey values are encoded with where a file says nothing
GREY_LEVELS = 12  # of 255: a declared tone curve that moves some grey value further is not ignored
SQUARE = 0.01  # ratio of the sides of a pixel by which it may miss a square


class ImageProblem(Exception):
    """Why a file cannot be used as an image, with the remedy, for the listing of the row's problems."""


def refuse_turned(image: Image.Image) -> None:
    """Raises ImageProblem for an EXIF orientation of 2 to 8; no other value has a meaning."""
    try:
        orientation = image.getexif().get(ORIENTATION)
    except Exception:  # an EXIF block that cannot be read says nothing, and viewers show the image as it is stored
        return
    if orientation in range(2, 9):
        raise ImageProblem("is turned by its EXIF orientation, so coordinates are ambiguous; save it upright")


def refuse_other_greys(image: Image.Image) -> None:
    """Raises ImageProblem where the stored values are not the grey levels that are meant, or pixels are not square."""
    tags = _tags(image)
    if SIGNED in tags.get(SAMPLE_FORMAT, ()):
        raise ImageProblem("has signed samples, of which none is known to be black; export it with 8 or 16 bits")
    if curves := [name for tag, name in CURVES.items() if tag in tags]:
        raise ImageProblem(f"declares a tone curve of its own (tag {curves[0]}); export it as PNG without one")
    profile = image.info.get("icc_profile")
    gamma = None if profile or "srgb" in image.info else image.info.get("gamma")
    curve = _toned_by_profile(profile) if profile else _toned_by_gamma(gamma)
    if np.abs(curve - np.arange(256)).max() > GREY_LEVELS:
        what = (
            "a colour profile that changes its grey values" if profile else f"a gamma of {gamma:g} (usual is 0.45455)"
        )
        raise ImageProblem(f"declares {what}; convert it to sRGB")
    density = image.info.get("aspect") or image.info.get("jfif_density") or image.info.get("dpi") or (1, 1)
    across, down = map(float, density)  # pixels per length, or their ratio; 0 is unknown
    if across > 0 and down > 0 and abs(across / down - 1) > SQUARE:
        sides = f"{down / across:.3g} : 1"
        raise ImageProblem(f"declares that its pixels are not square (width to height {sides}); resample it")


def refuse_deep_planes(image: Image.Image) -> None:
    """Raises ImageProblem for uncompressed planes of more than 8 bits, of which Pillow takes the bytes for pixels."""
    tags = _tags(image)
    if tags.get(PLANES) == 2 and tags.get(COMPRESSION, 1) == 1 and max(tags.get(BITS, (1,))) > 8:
        raise ImageProblem("stores its colours one after another with more than 8 bits; export it as PNG")


def is_inverted(image: Image.Image) -> bool:
    """Whether 0 is white, in a 16-bit TIFF; of fewer bits Pillow has inverted it."""
    return bool(_tags(image).get(WHITE_IS_ZERO, 1) == 0)


def white(image: Image.Image) -> int:
    """The value of white of more than 8 bits: the largest that the declared bits hold."""
    return int((1 << _tags(image).get(BITS, (16,))[0]) - 1)


def mend(image: Image.Image) -> None:
    """What Pillow takes at another depth than the pixels, before they are loaded: the one transparent value of a PNG of
    2, 4 or 3 x 16 bits, and the palette of a TIFF, which has 16 bits, or 8 as some programs write it.
    """
    tiles, value = getattr(image, "tile", []), image.info.get("transparency")
    mode = str(tiles[0][3]) if image.format == "PNG" and tiles else ""
    if mode in LEVELS and isinstance(value, int):
        image.info["transparency"] = value * LEVELS[mode]
    if mode == "RGB;16B" and isinstance(value, tuple):
        image.info["transparency"] = tuple(channel >> 8 for channel in value)
    entries = _tags(image).get(COLOUR_MAP, ())
    if image.mode == "P" and entries and max(entries) < 256:
        image.palette = ImagePalette.raw("RGB;L", bytes(entries))


def is_lossy(image: Image.Image, content: bytes) -> bool:
    """Whether values may differ from those that were saved."""
    compressed = str(image.info.get("compression", ""))
    webp = image.format == "WEBP" and b"VP8 " in content
    return image.format == "JPEG" or webp or compressed in ("jpeg", "tiff_jpeg", "webp")


def _tags(image: Image.Image) -> dict[int, Any]:
    return dict(getattr(image, "tag_v2", {}))


def _toned_by_gamma(gamma: float | None) -> NDArray[np.float64]:
    """The grey levels that 0 to 255 are shown as."""
    exponent = DISPLAY_GAMMA / gamma if gamma else 1.0
    return 255 * np.linspace(0, 1, 256) ** exponent


@lru_cache(maxsize=64)
def _toned_by_profile(profile: bytes) -> NDArray[np.float64]:
    """The grey levels of sRGB that 0 to 255 are shown as; unchanged where the profile is none of grey or RGB."""
    ramp = np.arange(256, dtype=np.uint8)
    try:
        source = ImageCms.getOpenProfile(io.BytesIO(profile))
        mode = {"GRAY": "L", "RGB": "RGB"}[source.profile.xcolor_space.strip()]
        strip = Image.fromarray(ramp[None]).convert(mode)
        shown = ImageCms.profileToProfile(strip, source, ImageCms.createProfile("sRGB"), outputMode="RGB")
        return np.asarray(shown.convert("L") if shown else ramp, np.float64).ravel()
    except (ImageCms.PyCMSError, OSError, KeyError, ValueError):
        return ramp.astype(np.float64)
