"""Reader for the embedded phantom data set: synthetic images of several hospitals, made on first use."""

import contextlib
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path

from filelock import FileLock

from ushydra_lab import phantom
from ushydra_lab.data.readers import manifest_csv
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError
from ushydra_lab.files import unwritable


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Only one process draws a folder; where the file system has no locks several may, and one's is kept."""
    lock = FileLock(folder.with_suffix(".lock"), mode=0o666)  # whichever user comes next may lock it, too
    try:
        lock.acquire()
    except OSError as error:
        warnings.warn(f"{lock.lock_file}: no lock ({error.strerror}); other jobs may draw the same", stacklevel=3)
        yield
        return
    try:
        for left in folder.parent.glob(f".{folder.name}.*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        yield
    finally:
        lock.release()


def read(
    root: str | PathLike[str],
    scene: str = "nt",
    seed: int = 0,
    images_per_site: int = 40,
    difficulty: str = "easy",
    sites: int | None = None,
) -> Source:
    """As many images from every hospital of the phantom, below root, in a folder of their own.

    difficulty: easy, real (as measured on real images) or hard; sites: how many hospitals, by default the scene's
    first. Label k of a scene with masks is its k-th structure, stored as grey k. Raises UserError: root cannot be
    written, unknown scene or difficulty, fewer than two sites or than an image.
    """
    of = phantom.scene_of(scene, [])
    names = of.sites(sites)
    phantom.severity_of(difficulty)
    if images_per_site < 1:
        raise UserError(f"data.images_per_site={images_per_site}: from 1")
    chosen = [] if difficulty == phantom.EASY else [difficulty]
    chosen += [] if names == of.sites() else [f"{len(names)}sites"]
    folder = Path(root) / "-".join([f"{scene}-v{phantom.VERSION}-seed{seed}-{images_per_site}", *chosen])
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.nullcontext() if (folder / "manifest.csv").exists() else _alone(folder):
            counts = dict.fromkeys(names, images_per_site)
            manifest = phantom.write(folder, scene, seed, counts, difficulty=difficulty)
    except OSError as error:
        raise unwritable(folder.parent, error, "the phantom is drawn here") from error
    return manifest_csv.read(manifest, {name: label for label, name in enumerate(of.structures, 1)})
