"""Audit a results table (CSV, Markdown, LaTeX or a report of the lab): numbers that contradict each other."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ushydra_lab.errors import UserError, printable


def main(arguments: list[str]) -> int:
    """Print every contradiction with the reading it depends on; the exit status is 1 where there is one."""
    parser = argparse.ArgumentParser(prog="ushydra_lab claims", description=__doc__)
    parser.add_argument("file", type=Path, help="CSV, TSV, Markdown, text with | tables |, LaTeX or HTML")
    parser.add_argument(
        "--n", nargs="+", default=[], metavar="NAME=N", type=_size,
        help="test images of the rows with this label, where no column says it: --n African=90",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    from ushydra_lab.claims.audit import contradictions, tables_of, told
    from ushydra_lab.claims.wins import wins

    try:
        tables = tables_of(options.file, dict(options.n))
    except UserError as error:
        print(error, file=sys.stderr)
        return 1
    found = contradictions(tables)
    print(printable(told(found, [win for table in tables for win in wins(table)])))
    return 1 if found else 0


def _size(text: str) -> tuple[str, int]:
    name, _, size = text.rpartition("=")
    if not name or not size.isascii() or not size.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=N, such as African=90")
    return name, int(size)
