"""Values of a foreign export: of the type that is expected, or an ExportProblem that names the key."""

import json
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from ushydra_lab.data.importers.problem import ExportProblem
from ushydra_lab.data.io.image import MAX_PIXELS, ImageProblem, read_bytes

FARTHEST = 100_000.0  # px; a coordinate beyond is none of an image
SHOWN = 40

Value = TypeVar("Value")


def loaded(path: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises ExportProblem."""
    try:
        return record(json.loads(read_bytes(path).decode("utf-8-sig")))
    except ImageProblem as problem:
        raise ExportProblem(str(problem)) from problem
    except (ValueError, RecursionError) as error:  # of which JSONDecodeError and UnicodeDecodeError are
        raise ExportProblem(f"is no JSON, or truncated ({error}); export it again") from error


def required(fields: Mapping[str, Any], key: str, kind: Callable[[Any], Value]) -> Value:
    """The value under a key, by one of the functions below."""
    if key not in fields:
        raise ExportProblem(f"has no {key!r}; export it again")
    return given(fields[key], key, kind)


def given(value: Any, what: str, kind: Callable[[Any], Value]) -> Value:
    """A value by one of the functions below; `what` is its name in the message."""
    try:
        return kind(value)
    except ExportProblem as problem:
        raise ExportProblem(f"{what} {problem}") from None


def record(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _unlike(value, "an object {...}")
    return value


def items(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise _unlike(value, "a list")
    return value


def text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise _unlike(value, "a text")
    return value.strip()


def number(value: Any) -> float:
    """Of JSON, or as XML writes it."""
    try:
        found = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise _unlike(value, "a finite number")
    return found


def whole(value: Any) -> int:
    found = number(value)
    if found != int(found):
        raise _unlike(value, "a whole number")
    return int(found)


def coordinate(value: Any) -> float:
    found = number(value)
    if abs(found) > FARTHEST:
        raise ExportProblem(f"is {found:g}, far outside any image")
    return found


def point(value: Any) -> tuple[float, float]:
    found = items(value)
    if len(found) != 2:
        raise _unlike(value, "a point [x, y]")
    return coordinate(found[0]), coordinate(found[1])


def points(value: Any) -> tuple[tuple[float, float], ...]:
    return tuple(map(point, items(value)))


def size(fields: Mapping[str, Any], height: str, width: str) -> tuple[int, int]:
    """(rows, columns) by the names of the two keys."""
    rows, columns = required(fields, height, whole), required(fields, width, whole)
    if min(rows, columns) < 1 or rows * columns > MAX_PIXELS:
        raise ExportProblem(f"says {columns} x {rows} px, which no image or mask has")
    return rows, columns


def _unlike(value: Any, kind: str) -> ExportProblem:
    shown = repr(value)
    return ExportProblem(f"is {shown[:SHOWN]}{'...' * (len(shown) > SHOWN)}, not {kind}")
