"""What a report lacks: runs that did not finish, files that are missing or damaged, and the command that mends it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from pathlib import Path

from PIL import Image

from ushydra_lab.config.identity import PATH, PRIVATE
from ushydra_lab.config.typed import quoted
from ushydra_lab.figures.style import open_picture
from ushydra_lab.files import DamagedFile, read_text
from ushydra_lab.report.document import Document, Gap, Note
from ushydra_lab.results.collect import Collected
from ushydra_lab.runs.run import parse_yaml

NO_TEXTS = ("null", "true", "false", "inf", "nan")
"""Words that Hydra takes for something else."""


def missing(found: Collected) -> list[tuple[str, str]]:
    """(run, what is wrong with it) of runs that are not in the tables, or that lack pictures of theirs."""
    runs = found.stages["run"].drop_duplicates()
    tested = set(found.images.loc[found.images["part"] == "test", "method"]) if len(found.images) else set()
    shown = [run for run in runs if tested & set(found.stages.loc[found.stages["run"] == run, "method"])]
    pictures = [(run.name, fault) for run in shown if (fault := _picture_fault(run.picture("test")))]
    return [*reasons(found).items(), *pictures]


def reasons(found: Collected) -> dict[str, str]:
    """Name of a run -> why it is not in the tables.

    What an error said stays on the terminal, since it may name paths.
    """
    return {run.name: reason.public for run, reason in found.unfinished.items()}


def _picture_fault(file: Path) -> str:
    try:
        if not file.exists():
            return f"{file.name} is missing"
        with open_picture(file) as picture:
            picture.verify()
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError):  # SyntaxError: a PNG that is cut short
        return f"{file.name} is damaged"
    return ""


def command(experiment: Path, **changed: object) -> str:
    """What starts the runs that are missing: the last sweep's command, some keys changed, its paths told as PATH."""
    try:
        hydra = parse_yaml(read_text(experiment / "multirun.yaml", ""))["hydra"]
        typed = [str(word) for word in hydra["overrides"]["task"]]
    except (DamagedFile, ValueError, TypeError, KeyError):
        typed = [f"+experiment={experiment.name}"]
    shareable = [_shareable(word) for word in typed if not word.lstrip("+~").startswith("logger")]
    kept = [word for word in shareable if word.partition("=")[0].lstrip("+~") not in changed]
    words = [*kept, *(f"{key}={_quoted(key, str(value))}" for key, value in changed.items())]
    return "python -m ushydra_lab " + " ".join(map(shlex.quote, words))


def _shareable(word: str) -> str:
    key = word.partition("=")[0]
    private = any(f"{key.lstrip('+~')}.".startswith(f"{place}.") for place in PRIVATE)
    return f"{key}=PATH" if private or PATH.search(word) else word


def _quoted(key: str, value: str) -> str:
    """A site's name as Hydra takes it for one: quoted where it might be read as a number, null or several values."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", value) and value.lower() not in NO_TEXTS
    return value if plain or key != "held_out" else quoted(value)


def gap_list(gaps: Iterable[Gap]) -> Document:
    """Gaps below a sentence that says what they are; nothing where there are none."""
    found = list(gaps)
    head = "Missing, and the command for each. Add to it any other option that the finished runs were started with."
    return [Note(head), *found] if found else []


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
                words = shlex.join(f"{key}={_quoted(key, value)}" for key, value in changed.items())
                fill = command(experiment, **changed) if own else f"as of {done[0]}, but {words}"
                gaps.append(Gap(f"Held out {site}", "not run", fill))
    return gaps
