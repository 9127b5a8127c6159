"""Atomic writing and checked reading of files; JSON carries its own checksum."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import re
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd

from ushydra_lab.errors import UserError

FULL = (errno.ENOSPC, errno.EDQUOT)
CHECKSUM = "checksum"
"""The key under which a JSON file carries the SHA-256 of all its other content."""
FORMULA = re.compile(r"'*([=@\t\r＝＠]|[+＋-](?![\d.,eE%±\[\] +-]*\Z))")
"""Texts that a spreadsheet would compute; an apostrophe before them, which reading takes away, keeps them texts."""
REMEDY = "Remove its folder and run the same command again."
OLD_S = 3600.0
"""Age from which a half-written file is a killed process's, in a folder where others may be writing."""
TEMPORARY = re.compile(r"\..+\.[0-9a-f]{8}")
"""Names of the files that `atomic` writes before they take their place."""


class DamagedFile(UserError):
    """A file of a run that is missing, damaged or not as it was written; fault: which, without its path."""

    def __init__(self, file: Path, reason: str, remedy: str) -> None:
        super().__init__(f"{file} {reason}. {remedy}")
        self.file, self.remedy = file, remedy
        self.fault = f"{file.name} {reason.partition(' (')[0]}"


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


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write an object with its checksum as JSON, atomically; NaN is refused, since it is not JSON."""
    write_text(path, _with_checksum(content))


def overwrite_json(path: Path, content: dict[str, Any]) -> None:
    """Write JSON into an existing file, which works on a full disk too while it fits into the blocks the file has."""
    text = _with_checksum(content).encode()
    with path.open("r+b", buffering=0) as file:
        file.write(text)
        file.truncate()


def _with_checksum(content: dict[str, Any]) -> str:
    plain = json.loads(json.dumps(content, default=str, allow_nan=False))
    return json.dumps({**plain, CHECKSUM: _checksum(plain)}, indent=2) + "\n"


def _checksum(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sha256(file: Path) -> str:
    """SHA-256 of a file's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def refuse_change(file: Path, checksum: str, remedy: str) -> None:
    """
    Raises:
        DamagedFile: the file is missing, or is not the one that had this SHA-256.
    """
    _refuse_special(file, remedy)
    try:
        same = sha256(file) == checksum
    except FileNotFoundError:
        raise DamagedFile(file, "is missing", remedy) from None
    except OSError as error:
        raise DamagedFile(file, f"is damaged ({error.strerror})", remedy) from error
    if not same:
        raise DamagedFile(file, "is damaged (not as it was written: its checksum differs)", remedy)


def _refuse_special(file: Path, remedy: str) -> None:
    """Folders; and pipes and devices, which one could read for ever."""
    if file.exists() and not file.is_file():
        raise DamagedFile(file, "is damaged (it is no ordinary file)", remedy)


def write_csv(path: Path, table: pd.DataFrame) -> None:
    """Write a table atomically; floats keep nine digits, enough to give float32 back; texts as `FORMULA` says."""
    table = table.copy()
    for column in table.select_dtypes(exclude="number").columns:
        table[column] = table[column].map(inert)
    with atomic(path) as temporary:
        table.to_csv(temporary, index=False, float_format="%.9g", errors="backslashreplace")


def inert(cell: Any) -> Any:
    return f"'{cell}" if isinstance(cell, str) and FORMULA.match(cell) else cell


def _as_it_was(cell: str) -> str:
    return cell[1:] if cell.startswith("'") and FORMULA.match(cell) else cell


def read_text(path: Path, remedy: str) -> str:
    """
    Raises:
        DamagedFile: the file is missing, cannot be read or is no UTF-8.
    """
    _refuse_special(path, remedy)
    try:
        return path.read_bytes().decode()
    except FileNotFoundError:
        raise DamagedFile(path, "is missing", remedy) from None
    except (OSError, UnicodeDecodeError) as error:
        raise DamagedFile(path, f"is damaged ({error})", remedy) from error


