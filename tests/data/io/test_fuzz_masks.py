"""Five hundred mask files: those that mean the labels give them, those with a planted fault are refused in words."""

import io
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from ushydra_lab.data.inspection import inspect
from ushydra_lab.data.io.image_header import ORIENTATION, ImageProblem
from ushydra_lab.data.io.masks import MaskCode

Colours = NDArray[np.uint8]
Make = Callable[[Colours, random.Random], bytes]
SHAPE = (24, 32)
CODES: tuple[dict[str, int | list[int]], ...] = (
    {"head": 255},
    {"a": 1, "b": 2},
    {"a": 85, "b": 170, "c": 254},
    {"brain": [255, 0, 0], "csp": [0, 255, 0], "lv": [0, 0, 255]},
    {"brain": [128, 0, 0], "csp": [0, 128, 0], "lv": [128, 128, 0]},
)
NEIGHBOURS = 1  # labels 1 and 2: what lies between two of them is a third, so smoothing them cannot be seen
GREY = (0, 1, 2)  # codes whose masks are grey


def saved(picture: Image.Image, format: str = "PNG", **options: Any) -> bytes:
    picture.save(file := io.BytesIO(), format, **options)
    return file.getvalue()


def as_mode(mode: str, format: str = "PNG", **options: Any) -> Make:
    return lambda colours, _: saved(Image.fromarray(colours).convert(mode), format, **options)


def transparent(colours: Colours, rng: random.Random) -> bytes:
    """Any one colour below a transparent background."""
    shown = colours.any(axis=-1)
    below = np.array([rng.randrange(256) for _ in range(3)], np.uint8)
    rgba = np.dstack([np.where(shown[..., None], colours, below), np.where(shown, 255, 0)]).astype(np.uint8)
    return saved(Image.fromarray(rgba), rng.choice(("PNG", "TIFF")))


def palette(colours: Colours, rng: random.Random, shown: bool = True) -> bytes:
    """Indices in any order, with the colours as the palette, or with another one."""
    values, indices = np.unique(colours.reshape(-1, 3), axis=0, return_inverse=True)
    order = rng.sample(range(len(values)), len(values))
    entries = np.zeros((256, 3), np.uint8)
    entries[order] = values if shown else np.roll(values, 1, axis=1) ^ 77
    picture = Image.fromarray(np.array(order, np.uint8)[indices].reshape(SHAPE)).convert("P")
    picture.putpalette(entries.tobytes())
    return saved(picture, rng.choice(("PNG", "TIFF", "GIF")))


def turned(*orientations: int) -> Make:
    def make(colours: Colours, rng: random.Random) -> bytes:
        exif = Image.Exif()
        exif[ORIENTATION] = rng.choice(orientations)
        return saved(Image.fromarray(colours), exif=exif)

    return make


def sixteen(colours: Colours, _: random.Random) -> bytes:
    return saved(Image.fromarray(colours[..., 0].astype(np.uint16)))


def white_is_zero(depth: type[np.generic]) -> Make:
    def make(colours: Colours, _: random.Random) -> bytes:
        stored = (np.iinfo(depth).max - colours[..., 0].astype(int)).astype(depth)
        tifffile.imwrite(file := io.BytesIO(), stored, photometric="miniswhite")
        return file.getvalue()

    return make


def spoilt(change: Callable[[Colours, random.Random], Colours]) -> Make:
    return lambda colours, rng: saved(Image.fromarray(np.ascontiguousarray(change(colours, rng))))


def one_strange(colours: Colours, rng: random.Random) -> Colours:
    other = colours.copy()
    other[rng.randrange(SHAPE[0]), rng.randrange(SHAPE[1])] = (3, 9, 27)
    return other


