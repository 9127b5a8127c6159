"""The schema of single cells of a typed manifest, and the problems of those that violate it."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import pandera.pandas as pa

from ushydra_lab.data.inspection import Problem
from ushydra_lab.data.vocabulary import ALL_PARTS, ANNOTATIONS, GROUP, IMAGE, PART, SITE, SUBJECT

LONGEST = 60  # characters of a site, in names of folders of 255 bytes together with other words
COMMON = {"pixel_mm": 0.1, "nt_mm": 1.5, "hc_mm": 200.0}  # of several readings of a number the nearest is named


def _schema() -> pa.DataFrameSchema:
    tight = pa.Check.str_matches(r"(?s)^\S(.*\S)?\Z", error="is empty or has spaces around it; every row needs a name")
    text = pa.Check.str_matches(r"\A[^\ud800-\udfff]*\Z", error="is not UTF-8 text; rename the file or folder")
    plain = pa.Check.str_matches(r"\A[^\x00-\x1f\x7f-\x9f]*\Z", error="has control characters; rename it without")
    folder = pa.Check.str_matches(
        r"^\w[\w.+-]*\Z", error="must be letters, digits, '_', '-', '.' or '+': it names a folder of results"
    )
    short = pa.Check.str_length(max_value=LONGEST, error=f"is longer than {LONGEST} characters: it names a folder")
    schema = {
        IMAGE: pa.Column(checks=[tight, text, plain]),
        SITE: pa.Column(checks=[folder, short]),
        SUBJECT: pa.Column(checks=[tight, text, plain]),
        PART: pa.Column(checks=_one_of(ALL_PARTS, "an unused image"), required=False),
    }
    brief = pa.Check.str_length(max_value=LONGEST, error=f"is longer than {LONGEST} characters: tables show it")
    schema[rf"^{GROUP}\w+$"] = pa.Column(checks=[text, plain, brief], regex=True, required=False)
    for annotation in ANNOTATIONS.values():
        if annotation.kind == "category":
            level = _one_of(annotation.levels, f"an image without {annotation.name}")
            schema |= {c: pa.Column(checks=level, required=False) for c in annotation.columns}
        if annotation.kind in ("number", "spacing"):
            plausible = pa.Check.in_range(
                annotation.low,
                annotation.high,
                error=f"is not within {annotation.low:g} to {annotation.high:g} {annotation.unit}",
            )
            schema |= {c: pa.Column(float, plausible, nullable=True, required=False) for c in annotation.columns}
    return pa.DataFrameSchema(schema)


def _one_of(words: tuple[str, ...], empty_for: str) -> pa.Check:
    return pa.Check.isin(["", *words], error=f"is not one of {', '.join(words)}; leave it empty for {empty_for}")


SCHEMA = _schema()


def cells(table: pd.DataFrame) -> Iterator[Problem]:
    """Check every single cell against the schema."""
    try:
        SCHEMA.validate(table.reset_index(drop=True), lazy=True)
    except pa.errors.SchemaErrors as errors:
        for failure in errors.failure_cases.itertuples():
            hint = _unit_hint(failure.column, failure.failure_case) if failure.column in COMMON else ""
            yield int(failure.index), f"{failure.column} = {failure.failure_case!r} {failure.check}{hint}"


def _unit_hint(name: str, given: float) -> str:
    known = ANNOTATIONS[name]
    readings = {"cm": 10 * given, "m": 1000 * given, "\N{MICRO SIGN}m": given / 1000}
    if known.kind == "spacing":
        readings = {"px per mm": 1 / given if given else 0, **readings}
    possible = {unit: value for unit, value in readings.items() if known.low <= value <= known.high}
    if not possible:
        return "; leave it empty if unknown"
    unit = min(possible, key=lambda unit: abs(np.log(possible[unit] / COMMON[name])))
    return f"; it looks like {unit}: {possible[unit]:.4g} would be {known.unit}"
