"""Walking the folders of a data set, and finding paths in whatever Unicode spelling: the only place that does so."""

import os
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from ushydra_lab.errors import UserError

CLUTTER = {
    *("__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "system volume information"),
    "lost+found",
}
"""What systems leave beside data, in lower case; hidden names (._a.png, .DS_Store, .git) and ~$a.xlsx are others."""
ANNEX = Path(".git", "annex", "objects")


def is_clutter(name: str) -> bool:
    return name.startswith((".", "~$")) or name.lower() in CLUTTER


def exists(path: Path) -> bool:
    """Whether the path leads to anything; no path that cannot exist, such as a name too long, does."""
    try:
        return path.exists()
    except OSError:
        return False


def is_inside(path: Path, root: Path) -> bool:
    """Whether a real path lies below a real folder, or in the git-annex store of the repository the folder is in."""
    return path.is_relative_to(root) or any(path.is_relative_to(above / ANNEX) for above in root.parents)


def folders(root: Path, levels: int | None = None) -> Iterator[Path]:
    """The folder and all below it, at most `levels` deep, clutter left out. Links inside root are followed, each folder
    comes once, under its own name rather than a link's. Raises UserError where one cannot be read.
    """
    top = Path(os.path.realpath(root))
    seen: set[Path] = set()
    pending, links = [root], list[Path]()
    while pending or links:
        folder = pending.pop() if pending else links.pop()
        real = Path(os.path.realpath(folder))
        if real in seen or not real.is_relative_to(top):
            continue
        seen.add(real)
        yield folder
        if len(folder.relative_to(root).parts) == levels:
            continue
        inner = [folder / entry.name for entry in _entries(folder) if _is_folder(entry)]
        pending += [path for path in reversed(inner) if not path.is_symlink()]
        links += [path for path in reversed(inner) if path.is_symlink()]


def files(root: Path, *suffixes: str) -> list[Path]:
    """All files below the folder by path, of these suffixes if any are given (in lower case), links to nothing too."""
    found = [folder / entry.name for folder in folders(root) for entry in _entries(folder) if not _is_folder(entry)]
    return sorted(path for path in found if not suffixes or path.suffix.lower() in suffixes)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted((e for e in entries if not is_clutter(e.name)), key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror}); allow it, or move it out of the data") from error


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def spelt(path: Path) -> Path:
    """The path as its letters are coded on disk: é may be one character (NFC) or two (NFD, as macOS writes it)."""
    if str(path).isascii() or exists(path):
        return path
    found = Path(path.anchor)
    for part in path.parts[bool(path.anchor) :]:
        step = found / part
        found = step if exists(step) else found / _names(found).get(unicodedata.normalize("NFC", part), part)
    return found if exists(found) else path


def _names(folder: Path) -> dict[str, str]:
    try:
        return _listed(folder, folder.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=64)
def _listed(folder: Path, _changed: int) -> dict[str, str]:
    """Name in NFC -> name on disk; a folder is listed once as long as it does not change."""
    return {unicodedata.normalize("NFC", name): name for name in os.listdir(folder)}  # noqa: PTH208 (names, not paths)
