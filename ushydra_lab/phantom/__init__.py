"""The embedded data set: synthetic B-mode images with exact ground truth, for a machine without any data."""

import contextlib
import csv
import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from joblib import Parallel, cpu_count, delayed
from numpy.typing import NDArray
from PIL import Image
from rich.progress import track

from ushydra_lab.errors import UserError
from ushydra_lab.files import sha256, write_text
from ushydra_lab.phantom.early_head import draw_head_of_any_age
from ushydra_lab.phantom.head import HEAD_MACHINES, STRUCTURES, Head
from ushydra_lab.phantom.heart import Heart
from ushydra_lab.phantom.hospitals import MACHINES, Box, Machine, Subject, View
from ushydra_lab.phantom.nt import Fetus
from ushydra_lab.phantom.planes import FetalPlane
from ushydra_lab.phantom.quality import CLINIC_QUALITY, CLINICS, ECHO_LABS, ECHO_QUALITY

FEW = 64
VERSION = 1
"""Goes up with every change of an image, so that older ones on disk are not taken for new ones."""
SUMS = "sums.json"
"""File -> its sha256, of a finished folder."""
BOX = ("nt_x1", "nt_y1", "nt_x2", "nt_y2")


@dataclass(frozen=True)
class Scene:
    """draw: a subject from a generator; machines: site -> scanner; structures: names of a mask's labels 1, 2, ...

    quality: site -> low, medium or high, for scenes whose sites differ in it.
    """

    draw: Callable[[np.random.Generator], Subject]
    machines: Mapping[str, Machine]
    structures: tuple[str, ...] = ()
    quality: Mapping[str, str] = field(default_factory=dict)


SCENES = {
    "nt": Scene(Fetus.draw, MACHINES),
    "head": Scene(Head.draw, HEAD_MACHINES, STRUCTURES),
    "head_of_any_age": Scene(draw_head_of_any_age, HEAD_MACHINES, STRUCTURES),
    "planes": Scene(FetalPlane.draw, CLINICS, quality=CLINIC_QUALITY),
    "heart": Scene(Heart.draw, ECHO_LABS, ("lv",), ECHO_QUALITY),
}


@dataclass
class Record:
    """One image with its truth; `annotations` are the manifest's columns; mask: labels (H, W), of the image's size."""

    image: NDArray[np.uint8]
    site: str
    subject: str
    pixel_mm: float
    annotations: dict[str, float | str]
    mask: NDArray[np.uint8] | None


