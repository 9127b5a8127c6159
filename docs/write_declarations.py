"""`python docs/write_declarations.py`: columns.md and annotations.md, from what the package declares."""

from collections.abc import Iterable
from pathlib import Path

from ushydra_lab.data.vocabulary import ANNOTATIONS, Annotation
from ushydra_lab.tasks.columns import SYSTEMS, Column

FOLDER = Path(__file__).parent
MADE = "Written by `python docs/write_declarations.py`; change the declaration, not this file."


def columns_page() -> str:
    """Every column of per_image.csv, a table for each system."""
    texts = ["# The columns of per_image.csv", f"{MADE} The declaration is `ushydra_lab/tasks/columns.py`."]
    texts.append("`_NAME` stands for each structure, plane or decoder. Better, digits and label: of the main tables.")
    header = ["column", "holds", "unit", "better", "digits", "label"]
    for system, columns in SYSTEMS.items():
        texts += [f"## {system.capitalize()}", _table(header, map(_column_row, columns))]
    return "\n\n".join(texts) + "\n"


def _column_row(column: Column) -> list[str]:
    name = f"`{column.name}{'_NAME' if column.each else ''}`"
    of_each = f"; for each {column.each}" if column.each else ""
    metric = column.metric
    shown = [metric.better, str(metric.digits), metric.label.replace("{}", "NAME")] if metric else ["", "", ""]
    return [name, f"{column.holds}{of_each}", column.unit, *shown]


def annotations_page() -> str:
    """Every annotation that an image may have: its key in a batch and its columns in a manifest."""
    texts = ["# Annotations", f"{MADE} The declaration is `ushydra_lab/data/vocabulary.py`."]
    header = ["key in a batch", "columns of a manifest", "kind", "unit", "values"]
    return "\n\n".join([*texts, _table(header, map(_annotation_row, ANNOTATIONS.values()))]) + "\n"


def _annotation_row(annotation: Annotation) -> list[str]:
    bounded = annotation.high < float("inf")
    values = f"{annotation.low:g} to {annotation.high:g}" if bounded else ", ".join(annotation.levels)
    columns = " ".join(f"`{column}`" for column in annotation.columns)
    return [f"`{annotation.name}`", columns, annotation.kind, annotation.unit, values]


def _table(header: list[str], rows: Iterable[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


PAGES = {"columns.md": columns_page, "annotations.md": annotations_page}

if __name__ == "__main__":
    for name, page in PAGES.items():
        (FOLDER / name).write_text(page(), encoding="utf-8")
