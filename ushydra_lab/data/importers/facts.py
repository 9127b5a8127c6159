"""What annotation tools do not know of an image (site, subject, mm per px, ...), as the user states it: for all images,
by a template of their names, or in a table.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import pandas as pd

from ushydra_lab.data.checks import ignored
from ushydra_lab.data.importers.problem import ExportProblem
from ushydra_lab.data.readers.tables import read_table
from ushydra_lab.data.vocabulary import DECLARED, DERIVED, IMAGE, KNOWN, MASK, SOURCE, nearest
from ushydra_lab.errors import UserError

FIELD = re.compile(r"\{\w+\}")
OWN = {IMAGE, MASK, SOURCE, *DERIVED, *DECLARED}
"""Columns that the import writes itself."""


@dataclass(frozen=True)
class Facts:
    """constants: column -> value of every image; template: of a name; table: image, or its file name -> cells."""

    constants: Mapping[str, str] = field(default_factory=dict)
    template: re.Pattern[str] | None = None
    table: Mapping[str, Mapping[str, str]] | None = None

    def of(self, name: str) -> dict[str, str]:
        """Column -> value of an image, by its path below the images' folder.

        Raises ExportProblem: it does not fit the template, is not in the table, or two of these disagree.
        """
        found = dict(self.constants)
        for more in (self._by_template(name), self._by_table(name)):
            if other := [column for column, value in more.items() if found.get(column, value) != value]:
                raise ExportProblem(
                    f"has two values of {other[0]}: {found[other[0]]!r} and {more[other[0]]!r}; state it once"
                )
            found |= more
        return found

    def _by_template(self, name: str) -> dict[str, str]:
        if self.template is None:
            return {}
        if not (match := self.template.fullmatch(name)):
            raise ExportProblem(f"the name {name!r} does not fit the template (--pattern)")
        return match.groupdict()

    def _by_table(self, name: str) -> dict[str, str]:
        if self.table is None:
            return {}
        if (row := self._row(name)) is None:
            raise ExportProblem(f"the table (--table) has no row with {name!r}, or its file name, in column {IMAGE!r}")
        return {column: cell for column, cell in self.table[row].items() if cell.strip()}

    def _row(self, name: str) -> str | None:
        return next((key for key in (name, PurePosixPath(name).name) if key in (self.table or {})), None)

    def shared(self, names: Iterable[str]) -> list[str]:
        """Names of the table that stand for several of these images."""
        images: dict[str, set[str]] = {}
        for name in names:
            images.setdefault(self._row(name) or name, set()).add(name)
        return sorted(row for row, several in images.items() if len(several) > 1)


def stated(constants: Sequence[str], pattern: str | None, table: Path | None) -> Facts:
    """constants: COLUMN=VALUE; pattern: as {site}/{subject}_*.png; table: CSV or Excel, with a column `image`.

    Raises UserError: words that are none, columns that are no manifest's, a table with an image twice.
    """
    pairs = [word.partition("=") for word in constants]
    problems = [f"--set {''.join(pair)}: write COLUMN=VALUE" for pair in pairs if not pair[2]]
    fixed = {column: value for column, _, value in pairs}
    template, fields = (None, []) if pattern is None else _template(pattern)
    for column in [*fixed, *fields]:
        if column in OWN or ignored(pd.DataFrame(columns=[column])):
            problems.append(f"{column!r} is no column that can be stated{nearest(column, {*KNOWN} - OWN)}")
    if len({*fields}) < len(fields):
        problems.append(f"--pattern {pattern}: has one column twice")
    if problems:
        raise UserError.listing("What is stated of all images cannot be used:", problems)
    made = None if template is None else re.compile(template, re.DOTALL)
    return Facts(fixed, made, None if table is None else _rows(table))


def _template(pattern: str) -> tuple[str, list[str]]:
    """A regular expression for the end of a path, and its columns: {column} is the shortest text without '/', * any."""
    parts = re.split(r"(\{\w+\}|\*)", pattern)
    fields = [part[1:-1] for part in parts if FIELD.fullmatch(part)]
    made = [
        f"(?P<{part[1:-1]}>[^/]+?)" if FIELD.fullmatch(part)
        else "[^/]*" if part == "*" else re.escape(part)
        for part in parts
    ]  # fmt: skip
    return r"(?:.*/)?" + "".join(made), fields


def _rows(path: Path) -> dict[str, dict[str, str]]:
    table = read_table(path, [IMAGE], absent="no such table; give the path of a CSV or Excel file (--table)")
    unused = [*ignored(table), *(column for column in table if column in OWN - {IMAGE})]
    kept = [column for column in table if column not in {*unused, IMAGE}]
    images = [cell.strip().replace("\\", "/") for cell in table[IMAGE]]
    if twice := [repr(image) for image, count in Counter(images).items() if count > 1]:
        raise UserError.listing(f"{path}: has more than one row of these images", twice)
    if unused:
        print(f"{path}: of its columns these are not taken over: {', '.join(map(str, unused))}")
    return dict(zip(images, table[kept].to_dict("records"), strict=True))