def stable_hash(text: str) -> int:
    """64 bits that do not change from one process to the next, unlike `hash`."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def scene_of(name: str, sites: Iterable[str]) -> Scene:
    """The scene of that name. Raises UserError for an unknown scene, or sites it does not have."""
    if name not in SCENES:
        raise UserError(f"the phantom has no scene {name!r}; choose from {', '.join(SCENES)}")
    scene = SCENES[name]
    if unknown := [site for site in sites if site not in scene.machines]:
        raise UserError(f"phantom scene {name}: no site {', '.join(unknown)}; it has {', '.join(scene.machines)}")
    return scene


def render(name: str, seed: int, site: str, index: int) -> Record:
    """One record of a scene: a function of (seed, site, index) alone. Raises UserError for an unknown scene or site."""
    scene = scene_of(name, [site])
    rng = np.random.default_rng([seed, stable_hash(site), index])
    machine, subject = scene.machines[site], scene.draw(rng)
    view = machine.view(rng, subject.size_mm)
    annotations = subject.annotations(rng, view)
    mask = _visible_labels(subject, view)
    image = machine.burn_in(rng, machine.acquire(rng, subject, view), *_spared(annotations, mask))
    if site in scene.quality:
        annotations["quality"] = scene.quality[site]
    return Record(image, site, f"{index:04d}", view.pixel_mm, annotations, mask)


def _visible_labels(subject: Subject, view: View) -> NDArray[np.uint8] | None:
    x, y = view.grid()
    labels = subject.labels(x, y)
    return None if labels is None else np.where(view.visible(x, y), labels, 0).astype(np.uint8)


def _spared(annotations: dict[str, float | str], mask: NDArray[np.uint8] | None) -> tuple[Box | None, bool]:
    """The box that an inset must not cover, and whether caliper crosses may stand in it."""
    if "nt_x1" in annotations:
        x1, y1, x2, y2 = (float(annotations[key]) for key in BOX)
        return (x1, y1, x2, y2), True
    if mask is None or not mask.any():
        return None, False
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    return (float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)), False


def write(root: Path, scene: str, seed: int, counts: dict[str, int], workers: int | None = None) -> Path:
    """Render `counts` images per site under `root` (PNG, manifest.csv); returns the path of the manifest.

    workers: processes, by default one a core, or none for a few images; they change no byte. A finished folder is left
    alone. A new one takes its name only when complete, so several processes may ask at once. Raises UserError for
    unknown names, nothing to render, a folder that is something else, or whose files are not as they were drawn.
    """
    scene_of(scene, counts)
    manifest = root / "manifest.csv"
    if manifest.exists():
        refuse_change(root)
        return manifest
    jobs = [(site, index) for site, count in counts.items() for index in range(count)]
    if not jobs:
        raise UserError(f"phantom {root}: ask for at least one image, e.g. counts={{'hospital_a': 10}}")
    if root.exists() and any(root.iterdir()):
        raise UserError(f"phantom {root}: exists without manifest.csv: remove it or choose another folder")
    root.parent.mkdir(parents=True, exist_ok=True)
    if workers is None:
        workers = 1 if len(jobs) < FEW else cpu_count()
    with tempfile.TemporaryDirectory(prefix=f".{root.name}.", dir=root.parent) as scratch:
        partial = Path(scratch) / root.name
        render_all = Parallel(max(1, workers), return_as="generator")
        rows = render_all(delayed(_save)(partial, scene, seed, site, index) for site, index in jobs)
        _table(partial / "manifest.csv", list(track(rows, f"phantom {scene}", total=len(jobs), transient=True)))
        _write_sums(partial)
        _publish(partial, root)
    return manifest


def refuse_change(root: Path) -> None:
    """
    Raises:
        UserError: files of a finished folder are missing or not as they were drawn. Of a folder from a version that
            wrote no sums, the files count as they are now.
    """
    if not (root / SUMS).exists():
        with contextlib.suppress(OSError):  # another user's
            _write_sums(root)
        return
    try:
        sums = dict(json.loads((root / SUMS).read_text("utf-8")))
    except (OSError, ValueError, TypeError):
        sums = {SUMS: ""}
    if changed := [name for name, digest in sums.items() if not _is(root / name, digest)]:
        raise UserError.listing(
            f"phantom {root}: not as it was drawn. Remove the folder: it is drawn again", changed, 5
        )


def _is(file: Path, digest: str) -> bool:
    return file.is_file() and sha256(file) == digest


def _write_sums(root: Path) -> None:
    files = sorted(file for pattern in ("*.csv", "*/*.png") for file in root.glob(pattern))
    sums = {file.relative_to(root).as_posix(): sha256(file) for file in files}
    write_text(root / SUMS, json.dumps(sums, indent=1))


def _publish(partial: Path, root: Path) -> None:
    try:
        partial.replace(root)
    except OSError:
        if not (root / "manifest.csv").exists():
            raise


def _table(path: Path, rows: list[dict[str, object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def _save(folder: Path, scene: str, seed: int, site: str, index: int) -> dict[str, object]:
    record = render(scene, seed, site, index)
    path = Path(record.site) / f"{record.subject}.png"
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(record.image).save(folder / path, compress_level=3)
    row: dict[str, object] = {"image": path.as_posix(), "site": record.site, "subject": record.subject}
    if record.mask is not None:
        mask = path.with_name(f"{record.subject}_mask.png")
        Image.fromarray(record.mask).save(folder / mask)
        row["mask"] = mask.as_posix()
    return {**row, "pixel_mm": record.pixel_mm, **record.annotations}
