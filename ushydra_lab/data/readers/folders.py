"""Finding a data set below data.root, since archives are often unpacked into nested folders."""

from os import PathLike
from pathlib import Path

from ushydra_lab.data.io import files
from ushydra_lab.errors import UserError

ARCHIVES = (".zip", ".tar", ".gz", ".tgz", ".xz", ".7z", ".rar", ".z01")
LEVELS = 2


def existing(root: str | PathLike[str], download: str) -> Path:
    """The folder itself. Raises UserError: an archive, another file, nothing; `download` says where to get it."""
    path = files.spelt(Path(root))
    if files.exists(path) and path.is_file():
        remedy = "an archive; unpack it first, and" if path.suffix.lower() in ARCHIVES else "a file;"
        raise UserError(f"{path}: is {remedy} set data.root to the folder")
    if not files.exists(path) or not path.is_dir():
        raise UserError(f"{path}: no such folder; {download}, unpack it and set data.root to its folder")
    return path


def holding(root: str | PathLike[str], name: str, download: str) -> Path:
    """The folder that holds the file or folder `name` (a pattern): root, or one at most LEVELS below it.

    Raises UserError: no such folder, or several.
    """
    path = existing(root, download)
    near = files.folders(path, LEVELS)
    found = sorted(folder for folder in near if any(not files.is_clutter(hit.name) for hit in folder.glob(name)))
    if len(found) > 1:
        places = [str(folder) for folder in found]
        raise UserError.listing(f"{path}: {name} is here {len(found)} times; set data.root to one of them", places)
    if not found:
        packed = sorted(file.name for file in path.iterdir() if file.suffix.lower() in ARCHIVES)
        hint = f"unpack {', '.join(packed[:3])} first" if packed else f"{download}, unpack it and set data.root to it"
        raise UserError(f"{path}: no {name} here; {hint}")
    return found[0]


def site_name(site: object) -> str:
    """The setting data.site as text. Raises UserError where YAML took a name such as TRUE, null or 1e5 for something
    else.
    """
    if isinstance(site, bool) or not isinstance(site, str | int):
        raise UserError(f"data.site = {site} was not read as a name; put it in quotes twice: 'data.site=\"NAME\"'")
    return str(site)


def text(path: Path) -> str:
    """The file as text, whatever its encoding. Raises UserError where it cannot be read."""
    try:
        return path.read_text("utf-8-sig", errors="replace")
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
