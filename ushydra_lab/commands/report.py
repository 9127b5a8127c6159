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
    folders = parser.parse_args(arguments).folders

    from ushydra_lab.errors import UserError
    from ushydra_lab.report.build import report
    from ushydra_lab.report.together import together
    from ushydra_lab.runs.run import experiments_below

    problems, reported = [], {}
    for experiment in experiments_below(folders):
        try:
            reported[experiment] = report(experiment)
        except UserError as error:
            problems.append(str(error))
    if 1 < len(reported) <= len(folders):
        print(f"Side by side: {together(reported)}")
    if problems:
        raise UserError("\n".join(problems))
    return 0
