"""See what this machine has and lacks to run the lab: versions, device and scale, memory, disk; each with its remedy.

    python -m ushydra_lab doctor
    python -m ushydra_lab doctor run_root=FOLDER cache_dir=FOLDER

The exit status is 1 if the lab cannot run so.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ushydra_lab.commands.parser import new_parser
from ushydra_lab.errors import UserError

if TYPE_CHECKING:
    from ushydra_lab.doctor import Finding

SETTINGS = {"run_root": "multirun", "cache_dir": "", "cache_gb": "20"}
STYLES = {"ok": "green", "note": "yellow", "bad": "bold red"}


def main(arguments: list[str]) -> int:
    """Print all findings, and how many ask for something."""
    parser = new_parser("doctor", __doc__)
    parser.add_argument("words", nargs="*", metavar="KEY=VALUE", help=f"the settings of a run: {', '.join(SETTINGS)}")
    given = _settings(parser.parse_args(arguments).words)

    from ushydra_lab.doctor import State, examine

    run_root = Path(given["run_root"])
    states = []
    for finding in examine(run_root, Path(given["cache_dir"] or run_root / ".cache"), float(given["cache_gb"])):
        _show(finding)
        states.append(finding.state)
    bad, notes = (states.count(state) for state in (State.BAD, State.NOTE))
    print(f"{bad} to mend, {notes} to know, {len(states) - bad - notes} in order")
    return int(bad > 0)


def _settings(words: list[str]) -> dict[str, str]:
    """
    Raises:
        UserError: a word is not KEY=VALUE, its key is none of these, or the size is no number.
    """
    pairs = [word.partition("=") for word in words]
    unknown = ("".join(pair) for pair in pairs if not pair[1] or pair[0] not in SETTINGS)
    problems = [f"{word}: not one of {', '.join(f'{key}=...' for key in SETTINGS)}" for word in unknown]
    given = SETTINGS | {key: value for key, _, value in pairs}
    if not given["cache_gb"].replace(".", "", 1).isdigit():
        problems.append(f"cache_gb={given['cache_gb']}: not a number of gigabytes")
    if problems:
        raise UserError.listing("doctor takes KEY=VALUE words, as a run does:", problems)
    return given


def _show(finding: Finding) -> None:
    from rich.text import Text

    from ushydra_lab.report.render.terminal import new_console

    state = finding.state.value
    line = Text.assemble((f"{state:<4}", STYLES[state]), f"  {finding.subject}: {finding.here}")
    new_console().print(line, soft_wrap=True)
    if finding.remedy:
        new_console().print(Text(f"      -> {finding.remedy}"), soft_wrap=True)
