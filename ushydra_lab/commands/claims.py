"""Audit a table of results: numbers that contradict each other, and wins that chance explains.

    python -m ushydra_lab claims TABLE.csv
    python -m ushydra_lab claims PAPER.md --n African=90 European=1313
    python -m ushydra_lab claims multirun/nt_phase2/report/index.html

Every contradiction is told with the reading of the numbers that it depends on. The exit status is 1 where there is one.
"""

import argparse
from pathlib import Path

from ushydra_lab.commands.parser import new_parser
from ushydra_lab.errors import printable


def main(arguments: list[str]) -> int:
    """Print every contradiction, and how probably each win is false; the exit status is 1 where numbers contradict."""
    parser = new_parser("claims", __doc__)
    parser.add_argument("file", type=Path, help="CSV, TSV, Markdown, text with | tables |, LaTeX or HTML")
    parser.add_argument(
        "--n", nargs="+", default=[], metavar="NAME=N", type=_size,
        help="test images of the rows with this label, where no column says it",
    )  # fmt: skip
    options = parser.parse_args(arguments)
    from ushydra_lab.claims.audit import contradictions, tables_of, told
    from ushydra_lab.claims.wins import wins

    tables = tables_of(options.file, dict(options.n))
    found = contradictions(tables)
    print(printable(told(found, [win for table in tables for win in wins(table)])))
    return 1 if found else 0


def _size(text: str) -> tuple[str, int]:
    """Label and number of images."""
    name, _, size = text.rpartition("=")
    if not name or not size.isascii() or not size.isdigit():
        raise argparse.ArgumentTypeError(f"{text!r}: write NAME=N, such as African=90")
    return name, int(size)
