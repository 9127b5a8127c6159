"""The structures of all masks of an import, in the order of their labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from ushydra_lab.data.importers import rows
from ushydra_lab.data.importers.form import Annotated, Request
from ushydra_lab.data.importers.problem import ExportProblem
from ushydra_lab.errors import UserError

MOST = 255  # structures in a mask of 8 bits
Placed = tuple[str, Annotated]
"""(place in the export, for messages; an image there)."""
Problems = list[tuple[str, str]]
"""(place, or '' for the whole; text)."""


@dataclass(frozen=True)
class Order:
    """names: of labels 1, 2, ...; stated: whether the user gave them in this order, so that the later lie on top."""

    names: tuple[str, ...]
    stated: bool

    @property
    def greys(self) -> dict[str, int]:
        """Name -> value in the masks, spread up to white, so that one can look at them."""
        return {name: MOST * number // len(self.names) for number, name in enumerate(self.names, 1)}


def settled(placed: Sequence[Placed], request: Request) -> tuple[Order, Problems]:
    """As stated, else by name. Raises UserError where there are more than a mask can show."""
    problems: Problems = []
    found: set[str] = set()
    for place, image in placed:
        try:
            found |= rows.structures(image, request.names)
        except ExportProblem as problem:
            problems.append((place, str(problem)))
    if len(found) > MOST:
        raise UserError(f"{request.source}: has {len(found)} structures, more than {MOST}; ignore some: --label NAME=")
    order = Order(request.structures or tuple(sorted(found)), bool(request.structures))
    if missing := sorted(found - {*order.names}):
        remedy = f"add them, or ignore one: --label {missing[0]}="
        problems.append(("", f"--structures lacks {', '.join(missing)}; {remedy}"))
    if unknown := [name for name in order.names if name not in found]:
        problems.append(("", f"--structures has {', '.join(unknown)}, which no image shows; leave it out"))
    return order, problems
