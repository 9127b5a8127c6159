"""Parsing of printed numbers, and the range of values that rounding leaves possible."""

from __future__ import annotations

import re
from dataclasses import dataclass

_NUMBER = r"[-+−]?(?:\d+(?:[.,]\d+)*|\.\d+)"
_CELL = re.compile(
    rf"(?P<value>{_NUMBER})\s*(?P<percent>%?)\s*"
    rf"(?:(?:±|\+/[-−]|\+-)\s*(?P<spread>{_NUMBER})|\(\s*(?:±\s*)?(?P<bracketed>\d*\.\d+)\s*%?\s*\)"
    r"|[\[(][^\[\]()]*[\])])?\s*(?P<after>%?)"
)
_MARKS = " \t*†‡§¶#_^"
_COUNT = re.compile(r"(\d{1,3}(?:[, ]\d{3})+|\d+)")
_SEEDS_AND_IMAGES = re.compile(r"(\d+)\s*[x×]\s*(\d+)")


@dataclass(frozen=True)
class Number:
    """step: the unit of the last printed digit; spread: what stands behind ± or in brackets; percent: % is printed."""

    text: str
    value: float
    step: float
    spread: float | None = None
    spread_step: float = 0.0
    percent: bool = False


def number(text: str) -> Number | None:
    """The number of a cell such as 0.913 ± 0.012, 91.3 (1.2), 91.3%, **0.91**†; None where it is no number.

    91.3 (88.0 to 94.1) is read without its interval.
    """
    found = _CELL.fullmatch(text.strip(_MARKS))
    if not found:
        return None
    value, step = _value(found["value"])
    spread = found["spread"] or found["bracketed"]
    size, spread_step = _value(spread) if spread else (None, 0.0)
    return Number(text, value, step, size, spread_step, bool(found["percent"] or found["after"]))


def count(text: str) -> int | None:
    """A whole number of things: 450, 6,565, or 2 x 90 (seeds x images); None for anything else."""
    if both := _SEEDS_AND_IMAGES.fullmatch(text.strip()):
        return int(both[1]) * int(both[2])
    return int(re.sub("[, ]", "", text)) if _COUNT.fullmatch(text.strip(_MARKS)) else None


def is_product(text: str) -> bool:
    """Whether a number of things is written as seeds x images."""
    return bool(_SEEDS_AND_IMAGES.fullmatch(text.strip()))


def _value(text: str) -> tuple[float, float]:
    """Value and step; a comma is a decimal point unless three digits follow it, as in 6,565 but not in 0,913."""
    text = text.replace("−", "-")
    if text.count(",") == 1 and "." not in text and not re.search(r"[1-9]\d{0,2},\d{3}$", text):
        text = text.replace(",", ".")
    text = text.replace(",", "")
    if text.count(".") > 1:
        text = text.replace(".", "")
    return float(text), 10.0 ** -len(text.partition(".")[2])
