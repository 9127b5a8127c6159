"""Measure the lab's speed beside named references and the machine's limit, in one run.

    python -m ushydra_lab benchmark --only loss training

Works that are compared are measured warm and in turns; shown are the median and the quartiles. Figures that are counted
or fitted have none. The phantoms stay in the cache for the next time.
"""

from __future__ import annotations

import json
from pathlib import Path

from ushydra_lab.benchmark import LONG, PART_NAMES, SCALES
from ushydra_lab.commands.parser import new_parser


def main(arguments: list[str]) -> int:
    """Measure and print the chosen parts."""
    parser = new_parser("benchmark", __doc__)
    parser.add_argument("--scale", choices=SCALES, nargs="+", default=["laptop"])
    usual = [name for name in PART_NAMES if name not in LONG]
    names = f"{', '.join(usual)}; and, only where named, {', '.join(LONG)}"
    parser.add_argument("--only", choices=PART_NAMES, nargs="+", default=usual, metavar="PART", help=names)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cache-dir", type=Path, default=Path("multirun/.cache"), help="where phantoms are kept")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    given = parser.parse_args(arguments)
    if given.repeats < 1:
        parser.error("--repeats must be 1 or more")

    from ushydra_lab.benchmark.rows import table
    from ushydra_lab.benchmark.run import machine, run_parts
    from ushydra_lab.report.render.terminal import new_console

    rows = run_parts(given.scale, given.only, given.repeats, given.cache_dir)
    new_console().print(table(rows, f"median (quartiles) of {given.repeats} on {machine()}"))
    if given.json:
        content = {"machine": machine(), "repeats": given.repeats, "rows": [row.to_json() for row in rows]}
        given.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    return 0
