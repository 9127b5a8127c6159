"""Check a data set before training, all problems at once, and draw what is in it as a page.

    python -m ushydra_lab check IMAGES.csv
    python -m ushydra_lab check data=NAME data.root=FOLDER

The exit status is 1 where problems block training.
"""

import re
import shlex
import sys
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from ushydra_lab.commands.parser import new_parser
from ushydra_lab.errors import UserError, printable

if TYPE_CHECKING:
    from rich.table import Table

    from ushydra_lab.audit.report import Report
    from ushydra_lab.data.source import Source

SHOWN = 5


def main(arguments: list[str]) -> int:
    """Print a verdict and what it rests on, and write a page; the exit status is 1 where problems block training."""
    parser = new_parser("check", __doc__)
    parser.add_argument("data", nargs="+", help="a CSV file with the columns image, site and subject; or data=NAME ...")
    parser.add_argument(
        "--canvas", nargs=2, type=int, metavar=("H", "W"), help="also tell how images fit this canvas, px"
    )
    parser.add_argument("--out", type=Path, help="folder of the page (default: multirun/check/NAME)")
    options = parser.parse_intermixed_args(arguments)
    if options.canvas and min(options.canvas) < 1:
        parser.error("--canvas: H and W must be at least 1")
    return _check(options.data, options.canvas and tuple(options.canvas), options.out)


def _check(words: list[str], canvas: tuple[int, int] | None, out: Path | None) -> int:
    from ushydra_lab.audit import page, report
    from ushydra_lab.data import listings

    name, source = _source(words)
    folder = out or Path("multirun") / "check" / name
    page.refuse_foreign(folder)
    found = report.audit(source, canvas)
    written = page.write(found, folder)
    _show(found)
    if not found.usable:
        told = listings.problems(source.name, found.examined) if found.examined.problems else listings.no_image(source)
        print(told, file=sys.stderr)
    print(f"{source.name}: {found.verdict}\n{written}")
    return 0 if found.usable else 1


def _source(words: list[str]) -> tuple[str, "Source"]:
    """A name for the folder of results, and the rows; from a CSV file, or from Hydra overrides that choose the data."""
    from ushydra_lab.config.instantiate import instantiate
    from ushydra_lab.config.stored import Local, chosen_data
    from ushydra_lab.config.typed import quoted

    name = ""
    if not re.match(r"[+~]*[\w./@]+=", words[0]):
        path = Path(words[0])
        if len(names := [*takewhile(lambda word: "=" not in word, words)]) > 1:
            whole = shlex.quote(" ".join(names))
            raise UserError(
                f"{' '.join(names)}: one table at a time; all hospitals' rows belong into one. A name with spaces is "
                f"typed so: {whole}"
            )
        words = ["data=manifest", f"data.path={quoted(str(path))}", *words[1:]]
        name = path.stem.strip(".") or "manifest"
    local = Local.of([word for word in words if word.startswith("trust=")])
    chosen, reader = chosen_data(words, trusted=local.trust)
    return name or chosen, instantiate(reader)


def _show(found: "Report") -> None:
    from ushydra_lab.data.checks import ignored
    from ushydra_lab.data.listings import left_out
    from ushydra_lab.report.render.terminal import new_console

    new_console().print(_overview(found))
    if names := ignored(found.source.table):
        print(printable(f"ignored columns: {', '.join(names)} (their names have no meaning here)"))
    if found.examined.unusable:
        print(left_out(found.examined))
    for finding in found.findings:
        if finding.flags:
            print(f"\n{finding.title}: {len(finding.flags)}")
            print(*(printable(f"  - {flag.text}") for flag in finding.flags[:SHOWN]), sep="\n")
            print(f"  ... and {len(finding.flags) - SHOWN} more" if len(finding.flags) > SHOWN else "")


def _overview(found: "Report") -> "Table":
    """One column per site, so that a narrow terminal shows it whole."""
    from rich.table import Table

    shown = Table("site", *found.overview.columns)
    for what, cells in zip(found.overview.index, found.overview.to_numpy(str), strict=True):
        shown.add_row(str(what), *cells)
    return shown
