"""The classes of a declaration in `columns`: `Column`, `Metric` and `Acceptable`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import inf
from typing import Literal

MOST_DIGITS = 10


@dataclass(frozen=True)
class Metric:
    """How a column that tells better from worse is shown."""

    label: str
    better: Literal["higher", "lower"]
    digits: int
    change: Literal["%", "difference"] = "%"
    """How two methods are compared: in per cent of the first one's mean, or by the plain difference."""
    note: str = ""
    """What a caption has to say about it."""
    most: float = inf
    """No difference of two means can be larger."""

    def __post_init__(self) -> None:
        """Refuse what no table can show; raises ValueError."""
        if not 0 <= self.digits <= MOST_DIGITS or not self.most > 0:
            raise ValueError(f"{self.label}: digits must be 0 to {MOST_DIGITS}, and `most` above 0")

    @property
    def title(self) -> str:
        """The label with an arrow towards better."""
        return f"{self.label} {'↑' if self.better == 'higher' else '↓'}"

    @property
    def change_digits(self) -> int:
        """Decimals of a change: one of per cent, else those of the values."""
        return 1 if self.change == "%" else self.digits

    def improves(self, change: float) -> bool:
        """Whether a change of this sign is for the better."""
        return change > 0 if self.better == "higher" else change < 0


@dataclass(frozen=True)
class Acceptable:
    """Errors of a measurement up to this size, in `unit`, do not matter; % is of the reference. source: who says so."""

    size: float
    unit: str
    source: str


@dataclass(frozen=True)
class Column:
    """name: of the column or family; holds: in words; unit: '' for shares, counts, codes and texts.

    each: what a family has a column for. metric: of what the main tables show, `{}` in its label being the structure.
    in_px: the same length in px, shown where not all images have a spacing.
    """

    name: str
    holds: str
    unit: str = ""
    each: Literal["", "structure", "plane", "decoder", "region"] = ""
    metric: Metric | None = None
    in_px: str = ""
    acceptable: Acceptable | None = None


def in_both(
    name: str,
    holds: str,
    each: Literal["", "structure"] = "",
    metric: Metric | None = None,
    acceptable: Acceptable | None = None,
) -> list[Column]:
    """A length in mm, where the spacing is known, and in px; a metric's label says which."""
    mm, px = (None if metric is None else replace(metric, label=f"{metric.label} ({unit})") for unit in ("mm", "px"))
    return [
        Column(f"{name}_mm", holds, "mm", each, mm, f"{name}_px", acceptable),
        Column(f"{name}_px", holds, "px", each, px, acceptable=acceptable),
    ]


def higher(label: str, digits: int, note: str = "", most: float = inf) -> Metric:
    """A metric of which more is better, compared by the plain difference."""
    return Metric(label, "higher", digits, "difference", note, most)
