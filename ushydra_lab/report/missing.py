"""What a report lacks: runs that did not finish, files that are missing or damaged, and the command that mends it."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from PIL import Image

from ushydra_lab.config import PATH, PRIVATE
from ushydra_lab.errors import UserError
from ushydra_lab.report.collect import Collected, lost_rows
from ushydra_lab.runs.directory import FINISHED, read_config
from ushydra_lab.runs.ledger import job


def missing(found: Collected) -> list[tuple[str, str]]:
    """(run, what is wrong with it) of runs that are not in the tables, or that lack files of theirs."""
    runs = found.stages["run"].drop_duplicates()
    return [*reasons(found).items(), *((run_name(run), fault) for run in runs for fault in _pictures(run))]


def reasons(found: Collected) -> dict[str, str]:
    """Run -> why it is not in the tables.

    What an error said stays on the terminal, since it may name paths.
    """
    return {run_name(Path(run)): _reason(Path(run)) for run in found.unfinished}


def run_name(run: Path) -> str:
    """Held-out site, seed and variant."""
    return "/".join(run.parts[-3:])


def _reason(run: Path) -> str:
    faults = [fault for name, read in READERS.items() if (fault := _fault(run / name, read))]
    state = job(run).state if faults[:1] != ["run.json is damaged"] else FINISHED
    if state != FINISHED:
        return state
    return "; ".join(faults or _lost_rows(run)) or "other settings than the other runs of its variant, or damaged"


def _table(file: Path) -> pd.DataFrame:
    return pd.read_csv(file)


def _summary(file: Path) -> dict[str, Any]:
    return dict(json.loads(file.read_text(encoding="utf-8")))


READERS: dict[str, Callable[[Path], Any]] = {
    "run.json": _summary,
    "config.yaml": read_config,
    "split.csv": _table,
    "per_image.csv": _table,
}


def _fault(file: Path, read: Callable[[Path], Any]) -> str:
    try:
        read(file)
    except FileNotFoundError:
        return f"{file.name} is missing"
    except (OSError, ValueError, TypeError, SyntaxError, UserError):  # SyntaxError: a PNG that is cut short
        return f"{file.name} is damaged"
    return ""


def _lost_rows(run: Path) -> list[str]:
    try:
        lost = lost_rows(_table(run / "split.csv"), _table(run / "per_image.csv"), _summary(run / "run.json"))
    except KeyError as error:
        return [f"the column or key {error} is missing from its files"]
    except (OSError, ValueError, TypeError):
        return []
    return [lost] if lost else []


def _pictures(run: Path) -> list[str]:
    return [fault] if (fault := _fault(run / "figures" / "test.png", _picture)) and _tested(run) else []


def _tested(run: Path) -> bool:
    return bool((_table(run / "per_image.csv")["part"] == "test").any())


def _picture(file: Path) -> None:
    with Image.open(file) as picture:
        picture.verify()


def command(experiment: Path, **changed: object) -> str:
    """What starts the runs that are missing: the last sweep's command, some keys changed, its paths told as PATH."""
    try:
        hydra = yaml.safe_load((experiment / "multirun.yaml").read_text(encoding="utf-8"))["hydra"]
        typed = [str(word) for word in hydra["overrides"]["task"]]
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError):
        typed = [f"+experiment={experiment.name}"]
    shareable = [_shareable(word) for word in typed if not word.lstrip("+~").startswith("logger")]
    kept = [word for word in shareable if word.partition("=")[0].lstrip("+~") not in changed]
    words = [*kept, *(f"{key}={_quoted(key, str(value))}" for key, value in changed.items())]
    return "python -m ushydra_lab " + " ".join(map(shlex.quote, words))


def _shareable(word: str) -> str:
    return f"{word.partition('=')[0]}=PATH" if word.lstrip("+~").startswith(PRIVATE) or PATH.search(word) else word


def _quoted(key: str, value: str) -> str:
    """A site's name as Hydra takes it for one: quoted where it might be read as a number, null or several values."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", value) and value.lower() not in (
        "null",
        "true",
        "false",
        "inf",
        "nan",
    )
    return value if plain or key != "held_out" else f"'{value}'"


@dataclass(frozen=True)
class Gap:
    """What a table lacks, why, and the command that makes it."""

    what: str
    why: str
    command: str


def gap_list(gaps: Iterable[Gap]) -> list[str]:
    """Gaps as Markdown; nothing where there are none."""
    lines = [f"- {gap.what}: {gap.why}.\n  `{gap.command}`" for gap in gaps]
    head = "Missing, and the command for each. Add to it any other option that the finished runs were started with.\n"
    return [head, *lines, ""] if lines else []


def data_sets(found: Collected) -> dict[tuple[str, ...], list[str]]:
    """Sites of each data set that was used, in alphabetical order -> what was held out of it; mostly there is one."""
    sets: dict[tuple[str, ...], list[str]] = {}
    for row in found.stages.drop_duplicates("held_out").to_dict("records"):
        sets.setdefault(row["sites"], []).append(str(row["held_out"]))
    return sets


def sites_with(found: Collected, held_out: str) -> tuple[str, ...]:
    """The sites of the data that something was held out of."""
    return next(sites for sites, done in data_sets(found).items() if held_out in done)


def held_out_key(found: Collected, held_out: str) -> dict[str, str]:
    """What a command needs to hold out the same; nothing where that is no site."""
    return {"held_out": held_out} if held_out in sites_with(found, held_out) else {}


def splits_to_run(found: Collected, experiment: Path) -> list[Gap]:
    """Sites that no run has held out; none where runs hold out something else than a site.

    Nor where images are routed by their quality: each seen site is the only one of its own.
    """
    if "domain" in found.images:
        return []
    gaps, last = [], str(found.stages["held_out"].iloc[-1])
    for sites, done in data_sets(found).items():
        seeds = sorted(found.stages.loc[found.stages["held_out"].isin(done), "seed"].unique())
        for site in sites if set(done) <= set(sites) else ():
            if site not in done:
                changed = {"held_out": site, "seed": ",".join(map(str, seeds))}
                own = last in done  # else the last command is of other images
                words = shlex.join(f"{key}={value}" for key, value in changed.items())
                fill = command(experiment, **changed) if own else f"as of {done[0]}, but {words}"
                gaps.append(Gap(f"Held out {site}", "not run", fill))
    return gaps
