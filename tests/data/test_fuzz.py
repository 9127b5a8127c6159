"""Two thousand broken manifests: each is read, or refused in words."""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ushydra_lab.data.readers import manifest_csv
from ushydra_lab.errors import UserError

REQUIRED = {"image": "0.png", "site": "A", "subject": "1"}
GROUPS: tuple[dict[str, str], ...] = (
    {"part": "train"},
    {"pixel_mm": "0.1"},
    {"plane": "brain"},
    {"quality": "low"},
    {"mask": "m.png"},
    {"hc_mm": "90"},
    {"nt_x1": "1", "nt_y1": "2", "nt_x2": "30", "nt_y2": "20"},
    {"it_x1": "4", "it_y1": "5", "it_x2": "9", "it_y2": "8"},
    {"crop_x1": "", "crop_y1": "", "crop_x2": "", "crop_y2": ""},
    {"ofd_1_x": "2", "ofd_1_y": "15", "ofd_2_x": "38", "ofd_2_y": "15"}
    | {"bpd_1_x": "20", "bpd_1_y": "3", "bpd_2_x": "20", "bpd_2_y": "27"},
)
IMAGES = ("0.png", "1.png", "16.png", "rgb.png")
FILES = (*IMAGES, "half.png", "empty.png", "text.png", "folder", "loop.png", "out.png", "m.png")
ODD = (
    *("", " ", "nan", "NA", "inf", "-inf", "1e308", "-1", "0", "1,5", "1e-9", "0x1F", "Ⅻ", "٣", "true", "None", "\t"),
    *("../../etc/passwd", "/etc/passwd", "C:\\a.png", "a" * 300, "%s", "{}", "\U0001f600", "<script>", "=1+1", "."),
    *FILES,
)
NOISE = ('"', ",", ";", "\n", "\r", "\t", "\0", "\ufeff", "\u2028", "a", "9", "-", " ", "é", "\udcff")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images and what only looks like one."""
    home = tmp_path_factory.mktemp("fuzz")
    noise = np.random.default_rng(0).integers(0, 256, (30, 40, 3), dtype=np.uint8)
    for name in ("0.png", "1.png"):
        Image.fromarray(noise[..., int(name[0])]).save(home / name)
    Image.fromarray(noise[..., 0].astype(np.uint16) * 200).save(home / "16.png")
    Image.fromarray(noise).save(home / "rgb.png")
    Image.fromarray((noise[..., 0] > 128).astype(np.uint8)).save(home / "m.png")
    (home / "half.png").write_bytes((home / "rgb.png").read_bytes()[:900])
    (home / "empty.png").touch()
    (home / "text.png").write_text("no image")
    (home / "folder").mkdir()
    (home / "loop.png").symlink_to("loop.png")
    (home / "out.png").symlink_to("/etc/hostname")
    return home


def manifest(rng: random.Random) -> bytes:
    """A good manifest, then some of: odd cells, columns dropped, renamed or repeated, characters put in or left out."""
    cells = REQUIRED | {k: v for group in GROUPS if rng.random() < 0.6 for k, v in group.items()}
    rows = [
        {**cells, "image": image, "subject": str(i)} for i, image in enumerate(rng.sample(IMAGES, rng.randint(0, 4)))
    ]
    header = list(cells)
    for row in rows:
        for _ in range(rng.choice((0, 0, 0, 1))):
            row[rng.choice(header)] = rng.choice(ODD)
    lines = [header, *(list(row.values()) for row in rows)]
    if rng.random() < 0.1:
        column = rng.randrange(len(header))
        lines = [[*line[:column], *line[column + 1 :]] for line in lines]
    if rng.random() < 0.1:
        header[rng.randrange(len(header))] += rng.choice((" ", "_", "x"))
    separator = rng.choice((",", ",", ";", "\t"))
    text = "\n".join(separator.join(f'"{cell}"' if separator in cell else cell for cell in line) for line in lines)
    for _ in range(rng.choice((0, 0, 0, 0, 1, 2, 8))):
        place = rng.randint(0, len(text))
        text = text[:place] + rng.choice(NOISE) + text[place + rng.randint(0, 3) :]
    return text.encode("utf-8", "surrogateescape")


def manifests() -> Iterator[tuple[int, bytes]]:
    for seed in range(2000):
        yield seed, manifest(random.Random(seed))


def test_no_manifest_leads_to_a_traceback(folder: Path) -> None:
    outcomes = {"read": 0, "refused": 0}
    for seed, content in manifests():
        (folder / "manifest.csv").write_bytes(content)
        try:
            manifest_csv.read(folder / "manifest.csv", {"head": 1} if b"mask" in content else None).checked()
            outcomes["read"] += 1
        except UserError as error:
            outcomes["refused"] += len(str(error)) > 20
        except Exception as error:
            raise AssertionError(f"manifest {seed}: {content!r}") from error
    assert sum(outcomes.values()) == 2000
    assert min(outcomes.values()) > 300
