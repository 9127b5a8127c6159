"""`python -m ushydra_lab.report multirun/nt_phase2`: tables from run directories, written beside them and printed."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from ushydra_lab.errors import UserError, use_any_display
from ushydra_lab.report.build import report
from ushydra_lab.runs.run import experiments_below


def main() -> None:
    """The command line."""
    use_any_display()
    parser = argparse.ArgumentParser(prog="python -m ushydra_lab.report", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="multirun, or experiments below it")
    problems = []
    try:
        for experiment in experiments_below(parser.parse_args().folders):
            try:
                report(experiment)
            except UserError as error:  # the other experiments have their tables all the same
                problems.append(str(error))
    except UserError as error:
        problems.append(str(error))
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
