"""`python -m ushydra_lab.runs [FOLDERS]`: which jobs are finished, running, interrupted, failed or missing."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from ushydra_lab.runs.directory import FAILED
from ushydra_lab.runs.ledger import below, table


def main() -> None:
    """The command line; exit status 1 if a job failed."""
    parser = argparse.ArgumentParser(prog="python -m ushydra_lab.runs", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("multirun")], help="multirun, or parts of it")
    folders: list[Path] = parser.parse_args().folders
    found = {experiment: jobs for folder in folders for experiment, jobs in below(folder).items()}
    if not found:
        names = ", ".join(map(str, folders))
        sys.exit(f"No run below {names}. Start one: python -m ushydra_lab +experiment=nt_phase2")
    console = Console(width=None if sys.stdout.isatty() else 160)
    for experiment, jobs in found.items():
        console.print(table(jobs, experiment))
    sys.exit(any(one.state == FAILED for jobs in found.values() for one in jobs))


if __name__ == "__main__":
    main()
