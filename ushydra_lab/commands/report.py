"""Tables and figures of finished runs, written beside them as a page, Markdown, LaTeX and CSV, and printed.

    python -m ushydra_lab report multirun
    python -m ushydra_lab report multirun/nt_phase2
    python -m ushydra_lab report multirun/nt_phase2 multirun/nt_code      # and a page with both, side by side

A run that is missing, unfinished or damaged is named, and the tables are made without it.
"""

from __future__ import annotations

from pathlib import Path

from ushydra_lab.commands.parser import new_parser


def main(arguments: list[str]) -> int:
    """Report on every experiment below the folders, and on several together where each is named; what is wrong with one
    does not keep the others waiting.
    """
    parser = new_parser("report", __doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="multirun, or experiments below it")
    given = parser.parse_args(arguments).folders
    folders = {folder.resolve(): folder for folder in given}

    from ushydra_lab.errors import UserError
    from ushydra_lab.report.build import report
    from ushydra_lab.report.together import together
    from ushydra_lab.runs.run import experiments_below

    problems, reported = [], {}
    for experiment in experiments_below(folders.values()):
        try:
            reported[experiment] = report(experiment)
        except UserError as error:
            problems.append(str(error))
    complete = {experiment.resolve() for experiment in reported}
    if len(folders) > 1 and complete <= set(folders):
        if left := [str(folder) for place, folder in folders.items() if place not in complete]:
            problems.append(f"No page side by side: not all tables could be made of {', '.join(left)}")
        else:
            print(f"Side by side: {together(reported)}")
    if problems:
        raise UserError("\n".join(problems))
    return 0
