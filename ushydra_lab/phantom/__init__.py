"""The embedded data set: synthetic B-mode images with exact ground truth, for a machine without any data."""

import contextlib
import csv
import json
import tempfile
from pathlib import Path

from joblib import Parallel, cpu_count, delayed
from PIL import Image

from ushydra_lab.errors import UserError
from ushydra_lab.files import sha256, write_text
from ushydra_lab.phantom.scenes import DIFFICULTIES, EASY, SCENES, Record, Scene, render, scene_of, severity_of
from ushydra_lab.waiting import followed

__all__ = ["DIFFICULTIES", "EASY", "SCENES", "SUMS", "VERSION", "Record", "Scene"]
__all__ += ["render", "scene_of", "severity_of", "write"]

FEW = 64
VERSION = 1
"""Goes up with every change of an image, so that older ones on disk are not taken for new ones."""
SUMS = "sums.json"
"""File -> its sha256, of a finished folder."""


def write(
    root: Path, scene: str, seed: int, counts: dict[str, int], workers: int | None = None, difficulty: str = EASY
) -> Path:
    """Render `counts` images per site under `root` (PNG, manifest.csv); returns the path of the manifest.

    workers: processes, by default one a core, or none for a few images; they change no byte. A finished folder is left
    alone. A new one takes its name only when complete, so several processes may ask at once. Raises UserError for
    unknown names, nothing to render, a folder that is something else, or whose files are not as they were drawn.
    """
    scene_of(scene, counts)
    severity_of(difficulty)
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
        rows = render_all(delayed(_save)(partial, scene, seed, site, index, difficulty) for site, index in jobs)
        _table(partial / "manifest.csv", list(followed(rows, f"phantom {scene}", len(jobs))))
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
        writer = csv.DictWriter(file, dict.fromkeys(column for row in rows for column in row))
        writer.writeheader()
        writer.writerows(rows)


def _save(folder: Path, scene: str, seed: int, site: str, index: int, difficulty: str) -> dict[str, object]:
    record = render(scene, seed, site, index, difficulty)
    path = Path(record.site) / f"{record.subject}.png"
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(record.image).save(folder / path, compress_level=3)
    row: dict[str, object] = {"image": path.as_posix(), "site": record.site, "subject": record.subject}
    if record.mask is not None:
        mask = path.with_name(f"{record.subject}_mask.png")
        Image.fromarray(record.mask).save(folder / mask)
        row["mask"] = mask.as_posix()
    return {**row, "pixel_mm": record.pixel_mm, **record.annotations}
