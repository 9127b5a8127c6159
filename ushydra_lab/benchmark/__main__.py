"""`python -m ushydra_lab.benchmark`: the lab's speed beside named references and the machine's limit, in one run.

Works that are compared are measured warm and in turns; shown are the median and the quartiles. Figures that are counted
or fitted have none. The phantoms stay in the cache for the next time.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from rich.console import Console

from ushydra_lab import __version__
from ushydra_lab.benchmark import evidence, growth, limits, losses, memory, protocol, systems, training
from ushydra_lab.benchmark.lab import SCALES, Lab
from ushydra_lab.benchmark.rows import Row, table
from ushydra_lab.errors import UserError, use_any_display
from ushydra_lab.training.memory import keep_freed

PARTS: dict[str, Callable[[Lab], Iterator[Row]]] = {
    "loss": losses.measure,
    "training": training.measure,
    "systems": systems.measure,
    "memory": memory.measure,
    "limit": limits.measure,
    "growth": growth.measure,
    "protocol": protocol.measure,
    "evidence": evidence.measure,
}


def main() -> None:
    """The command line."""
    use_any_display()
    parser = argparse.ArgumentParser(prog="python -m ushydra_lab.benchmark", description=__doc__)
    parser.add_argument("--scale", choices=SCALES, nargs="+", default=["laptop"])
    parser.add_argument("--only", choices=PARTS, nargs="+", default=list(PARTS), metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cache-dir", type=Path, default=Path("multirun/.cache"), help="where phantoms are kept")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    given = parser.parse_args()
    if given.repeats < 1:
        parser.error("--repeats must be 1 or more")
    keep_freed()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        rows = measured(given.scale, given.only, given.repeats, device, given.cache_dir)
    except UserError as error:
        sys.exit(str(error))
    title = f"median (quartiles) of {given.repeats} on {machine(device)}"
    Console(width=None if sys.stdout.isatty() else 190).print(table(rows, title))
    if given.json:
        content = {"machine": machine(device), "repeats": given.repeats, "rows": [row.to_json() for row in rows]}
        given.json.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def measured(scales: list[str], parts: list[str], repeats: int, device: torch.device, cache_dir: Path) -> list[Row]:
    """The rows of every part at every scale. Raises UserError where a folder cannot be written."""
    rows: list[Row] = []
    for scale in scales:
        with tempfile.TemporaryDirectory() as folder:
            lab = Lab(scale, repeats, device, Path(folder), cache_dir)
            for part in parts:
                print(f"{scale}: {part} ...", file=sys.stderr)
                rows += PARTS[part](lab)
    return rows


def machine(device: torch.device) -> str:
    """What it was measured on, without names of hosts or users."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    cores = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return f"{device.type} ({name}), {cores}, torch {torch.__version__}, ushydra_lab {__version__}"


if __name__ == "__main__":
    main()
