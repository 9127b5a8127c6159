"""What the check of a data set found, in words."""

from typing import TYPE_CHECKING

from ushydra_lab.data import checks
from ushydra_lab.data.inspection import grouped
from ushydra_lab.errors import UserError

if TYPE_CHECKING:
    from ushydra_lab.data.manifest import Source


def problems(name: str, found: checks.Examined) -> UserError:
    """All problems with their places, those alike together."""
    lines = grouped([(checks.place(found.table, row) if row >= 0 else "", text) for row, text in found.problems])
    return UserError.listing(f"{name}: {checks.counted(found.problems)}", lines)


def left_out(found: checks.Examined) -> str:
    """What a partial data set goes without, with the reasons."""
    count = len({row for row, _ in found.unusable})
    headline = f"{count} rows whose files cannot be used are left out (data.strict=true: refuse them all)"
    return str(UserError.listing(headline, unusable(found)))


def unusable(found: checks.Examined) -> list[str]:
    """What a partial data set leaves out, each with its place and reason, those alike together."""
    return grouped([(checks.place(found.table, row), text) for row, text in found.unusable])


def no_image(source: "Source") -> UserError:
    """Of a partial data set without any of its files."""
    return UserError(f"{source.name}: holds no image that its table names; download them below {source.root}")


def located(found: checks.Examined) -> list[str]:
    """What blocks training, each with its place."""
    return [text if row < 0 else f"{checks.place(found.table, row)}: {text}" for row, text in found.problems]
