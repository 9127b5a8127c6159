"""`python -m ushydra_lab.runs [FOLDERS]`: which jobs are finished, running, interrupted, failed or missing.

`python -m ushydra_lab.runs pack RUN --out FOLDER`: a finished run to be passed on, without paths, subjects, file names.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from ushydra_lab.errors import use_any_display
from ushydra_lab.runs import pack
from ushydra_lab.runs.ledger import job, table
from ushydra_lab.runs.run import Run, runs_below
from ushydra_lab.runs.summary import FAILED


def main() -> None:
    """The command line; exit status 1 if a job failed."""
    use_any_display()
    if sys.argv[1:2] == ["pack"]:
        pack.main(sys.argv[2:])
        return
    parser = argparse.ArgumentParser(prog="python -m ushydra_lab.runs", description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("multirun")], help="multirun, or parts of it")
    folders: list[Path] = parser.parse_args().folders
    found: dict[Path, dict[Run, None]] = {}
    for run in (run for folder in folders for run in runs_below(folder)):
        found.setdefault(run.experiment, {})[run] = None
    if not found:
        names = ", ".join(map(str, folders))
        sys.exit(f"No run below {names}. Start one: python -m ushydra_lab +experiment=nt_phase2")
    console = Console(width=None if sys.stdout.isatty() else 160)
    states = []
    for experiment, runs in found.items():
        jobs = [job(run, verify=True) for run in runs]
        states += [one.state for one in jobs]
        console.print(table(jobs, experiment))
    sys.exit(FAILED in states)


if __name__ == "__main__":
    main()
