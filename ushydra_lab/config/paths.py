"""Files that are not Python, inside the installed package or beside it in a checkout."""

from pathlib import Path

PACKAGE = Path(__file__).parents[1]
CONF = next(folder for folder in (PACKAGE / "conf", PACKAGE.parent / "conf") if folder.is_dir())
"""The configuration files."""
CONSTRAINTS = CONF.parent / "constraints.txt"
"""The versions that this release was tested with."""
