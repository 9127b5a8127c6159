"""The embedded data set: synthetic images of several hospitals, made on first use and then read from disk."""

from os import PathLike
from pathlib import Path

from filelock import FileLock

from ushydra_lab.data.manifest import Manifest
from ushydra_lab.data.readers import manifest_csv


def read(root: str | PathLike[str], scene: str = "nt", seed: int = 0, images_per_site: int = 40) -> Manifest:
    """As many images from every hospital of the phantom, below root, in a folder of their own."""
    from ushydra_lab.data import phantom

    folder = Path(root) / f"{scene}-v{phantom.VERSION}-seed{seed}-{images_per_site}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        return manifest_csv.read(phantom.write(folder, scene, seed, dict.fromkeys(phantom.SITES, images_per_site)))
