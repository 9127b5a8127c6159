"""The embedded data set: synthetic B-mode images with exact ground truth, for a machine without any data."""

import csv
import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from ushydra_lab.data.phantom.hospitals import MACHINES, Box, Subject
from ushydra_lab.data.phantom.nt import Fetus
from ushydra_lab.errors import UserError

VERSION = 1
"""Goes up with every change of an image, so that older ones on disk are not taken for new ones."""
SITES: tuple[str, ...] = tuple(MACHINES)
SCENES: dict[str, Callable[[np.random.Generator], Subject]] = {
    "nt": Fetus.draw,
}
BOX = ("nt_x1", "nt_y1", "nt_x2", "nt_y2")


@dataclass
class Record:
    """One image with its truth; `annotations` in native px (box edges) and mm."""

    image: NDArray[np.uint8]
    site: str
    subject: str
    pixel_mm: float
    annotations: dict[str, float]


def stable_hash(text: str) -> int:
    """64 bits that do not change from one process to the next, unlike `hash`."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def check(scene: str, sites: list[str]) -> None:
    problems = [f"site {site!r}: choose from {', '.join(SITES)}" for site in sites if site not in SITES]
    if scene not in SCENES:
        problems.insert(0, f"scene {scene!r}: choose from {', '.join(SCENES)}")
    if problems:
        raise UserError.listing("The phantom does not know what was asked for:", problems)


def render(scene: str, seed: int, site: str, index: int) -> Record:
    """One record: a function of (seed, site, index) alone. Raises UserError for an unknown scene or site."""
    check(scene, [site])
    rng = np.random.default_rng([seed, stable_hash(site), index])
    machine, subject = MACHINES[site], SCENES[scene](rng)
    view = machine.view(rng, subject.size_mm)
    annotations = subject.annotations(rng, view)
    image = machine.burn_in(rng, machine.acquire(rng, subject, view), _box(annotations))
    return Record(image, site, f"{index:04d}", view.pixel_mm, annotations)


def _box(annotations: dict[str, float]) -> Box | None:
    if "nt_x1" not in annotations:
        return None
    x1, y1, x2, y2 = (annotations[key] for key in BOX)
    return x1, y1, x2, y2


def write(root: Path, scene: str, seed: int, counts: dict[str, int]) -> Path:
    """Render `counts` images per site under `root` (PNG, manifest.csv); returns the path of the manifest.

    A finished folder is left alone. A new one takes its name only when complete, so several processes may ask
    at once. Raises UserError for unknown names, nothing to render, or a folder that is something else.
    """
    check(scene, list(counts))
    manifest = root / "manifest.csv"
    if manifest.exists():
        return manifest
    jobs = [(site, index) for site, count in counts.items() for index in range(count)]
    if not jobs:
        raise UserError(f"phantom {root}: ask for at least one image, e.g. counts={{{SITES[0]!r}: 10}}")
    if root.exists() and any(root.iterdir()):
        raise UserError(f"phantom {root}: exists without manifest.csv: remove it or choose another folder")
    root.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{root.name}.", dir=root.parent) as scratch:
        partial = Path(scratch) / root.name
        progress = track(jobs, description=f"phantom {scene}")
        rows = [_save(partial, render(scene, seed, site, index)) for site, index in progress]
        _table(partial / "manifest.csv", rows)
        _publish(partial, root)
    return manifest


def _publish(partial: Path, root: Path) -> None:
    try:
        partial.replace(root)
    except OSError:
        if not (root / "manifest.csv").exists():
            raise


def _table(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _save(folder: Path, record: Record) -> dict[str, object]:
    path = Path(record.site) / f"{record.subject}.png"
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(record.image).save(folder / path, compress_level=3)
    row = {"image": path.as_posix(), "site": record.site, "subject": record.subject}
    return {**row, "pixel_mm": record.pixel_mm, **record.annotations}
