"""What the tutorials of docs/ tell a reader to write and to type."""

import re
import shlex
from pathlib import Path

DOCS = Path(__file__).parents[1] / "docs"
FENCED = re.compile(r"`([\w/.]+)`\s*\n(?:(?!```)[^\n]*\n)*?```\w+\n(.*?)```", re.DOTALL)
"""A file's name in backticks, then, perhaps after some lines of text, its content."""
TYPED = re.compile(r"^ {4}python -m ushydra_lab (.*)$", re.MULTILINE)


def text_of(page: str) -> str:
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


def write_files(page: str, folder: Path) -> list[str]:
    """Write the files that a page shows into a folder; their names."""
    files = {name: content for name, content in FENCED.findall(text_of(page)) if "." in name}
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    return sorted(files)


def commands_of(page: str) -> list[list[str]]:
    """The words of each command that a page shows."""
    return [shlex.split(typed) for typed in TYPED.findall(text_of(page))]