def smoothed(colours: Colours, _: random.Random) -> Colours:
    small = Image.fromarray(colours).resize((SHAPE[1] // 2, SHAPE[0] // 2), Image.Resampling.BILINEAR)
    return np.asarray(small.resize(SHAPE[::-1], Image.Resampling.BILINEAR))


def alpha(value: int) -> Make:
    return lambda colours, _: saved(Image.fromarray(np.dstack([colours, np.full(SHAPE, value, np.uint8)])))


def truncated(colours: Colours, rng: random.Random) -> bytes:
    content = saved(Image.fromarray(colours), rng.choice(("PNG", "BMP")))
    return content[: rng.randrange(len(content) - 20)]


def animated(colours: Colours, _: random.Random) -> bytes:
    frames = [Image.fromarray(colours), Image.fromarray(colours[::-1].copy())]
    return saved(frames[0], "TIFF", save_all=True, append_images=frames[1:])


MEANT: dict[str, Make] = {
    **{f"{mode} {format}": as_mode(mode, format) for mode in ("RGB", "RGBA") for format in ("PNG", "TIFF")},
    "BMP": as_mode("RGB", "BMP"),
    "WEBP": as_mode("RGB", "WEBP", lossless=True),
    "LZW": as_mode("RGB", "TIFF", compression="tiff_lzw"),
    "PPM": as_mode("RGB", "PPM"),
    "palette": palette,
    "transparent": transparent,
    "orientation that turns nothing": turned(0, 1, 9, 77),
}
MEANT_GREY: dict[str, Make] = {
    "L": as_mode("L"),
    "LA": as_mode("LA"),
    "16 bits": sixteen,
    "white is zero": white_is_zero(np.uint8),
}
FAULTS: dict[str, Make] = {
    "a strange pixel": spoilt(one_strange),
    "smoothed": spoilt(smoothed),
    "values shifted": spoilt(lambda colours, _: colours ^ 16),
    "JPEG": as_mode("RGB", "JPEG", quality=60),
    "another palette": lambda colours, rng: palette(colours, rng, shown=False),
    "lossy WEBP": as_mode("RGB", "WEBP", quality=95),
    "JPEG in TIFF": as_mode("RGB", "TIFF", compression="jpeg", quality=95),
    "turned": turned(2, 3, 4, 5, 6, 7, 8),
    "half transparent": alpha(100),
    "wholly transparent": alpha(0),
    "truncated": truncated,
    "two frames": animated,
    "rows and columns exchanged": spoilt(lambda colours, _: colours.transpose(1, 0, 2)),
    "a line too few": spoilt(lambda colours, _: colours[1:]),
    "stretched": spoilt(lambda colours, _: np.repeat(colours, 2, axis=1)),
    "empty": lambda *_: b"",
    "text": lambda *_: b"P3 is not a mask",
    "32 bits": lambda colours, _: saved(Image.fromarray(colours[..., 0].astype(np.int32)), "TIFF"),
    "floating point": lambda colours, _: saved(Image.fromarray(colours[..., 0].astype(np.float32)), "TIFF"),
}
FAULTS_GREY: dict[str, Make] = {
    "16 bits by their full range": lambda colours, _: saved(Image.fromarray(colours[..., 0].astype(np.uint16) * 257)),
    "white is zero in 16 bits": white_is_zero(np.uint16),
}


def labels_of(rng: random.Random, structures: int) -> NDArray[np.uint8]:
    """Rectangles of every structure on background."""
    labels = np.zeros(SHAPE, np.uint8)
    for label in range(1, structures + 1):
        top, left = rng.randrange(SHAPE[0] - 8), rng.randrange(SHAPE[1] - 8)
        labels[top : top + rng.randint(3, 8), left : left + rng.randint(3, 8)] = label
    return labels


def inspected(folder: Path, code: MaskCode) -> tuple[str, NDArray[np.uint8] | None]:
    """What is wrong with the mask of the folder's image, and its labels."""
    seen: list[NDArray[np.uint8] | None] = []
    image, mask = [folder / "image.png"], [folder / "mask"]
    (found,) = inspect(image, mask, code, lambda _, __, labels: seen.append(labels))
    return found.problem, seen[0]


def test_masks_mean_what_is_seen_or_are_refused(tmp_path: Path, fuzz_seeds: Callable[[int], range]) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 256, SHAPE, dtype=np.uint8)).save(tmp_path / "image.png")
    counts: Counter[str] = Counter()
    for seed in fuzz_seeds(500):
        rng = random.Random(seed)
        number = rng.randrange(len(CODES))
        structures, grey = CODES[number], number in GREY
        colours = np.array([(0, 0, 0), *((v,) * 3 if isinstance(v, int) else v for v in structures.values())], np.uint8)
        labels = labels_of(rng, len(structures))
        meant = MEANT | (MEANT_GREY if grey else {})
        kinds = meant if rng.random() < 0.4 else FAULTS | (FAULTS_GREY if grey else {})
        kind = rng.choice([name for name in sorted(kinds) if name != "smoothed" or number != NEIGHBOURS])
        (tmp_path / "mask").write_bytes(kinds[kind](colours[labels], rng))
        problem, read = inspected(tmp_path, MaskCode.of(structures))
        if kinds is meant:
            assert not problem, f"{seed}: {kind} of {structures}: {problem}"
            np.testing.assert_array_equal(read, labels, err_msg=f"{seed}: {kind} of {structures}")
            counts["read"] += 1
        else:
            counts["caught" if len(problem) > 15 else f"missed: {kind} of {structures}"] += 1
    print(dict(counts))
    assert {*counts} == {"read", "caught"}, counts


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
@pytest.mark.parametrize("format", ["PNG", "TIFF", "BMP", "GIF"])
def test_random_damage_never_leads_to_a_traceback(format: str, fuzz_seeds: Callable[[int], range]) -> None:
    content = saved(Image.fromarray(labels_of(random.Random(0), 2)), format)
    said = []
    for seed in fuzz_seeds(500):
        rng = random.Random(seed)
        damaged = bytearray(content)
        for _ in range(rng.randint(1, 6)):
            damaged[rng.randrange(len(damaged))] = rng.randrange(256)
        try:
            MaskCode.of({"a": 1, "b": 2}).decode(bytes(damaged))
        except ImageProblem as problem:
            said.append(len(str(problem)))
    assert min(said) > 15
