"""List which jobs are finished, running, interrupted, failed or missing; or pack a finished one to pass it on.

    python -m ushydra_lab runs multirun/nt_phase2
    python -m ushydra_lab runs pack RUN --out FOLDER

Every file of a finished job is compared with its checksum; the exit status is 1 if a job failed or is damaged. What is
packed has no paths, and no names of subjects and files.
"""

from __future__ import annotations

from pathlib import Path

from ushydra_lab.commands.parser import new_parser


def main(arguments: list[str]) -> int:
    """List jobs, or pack one."""
    if arguments[:1] == ["pack"]:
        return _pack(arguments[1:])
    parser = new_parser("runs", __doc__)
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("multirun")], help="multirun, or parts of it")
    folders: list[Path] = parser.parse_args(arguments).folders

    from ushydra_lab.errors import UserError
    from ushydra_lab.report.render.terminal import new_console
    from ushydra_lab.runs.ledger import job_state, table
    from ushydra_lab.runs.run import Run, runs_below
    from ushydra_lab.runs.summary import FAILED

    found: dict[Path, dict[Run, None]] = {}
    for run in (run for folder in folders for run in runs_below(folder)):
        found.setdefault(run.experiment, {})[run] = None
    if not found:
        names = ", ".join(map(str, folders))
        raise UserError(f"No run below {names}. Start one: python -m ushydra_lab +experiment=nt_phase2")
    console = new_console()
    failed = False
    for experiment, runs in found.items():
        jobs = [job_state(run, verify=True) for run in runs]
        failed |= any(one.state == FAILED for one in jobs)
        console.print(table(jobs, experiment))
    return int(failed)


def _pack(arguments: list[str]) -> int:
    parser = new_parser("runs pack", "Copy a finished run without paths, subjects and file names, to pass it on.")
    parser.add_argument("run", type=Path, help="the run directory")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="a folder that does not exist yet")
    parser.add_argument("words", nargs="*", metavar="trust=[your_module]", help="for a run of components of your own")
    given = parser.parse_args(arguments)

    from ushydra_lab.config.stored import Local, on_this_machine
    from ushydra_lab.evaluation.finished import seen_sites
    from ushydra_lab.runs.pack import pack
    from ushydra_lab.runs.run import Run
    from ushydra_lab.runs.stored_experiment import check_stored

    local = Local.of(given.words)

    def seen(run: Run) -> set[str]:
        return seen_sites(run, on_this_machine(check_stored(run, local.trust), local))

    print(f"Packed: {pack(Run(given.run), given.out, seen)}")
    return 0
