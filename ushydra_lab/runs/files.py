"""Files that are either whole or not there."""

from __future__ import annotations

import errno
import json
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from ushydra_lab.errors import UserError


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path that takes the place of `path` when the block ends well, and vanishes when it does not."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.touch(exist_ok=False)  # with the user's umask: others of the group may read the results
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


def write_json(path: Path, content: Any) -> None:
    """Write JSON atomically; NaN is refused, since it is not JSON."""
    write_text(path, json.dumps(content, indent=2, default=str, allow_nan=False) + "\n")


def overwrite_json(path: Path, content: Any) -> None:
    """Write JSON into an existing file, which works on a full disk too while it fits into the blocks the file has."""
    text = json.dumps(content, indent=2, default=str).encode()
    with path.open("r+b", buffering=0) as file:
        file.write(text)
        file.truncate()


FORMULA = re.compile(r"[=@\t\r＝＠]|[+＋-](?![\d.,eE%±\[\] +-]*\Z)")


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table atomically; floats keep nine digits, enough to give float32 back. A text that a spreadsheet would
    compute, such as =1+1, gets an apostrophe before it.
    """
    table = table.copy()
    for column in table.select_dtypes(exclude="number").columns:
        table[column] = table[column].map(_inert)
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.9g", errors="backslashreplace")


def _inert(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell


def read_json(path: Path) -> Any:
    """
    Raises:
        UserError: the file is damaged.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is damaged ({error}). Remove its folder and run the same command again.") from error


def link_or_copy(source: Path, target: Path) -> None:
    """The same file under a second name; a copy where the file system has no hard links."""
    with atomic(target) as temporary:
        temporary.unlink()
        try:
            temporary.hardlink_to(source)
        except OSError:
            temporary.write_bytes(source.read_bytes())


@contextmanager
def disk_errors(folder: Path, remedy: str = "choose another folder with run_root=...") -> Iterator[None]:
    """Turn "no space left", a full quota and a read-only folder into a message that names the folder."""
    reasons = {errno.ENOSPC: "no space is left", errno.EDQUOT: "the quota is used up", errno.EROFS: "it is read-only"}
    reasons |= {
        errno.EACCES: "it may not be written",
        errno.EFBIG: "a file in it may not become so large",
        errno.ENOTDIR: "part of it is a file",
        errno.ENAMETOOLONG: "a name in it is too long",
    }
    try:
        yield
    except (OSError, RuntimeError) as error:
        reason = reasons.get(error.errno or 0) if isinstance(error, OSError) else _torch_reason(error)
        if reason is None:
            raise
        again = f"Mend that, or {remedy}, then run the same command again."
        raise UserError(f"Cannot write below {folder}: {reason} ({error}). {again}") from error


def _torch_reason(error: RuntimeError) -> str | None:
    """torch.save reports a full disk as a RuntimeError of its zip writer."""
    return "no space is left" if "PytorchStreamWriter" in str(error) or "No space left" in str(error) else None
