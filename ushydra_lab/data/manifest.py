"""The manifest: one row per image, checked once, with all problems listed at once.

Columns: `image`, `site`, `subject` (unique only together with the site), optionally `part` (the data set's
own train/val/test), the annotations of `vocabulary`, and what the check adds: native `height` and `width`
(px) and the file's `sha256`. A cell that is empty has no annotation.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Self

import pandas as pd

from ushydra_lab.data import checks
from ushydra_lab.data.vocabulary import DERIVED, IMAGE, SITE, Annotation
from ushydra_lab.errors import UserError


@dataclass(frozen=True, eq=False)
class Manifest:
    """A checked table, index 0..n-1, `image` an absolute path; name: for messages."""

    table: pd.DataFrame
    name: str

    @cached_property
    def sites(self) -> list[str]:
        return sorted(self.table[SITE].unique())

    @cached_property
    def fingerprint(self) -> str:
        """sha256 of all rows and image files, wherever the files lie."""
        text = self.table.drop(columns=IMAGE).to_csv(index=False)
        return hashlib.sha256(text.encode()).hexdigest()

    def has(self, annotation: Annotation) -> pd.Series:
        """Whether each row has all values of the annotation; False where the columns are missing."""
        if not set(annotation.columns) <= set(self.table):
            return pd.Series(False, index=self.table.index)
        return self.table[list(annotation.columns)].notna().all(axis=1)

    @classmethod
    def checked(cls, table: pd.DataFrame, name: str, root: Path) -> Self:
        """Validate a table (cells may be text) and every file it names; relative paths lie under `root`.

        The table's index tells where a row stands: name it "line" for the lines of a file. Raises UserError
        listing every problem with its place and remedy.
        """
        if problems := list(checks.header(table)):
            raise _listing(table, name, problems)
        if table.empty:
            raise UserError(f"{name}: no rows; a manifest has one row per image")
        table, problems = checks.typed(table.drop(columns=list(DERIVED), errors="ignore"))
        paths, escapes = checks.resolved(table, root)
        blank = [position for position, text in enumerate(table[IMAGE]) if not text.strip()]
        found, unreadable = checks.files(paths, skip={*blank, *(position for position, _ in escapes)})
        table[list(DERIVED)] = found.to_numpy(object)
        problems += [*checks.cells(table), *escapes, *unreadable, *checks.boxes(table)]
        problems += [*checks.repeats(table, paths), *checks.groups(table)]
        if problems:
            raise _listing(table, name, problems)
        table = table.astype({"height": int, "width": int}).reset_index(drop=True)
        return cls(table.assign(**{IMAGE: [str(path) for path in paths]}), name)


def _listing(table: pd.DataFrame, name: str, problems: list[checks.Problem]) -> UserError:
    texts = [text if row < 0 else f"{checks.place(table, row)}: {text}" for row, text in sorted(problems)]
    return UserError.listing(f"{name}: {len(texts)} problem{'s' * (len(texts) > 1)}", texts)