def read_json(path: Path, remedy: str = REMEDY, *, old: bool = False) -> dict[str, Any]:
    """The object in a JSON file, without its checksum.

    old: also one without a checksum, as versions before 0.3.0 wrote them.

    Raises:
        DamagedFile: the file is missing, or is not as it was written.
    """
    text = read_text(path, remedy)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DamagedFile(path, f"is damaged ({error})", remedy) from error
    if not isinstance(content, dict):
        raise DamagedFile(path, "is damaged (no JSON object)", remedy)
    checksum = content.pop(CHECKSUM, None)
    if (checksum is not None or not old) and checksum != _checksum(content):
        raise DamagedFile(path, "is damaged (not as it was written: its checksum differs)", remedy)
    return content


def read_table(path: Path, texts: set[str], remedy: str, prefix: str = "") -> pd.DataFrame:
    """A CSV table: the columns in `texts` as the texts they are, all others numbers, an empty cell being NaN.

    prefix: columns whose name begins so are texts, too.

    A guessing reader would make a missing value of a site named NA and a number of a subject named 001.

    Raises:
        DamagedFile: the file is missing, is no table, or another column than these holds words.
    """
    content = read_text(path, remedy)
    if not content.endswith("\n"):
        raise DamagedFile(path, "is damaged (its last line is cut short)", remedy)
    try:
        names = list(pd.read_csv(io.StringIO(content), nrows=0).columns)
        texts = texts | {name for name in names if prefix and name.startswith(prefix)}
        numbers = {name: [""] for name in names if name not in texts}
        table = pd.read_csv(
            io.StringIO(content), dtype=dict.fromkeys(texts, str), keep_default_na=False, na_values=numbers
        )
    except (ValueError, RecursionError, OverflowError) as error:  # pandas' parser errors are ValueErrors
        raise DamagedFile(path, f"is damaged ({error})", remedy) from error
    if not isinstance(table.index, pd.RangeIndex):
        raise DamagedFile(path, "is damaged (rows longer than its header)", remedy)
    if words := [name for name in numbers if not pd.api.types.is_numeric_dtype(table[name])]:
        raise DamagedFile(path, f"is damaged (column {words[0]!r} holds words)", remedy)
    return table.assign(**{name: table[name].map(_as_it_was) for name in texts & set(table)})


def remove_temporary(folder: Path, older_s: float = 0.0) -> None:
    """Remove what killed processes left half-written in a folder; of a folder others may write to, what is old."""
    for file in folder.iterdir() if folder.is_dir() else ():
        if TEMPORARY.fullmatch(file.name) and file.is_file() and time.time() - file.stat().st_mtime >= older_s:
            file.unlink(missing_ok=True)


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
        errno.EPERM: "it may not be written",
        errno.ENOTDIR: "part of it is a file",
        errno.EEXIST: "a file lies where a folder is to be",
        errno.EISDIR: "a folder lies where a file is to be",
        errno.ENOLCK: "its file system has no locks, so that two processes could write at once",
        errno.ENAMETOOLONG: "a name in it is too long",
    }
    try:
        yield
    except (OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.filename and Path(error.filename) in (folder, *folder.parents):
            reasons[errno.ENOENT] = "no folder can be made there"  # as below /proc
        reason = reasons.get(error.errno or 0) if isinstance(error, OSError) else _torch_reason(error)
        if reason is None:
            raise
        again = f"Mend that, or {remedy}, then run the same command again."
        raise UserError(f"Cannot write below {folder}: {reason} ({error}). {again}") from error


def _torch_reason(error: RuntimeError) -> str | None:
    """torch.save reports a full disk as a RuntimeError of its zip writer."""
    return "no space is left" if "PytorchStreamWriter" in str(error) or "No space left" in str(error) else None


def unwritable(folder: Path, error: OSError, need: str) -> UserError:
    """A folder below cache_dir that is full or cannot be used; `need` says what it is for."""
    reason = "no space left" if error.errno in FULL else f"cannot be used ({error.strerror})"
    return UserError(f"{folder}: {reason}; {need}: free some space or set cache_dir to another folder")
