"""Which value or colour stands for which structure in mask files, of all sites or of each."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ushydra_lab.data.importers.problem import ExportProblem
from ushydra_lab.errors import UserError

WORD = re.compile(r"(?:(?P<site>[^:=]+):)?(?P<structure>\w+)=(?P<value>\d{1,3}(?:,\d{1,3},\d{1,3})?|\d{1,3}\+)")
FORM = (
    "write [SITE:]STRUCTURE=VALUE, where VALUE is a grey value (255), a colour (255,0,0), or a grey value from which "
    "on a JPEG shows the structure (128+)"
)


@dataclass(frozen=True)
class AtLeast:
    """The grey value from which on a mask shows its only structure."""

    grey: int


Code = Mapping[str, "int | list[int] | AtLeast"]


@dataclass(frozen=True)
class Codes:
    """by_site: site -> code, '' for all sites that have none of their own."""

    by_site: Mapping[str, Code]

    def of(self, site: str) -> Code:
        """Raises ExportProblem where none is stated."""
        code = self.by_site.get(site) or self.by_site.get("")
        if not code:
            raise ExportProblem(f"site {site!r} has no colours; state them: --colours {site}:STRUCTURE=VALUE ...")
        return code

    @property
    def structures(self) -> tuple[str, ...]:
        """In the order in which they are first stated."""
        return tuple(dict.fromkeys(name for code in self.by_site.values() for name in code))


def parse(words: Sequence[str]) -> Codes:
    """[SITE:]STRUCTURE=VALUE, ... Raises UserError listing what is not of that form, or contradicts."""
    by_site: dict[str, dict[str, int | list[int] | AtLeast]] = {}
    problems = []
    for word in words:
        if not (found := WORD.fullmatch(word)) or any(int(part) > 255 for part in re.findall(r"\d+", found["value"])):
            problems.append(f"{word}: {FORM}")
            continue
        if not int(re.sub(r"[,+]", "", found["value"])):
            problems.append(f"{word}: black is the background")
        code = by_site.setdefault(found["site"] or "", {})
        if found["structure"] in code:
            problems.append(f"{word}: {found['structure']} is stated twice")
        code[found["structure"]] = _value(found["value"])
    problems += [
        f"{site + ':' if site else ''}{', '.join(code)}: with a value such as 128+ a mask has one structure alone"
        for site, code in by_site.items()
        if len(code) > 1 and any(isinstance(value, AtLeast) for value in code.values())
    ]
    if problems:
        raise UserError.listing("--colours", problems)
    return Codes(by_site)


def _value(word: str) -> int | list[int] | AtLeast:
    if word.endswith("+"):
        return AtLeast(int(word[:-1]))
    return [int(part) for part in word.split(",")] if "," in word else int(word)
