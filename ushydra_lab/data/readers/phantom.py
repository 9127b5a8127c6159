"""The embedded data set: synthetic images of several hospitals, made on first use and then read from disk."""

from os import PathLike
from pathlib import Path

from filelock import FileLock

from ushydra_lab.data.manifest import Source
from ushydra_lab.data.readers import manifest_csv


def read(root: str | PathLike[str], scene: str = "nt", seed: int = 0, images_per_site: int = 40) -> Source:
    """As many images from every hospital of the phantom, below root, in a folder of their own.

    Label k of a scene with masks is its k-th structure, stored as grey k.
    """
    from ushydra_lab.data import phantom

    of = phantom.scene_of(scene, [])
    folder = Path(root) / f"{scene}-v{phantom.VERSION}-seed{seed}-{images_per_site}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(folder.with_suffix(".lock")):
        manifest = phantom.write(folder, scene, seed, dict.fromkeys(of.machines, images_per_site))
    return manifest_csv.read(manifest, {name: label for label, name in enumerate(of.structures, 1)})
