"""Messages about the problems that the check of a data set found."""

from ushydra_lab.data import checks, inspection
from ushydra_lab.data.source import Source
from ushydra_lab.data.vocabulary import DATA_SET
from ushydra_lab.errors import UserError


def problems(name: str, examined: checks.Examined) -> UserError:
    """All problems with their places, those alike together."""
    return UserError.listing(f"{name}: {checks.counted(examined.problems)}", _grouped(examined, examined.problems))


def left_out(examined: checks.Examined) -> str:
    """List the rows that a partial data set leaves out, with the reasons."""
    return inspection.left_out(_placed(examined), len(examined.table) - len(examined.absent))


def unusable(examined: checks.Examined) -> list[str]:
    """List the files that a partial data set leaves out, with place and reason, like ones grouped."""
    return _grouped(examined, examined.unusable)


def _grouped(examined: checks.Examined, problems: list[inspection.Problem]) -> list[str]:
    """Lines of problems, those alike in one; of a union, in each source of its own."""
    of_sources: dict[str, list[tuple[str, str]]] = {}
    for row, text in problems:
        source = examined.table[DATA_SET].iloc[row] if DATA_SET in examined.table and row >= 0 else ""
        placed = checks.place(examined.table, row) if row >= 0 else ""
        of_sources.setdefault(source, []).append((placed, text))
    return [line for own in of_sources.values() for line in inspection.grouped(own)]


def _placed(examined: checks.Examined) -> list[tuple[str, str]]:
    return [(checks.place(examined.table, row), text) for row, text in examined.unusable]


def no_image(source: Source) -> UserError:
    """The message for a partial data set without any of its files."""
    return UserError(f"{source.name}: holds no image that its table names; download them below {source.root}")


def located(examined: checks.Examined) -> list[str]:
    """List the problems that block training, with their places."""
    return [text if row < 0 else f"{checks.place(examined.table, row)}: {text}" for row, text in examined.problems]
