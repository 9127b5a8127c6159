"""A hundred damaged exports: each is refused in words and leaves nothing behind, or is read as the whole one is."""

import copy
import json
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from PIL import Image

from ...cli import call, status
from . import exports

COUNT = 100
STRANGE: tuple[Any, ...] = (
    None,
    {},
    [],
    "x",
    -1e9,
    float("inf"),
    float("nan"),
    True,
    [[]],
    "\u0000",
    "\ud800",
    10**400,
    2.5,
)
UNREAD = {
    "version",
    "flags",
    "group_id",
    "info",
    "supercategory",
    "skeleton",
    "num_keypoints",
    "iscrowd",
    "area",
    "keypoints",
}
"""Keys that an import has no use for, or (the last) may do without."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in inner:
        if key not in UNREAD and not (key == "id" and "annotations" in path):
            yield (*path, key)
            yield from places(part, (*path, key))


def damaged_json(path: Path, rng: random.Random) -> None:
    """A value of another type, or a key that is gone."""
    content = json.loads(path.read_text())
    *above, last = rng.choice([*places(content)])
    holder = content
    for key in above:
        holder = holder[key]
    if isinstance(holder, dict) and rng.random() < 0.4:
        del holder[last]
    else:
        holder[last] = copy.deepcopy(rng.choice(STRANGE))
    path.write_text(json.dumps(content))


def damaged_xml(path: Path, rng: random.Random) -> None:
    """An attribute that is gone, or of another type."""
    text = path.read_text()
    names = r"(?<= )(?:name|width|height|points|rle|left|top|xtl|ytl|xbr|ybr|label)=\"[^\"]*\""
    found = rng.choice([*re.finditer(names, text.partition("</meta>")[2])])
    start = text.index("</meta>") + len("</meta>")
    value = rng.choice(["", "nan", "-1e9", "x;y", "1,2,3", "\u00e9", "&undefined;", "<"])
    new = "" if rng.random() < 0.4 else f'{found[0].partition("=")[0]}="{value}"'
    path.write_text(text[: start + found.start()] + new + text[start + found.end() :], encoding="utf-8")


def truncated(path: Path, rng: random.Random) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: rng.randrange(len(content) - 1)])


def absent(path: Path, _rng: random.Random) -> None:
    path.unlink()


def resized(path: Path, rng: random.Random) -> None:
    size = rng.randrange(1, 30), rng.randrange(1, 30)
    Image.open(path).resize(size).save(path)


def noisy(path: Path, rng: random.Random) -> None:
    """Some bytes that are others, in a header."""
    content = bytearray(path.read_bytes())
    for _ in range(6):
        content[rng.randrange(min(len(content), 348))] = rng.randrange(256)
    path.write_bytes(content)


Damage = Callable[[Path, random.Random], None]
DAMAGES: tuple[tuple[str, str, tuple[Damage, ...]], ...] = (
    ("labelme", "images/*/*.json", (damaged_json, damaged_json, damaged_json, truncated)),
    ("coco", "instances.json", (damaged_json, damaged_json, damaged_json, truncated)),
    ("cvat", "annotations.xml", (damaged_xml, damaged_xml, damaged_xml, truncated)),
    ("slicer", "images/*/*.seg.nrrd", (truncated, truncated, noisy)),
    ("nifti", "images/*/*_gt.nii*", (truncated, truncated, noisy)),
    ("masks", "masks/*/*.png", (truncated, resized)),
)


def content(out: Path) -> tuple[str, list[bytes]]:
    """The manifest, wherever the images lie, and the masks."""
    table = pd.read_csv(out / "manifest.csv")
    table["image"] = [Path(path).name for path in table["image"]]
    return table.to_csv(), [path.read_bytes() for path in sorted((out / "masks").glob("*.png"))]


def test_fuzz_damaged_exports_give_words(
    tmp_path: Path, fuzz_seeds: Callable[[int], range], capsys: pytest.CaptureFixture[str]
) -> None:
    whole: dict[str, tuple[str, list[bytes]]] = {}
    for seed in fuzz_seeds(COUNT):
        rng = random.Random(seed)
        export, pattern, damages = DAMAGES[seed // 10 % len(DAMAGES)]
        folder = tmp_path / str(seed)
        folder.mkdir()
        words = exports.FORMATS[export](folder)
        if export not in whole:
            call("import", *words, "--out", str(tmp_path / export))
            whole[export] = content(tmp_path / export)
        if rng.random() < 0.2:
            pattern, damages = "images/*/*.png", (absent, truncated, resized)
        damage, path = rng.choice(damages), rng.choice(sorted(folder.glob(pattern)))
        damage(path, rng)
        capsys.readouterr()
        refused = status("import", *words, "--out", str(folder / "out")) == 1
        told = capsys.readouterr().err
        what = f"seed {seed}: {damage.__name__} {path.relative_to(folder)}: {told}"
        assert not [left for left in folder.iterdir() if left.name.startswith(".")], what
        if refused:
            assert not (folder / "out").exists(), what
            assert str(folder) in told, what
        else:
            assert damage is noisy or content(folder / "out") == whole[export], what
