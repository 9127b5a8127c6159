"""Mask files of several sources, each read by the colours of its own source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.errors import UserError


@dataclass(frozen=True)
class JoinedCodes:
    """codes: source -> its code; source_of: real path of a mask file -> its source.

    structures: label k is structures[k - 1] whatever the source. A source may show fewer of them.
    """

    structures: tuple[str, ...]
    codes: Mapping[str, MaskCode]
    source_of: Mapping[str, str]

    @classmethod
    def of(cls, codes: Mapping[str, MaskCode], source_of: Mapping[str, str]) -> Self:
        """Label the structures of all sources alike, in the order in which they first come."""
        structures = tuple(dict.fromkeys(name for code in codes.values() for name in code.structures))
        return cls(structures, codes, source_of)

    def relabelled(self, structures: Sequence[str]) -> Self:
        """As `MaskCode.relabelled`. Raises UserError naming each source that does not show one of the structures:
        where it was not drawn, black is not background.
        """
        found, problems = {}, []
        for source, code in self.codes.items():
            try:
                found[source] = code.relabelled(structures)
            except UserError as error:
                problems.append(f"data.sources.{source}: {error}")
        if problems:
            headline = "structures: every source's masks must show them all; name others, or leave the source out"
            raise UserError.listing(headline, problems)
        return replace(self, structures=next(iter(found.values())).structures, codes=found)

    def at(self, path: Path) -> MaskCode:
        """How the file of a path is read."""
        return _lifted(self.codes[self.source_of[str(path)]], self.structures)


AnyCode = MaskCode | JoinedCodes


def _lifted(code: MaskCode, structures: tuple[str, ...]) -> MaskCode:
    """The code with the labels of more structures."""
    labels = {label: structures.index(name) + 1 for label, name in enumerate(code.structures, 1)} | {0: 0}
    codes = [{colour: labels[label] for colour, label in one.items()} for one in (code.colours, *code.others)]
    return replace(code, structures=structures, colours=codes[0], others=tuple(codes[1:]))
