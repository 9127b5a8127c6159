"""What is done of a prediction: one file per batch, so that a killed one goes on where it stopped.

OUT/.progress/job.json says what is predicted with what; OUT/.progress/KEY.json holds the rows and problems of a batch,
and is written after its pictures. When all are there the tables are made of them and the folder goes.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ushydra_lab.errors import UserError
from ushydra_lab.files import DamagedFile, read_json, remove_temporary, write_json
from ushydra_lab.prediction.systems.base import Cells

DONE = "predict.json"
ELSE = "choose another folder with --out"
Problem = tuple[str, str]
"""The name of a file, and why it, or the rest of it, was not read."""


@dataclass(frozen=True)
class Progress:
    """The progress of the prediction in `folder`; made_from: all that its results depend on."""

    folder: Path
    made_from: str

    @property
    def path(self) -> Path:
        return self.folder / ".progress"

    def finished(self) -> dict[str, Any] | None:
        """predict.json where this very prediction is done.

        Raises:
            UserError: the folder holds another prediction, or anything else.
        """
        if (self.folder / DONE).exists():
            content = read_json(self.folder / DONE, f"If it is no prediction's, {ELSE}.")
            self._refuse_other(content.get("made_from"))
            shutil.rmtree(self.path, ignore_errors=True)  # where a process was killed at the very end
            return content
        if (self.path / "job.json").exists():
            self._refuse_other(read_json(self.path / "job.json", f"Remove {self.folder}.").get("made_from"))
        elif self.folder.exists() and (
            not self.folder.is_dir() or any(file != self.path for file in self.folder.iterdir())
        ):
            raise UserError(f"{self.folder}: holds something else; {ELSE}")
        return None

    def _refuse_other(self, made_from: object) -> None:
        if made_from != self.made_from:
            raise UserError(f"{self.folder}: holds predictions of other images, runs or settings; {ELSE}")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from predicting into the folder.

        Raises:
            UserError: one does.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.path / ".lock", timeout=1, mode=0o666):
                yield
        except Timeout:
            raise UserError(f"{self.folder}: another process is predicting into it; wait for it, or {ELSE}") from None

    def begin(self) -> None:
        """Mark the folder as this prediction's, and remove what a killed process left half-written."""
        write_json(self.path / "job.json", {"made_from": self.made_from})
        for folder in [self.path, *(f for name in ("masks", "overlays") for f in _folders(self.folder / name))]:
            remove_temporary(folder)

    @property
    def done(self) -> frozenset[str]:
        """The keys of the batches that are done."""
        return frozenset(file.stem for file in self.path.glob("[0-9]*.json"))

    def note(self, key: str, rows: list[Cells], problems: Iterable[Problem]) -> None:
        """Write the results of a batch whose pictures are written."""
        write_json(self.path / f"{key}.json", {"rows": rows, "problems": [list(problem) for problem in problems]})

    def batches(self) -> Iterator[tuple[list[Cells], list[Problem]]]:
        """Rows and problems of each batch that is done, in order.

        Raises:
            DamagedFile: one is not as it was written.
        """
        for file in sorted(self.path.glob("[0-9]*.json")):
            content = read_json(file, f"Remove {file} and run the same command again.")
            if not {"rows", "problems"} <= content.keys():
                raise DamagedFile(file, "is damaged", f"Remove {file} and run the same command again.")
            yield content["rows"], [(name, reason) for name, reason in content["problems"]]

    def end(self, content: dict[str, Any]) -> None:
        """Say that all is done."""
        write_json(self.folder / DONE, {"made_from": self.made_from} | content)
        shutil.rmtree(self.path, ignore_errors=True)


def _folders(top: Path) -> Iterator[Path]:
    if top.is_dir():
        yield top
        yield from (path for path in top.rglob("*") if path.is_dir())
