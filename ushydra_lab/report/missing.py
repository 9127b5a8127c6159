"""The runs and files that a report lacks, why, and the command that makes them."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import pandas as pd
from PIL import Image

from ushydra_lab.config.identity import PATH, PRIVATE, SOURCE
from ushydra_lab.config.typed import quoted
from ushydra_lab.figures.style import open_picture
from ushydra_lab.files import DamagedFile, read_text
from ushydra_lab.report.document import Document, Gap, Note
from ushydra_lab.results.collect import Collected
from ushydra_lab.runs.safe_yaml import parse_yaml

NO_TEXTS = ("null", "true", "false", "inf", "nan")
"""Words that Hydra reads as null, a truth value or a number when they are not quoted."""
OWN = ("logger", "at_end")
"""Typed keys that concern whoever typed them, and no number."""


def missing(collected: Collected) -> list[tuple[str, str]]:
    """List (run, fault) for the runs that are not in the tables, and for those whose pictures are missing."""
    runs = collected.stages["run"].drop_duplicates()
    tested = set(collected.images.loc[collected.images["part"] == "test", "method"]) if len(collected.images) else set()
    shown = [run for run in runs if tested & set(collected.stages.loc[collected.stages["run"] == run, "method"])]
    pictures = [(run.name, fault) for run in shown if (fault := _picture_fault(run.picture("test")))]
    return [*reasons(collected).items(), *pictures]


def reasons(collected: Collected) -> dict[str, str]:
    """Map the name of each run that is not in the tables to the reason.

    What an error said stays on the terminal, since it may name paths.
    """
    return {run.name: reason.public for run, reason in collected.unfinished.items()}


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
    """The command that starts missing runs: the last sweep's, with some keys changed and its paths shown as PATH."""
    try:
        hydra = parse_yaml(read_text(experiment / "multirun.yaml", ""))["hydra"]
        typed = [str(word) for word in hydra["overrides"]["task"]]
    except (DamagedFile, ValueError, TypeError, KeyError):
        typed = [f"+experiment={experiment.name}"]
    shareable = [_shareable(word) for word in typed if re.split(r"[.=]", word.lstrip("+~"))[0] not in OWN]
    kept = [word for word in shareable if word.partition("=")[0].lstrip("+~") not in changed]
    words = [*kept, *(f"{key}={_quoted(key, str(value))}" for key, value in changed.items())]
    return "python -m ushydra_lab " + " ".join(map(shlex.quote, words))


def _shareable(word: str) -> str:
    key = word.partition("=")[0]
    own = SOURCE.sub("data.", key.lstrip("+~"))
    private = any(f"{own}.".startswith(f"{place}.") for place in PRIVATE)
    return f"{key}=PATH" if private or PATH.search(word) else word


def _quoted(key: str, value: str) -> str:
    """A value as it is typed: a site's name is quoted where Hydra would read a number, null or several values."""
    plain = re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", value) and value.lower() not in NO_TEXTS
    return value if plain or key != "held_out" else quoted(value)


def expected_runs(stages: pd.DataFrame, collected: Collected, variants: Sequence[str]) -> pd.DataFrame:
    """Runs of the variants in every fold and seed that some run has, one row each: variant, fold, seed, reason.

    stages: those of one held-out site. reason: why a run is not finished, "" where it is.
    """
    folds, lacking = set(stages["fold"]), {}
    for run, reason in collected.unfinished.items():
        fold, seed, variant = run.name.split("/")
        if fold in folds:
            lacking[variant, fold, int(seed.removeprefix("seed"))] = reason.quoted or reason.public
    done = set(stages[["variant", "fold", "seed"]].itertuples(index=False, name=None))
    pairs = sorted({(fold, seed) for _, fold, seed in done | lacking.keys()})
    rows = [
        {"variant": variant, "fold": fold, "seed": seed, "reason": "" if (variant, fold, seed) in done else reason}
        for variant in variants
        for fold, seed in pairs
        for reason in [lacking.get((variant, fold, seed), "not started")]
    ]
    return pd.DataFrame(rows)


def variant_gaps(
    runs: pd.DataFrame, names: Mapping[str, str], key: str, site: dict[str, str], experiment: Path
) -> list[Gap]:
    """Gaps for the missing ones of `expected_runs`, with the reason and the command that starts them.

    names: of the rows, by variant; key: the override that chooses a variant; site: the one that holds out the site.
    """
    gaps = []
    for variant, lacking in runs[runs["reason"] != ""].groupby("variant", sort=False):
        seeds = ",".join(map(str, dict.fromkeys(lacking["seed"])))
        fill = command(experiment, **site, seed=seeds, **{key: variant})
        why = f"not run (seed {seeds}): " + "; ".join(dict.fromkeys(lacking["reason"]))
        gaps.append(Gap(f"'{names[str(variant)]}'", why, fill))
    return gaps


def gap_list(gaps: Iterable[Gap]) -> Document:
    """A list of gaps below an introductory sentence; empty without gaps."""
    found = list(gaps)
    head = "Missing, and the command for each. Add to it any other option that the finished runs were started with."
    return [Note(head), *found] if found else []


def data_sets(collected: Collected) -> dict[tuple[str, ...], list[str]]:
    """Map the sites of each data set (in alphabetical order) to what was held out of it; mostly there is one."""
    sets: dict[tuple[str, ...], list[str]] = {}
    for row in collected.stages.drop_duplicates("held_out").to_dict("records"):
        sets.setdefault(row["sites"], []).append(str(row["held_out"]))
    return sets


def sites_with(collected: Collected, held_out: str) -> tuple[str, ...]:
    """All sites of the data set from which `held_out` was held out."""
    return next(sites for sites, done in data_sets(collected).items() if held_out in done)


def held_out_key(collected: Collected, held_out: str) -> dict[str, str]:
    """The override that holds out the same site; empty where something else than a site was held out."""
    return {"held_out": held_out} if held_out in sites_with(collected, held_out) else {}


def splits_to_run(collected: Collected, experiment: Path) -> list[Gap]:
    """A gap for each site that no run has held out; none where runs hold out something else than a site.

    Nor where images are routed by their quality: each seen site is the only one of its own.
    """
    if "domain" in collected.images:
        return []
    gaps, last = [], str(collected.stages["held_out"].iloc[-1])
    for sites, done in data_sets(collected).items():
        seeds = sorted(collected.stages.loc[collected.stages["held_out"].isin(done), "seed"].unique())
        for site in sites if set(done) <= set(sites) else ():
            if site not in done:
                changed = {"held_out": site, "seed": ",".join(map(str, seeds))}
                own = last in done  # else the last command is of other images
                words = shlex.join(f"{key}={_quoted(key, value)}" for key, value in changed.items())
                fill = command(experiment, **changed) if own else f"as of {done[0]}, but {words}"
                gaps.append(Gap(f"Held out {site}", "not run", fill))
    return gaps
