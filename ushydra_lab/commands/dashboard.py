"""Make a wandb workspace for an experiment's runs.

    python -m ushydra_lab dashboard ENTITY/PROJECT multirun/nt_phase2

What it shows is read from the run directories: curves of losses and validation metrics by hospital, by variant and of
every seed, a bar chart a metric and hospital to compare the variants, loss weights, panels and per-image tables.
"""

from __future__ import annotations

from pathlib import Path

from ushydra_lab.commands.parser import new_parser


def main(arguments: list[str]) -> int:
    """Publish the workspace, and print its address."""
    parser = new_parser("dashboard", __doc__)
    parser.add_argument("where", metavar="ENTITY/PROJECT")
    parser.add_argument("experiment", type=Path, help="a directory of runs, like multirun/nt_phase2")
    given = parser.parse_args(arguments)

    from ushydra_lab.errors import UserError
    from ushydra_lab.training.dashboard import build, logged, publish

    entity, _, project = given.where.partition("/")
    if not entity or not project or "/" in project:
        raise UserError(f"{given.where}: write ENTITY/PROJECT, as in https://wandb.ai/ENTITY/PROJECT")
    print(publish(build(entity, project, logged(given.experiment))))
    return 0
