"""The claim that was planned beforehand, and what the finished runs answer: first of all that a report says."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ushydra_lab.config.schema import Claim, Kind
from ushydra_lab.figures.style import COLOURS
from ushydra_lab.files import write_csv
from ushydra_lab.report.comparisons import images_cells
from ushydra_lab.report.document import Document, Heading, Note, Table, save_figure
from ushydra_lab.report.tables import last_stage, methods_in, metrics_in, plural
from ushydra_lab.report.verdict import reserve, where_tested
from ushydra_lab.results.answer import Answer, Unanswered, answer
from ushydra_lab.results.collect import Collected
from ushydra_lab.results.crossed import Common
from ushydra_lab.results.hospitals import AcrossHospitals
from ushydra_lab.runs.plan import Plan, read_plans
from ushydra_lab.runs.summary import TIME
from ushydra_lab.tasks.columns import Metric

UNSTATED = (
    "No claim was stated before these results (claim.endpoint=COLUMN claim.against=VARIANT), so that every comparison "
    "below is exploratory: it may suggest a claim to test on other seeds or subjects, not more."
)
FOREST = "Change at each hospital that was held out"
FOREST_CAPTION = (
    "One row per held-out hospital, each by networks that had not been trained on it: change and its own 95 % "
    "interval. Dotted: the margin that matters."
)
ACROSS_CAPTION = (
    f"{FOREST_CAPTION} Diamond: the mean over hospitals and its 95 % interval (Hartung and Knapp, equal weights); the "
    "line below it: what to expect of a new hospital like these (95 % prediction interval)."
)


@dataclass(frozen=True)
class Stated:
    """A claim of the plan with its answer.

    when: how it was stated; beforehand: before any of its runs had finished. reserves: of each hospital, what speaks
    against taking the change at its face value (`verdict.reserve`).
    """

    answer: Answer | Unanswered
    when: str
    beforehand: bool
    reserves: list[str]

    @property
    def headline(self) -> str:
        """The answer in a sentence."""
        found = self.answer
        if isinstance(found, Unanswered):
            claim = found.claim
            return f"The claim about {claim.endpoint} against {claim.against} has no answer: {found.why}."
        sentence = found.judgement.sentence
        words = f"{_where(found)}: {sentence[0].lower()}{sentence[1:]}"
        return words if found.across or not self.reserves else f"{words[:-1]}; {self.reserves[0]}."

    @property
    def tone(self) -> str:
        """good where it holds without reserve; look where it has one or is refuted; dim unless stated beforehand."""
        if isinstance(self.answer, Unanswered) or not self.beforehand:
            return "dim"
        judgement = self.answer.judgement
        if judgement.holds and not self.reserves:
            return "good"
        return "look" if judgement.holds or judgement.refuted else "dim"

    @property
    def details(self) -> list[str]:
        """What to expect of a new hospital, what the margin takes, where it comes from, and when it was stated."""
        found, lines = self.answer, []
        if isinstance(found, Answer):
            if found.across:
                lines += [_prediction(found.across, found.metric), _heterogeneity(found.across), found.across.caution]
                pairs = zip(found.effects, self.reserves, strict=False)
                lines += [f"{held_out}: {words}." for held_out, words in pairs if words]
            if found.need:
                lines.append(found.need.sentence)
        source = found.claim.source
        return [line for line in (*lines, f"Source of the claim: {source}." if source else "", self.when) if line]


def _where(found: Answer) -> str:
    if found.across:
        return f"Over {found.across.k} hospitals, each tested by networks that had not been trained on it"
    return where_tested(next(iter(found.effects)))


def _prediction(across: AcrossHospitals, metric: Metric) -> str:
    low, high = across.prediction
    if np.isnan(low):
        return ""
    digits, unit = metric.change_digits, " %" if metric.change == "%" else ""
    return (
        f"At a new hospital like these, expect a change in {metric.label} between {low:+.{digits}f}{unit} and "
        f"{high:+.{digits}f}{unit} (95 % prediction interval; {metric.better} is better)."
    )


def _heterogeneity(across: AcrossHospitals) -> str:
    if np.isnan(across.i2):
        return ""
    return (
        f"Of the variance of the changes {100 * across.i2:.0f} % lies between hospitals (I²; Cochran's test that none "
        f"does: p = {across.q_p:.2g})."
    )


def stated(experiment: Path, collected: Collected) -> list[Stated]:
    """Every claim of an experiment's plan with its answer, the first one first; empty where none was planned.

    Raises:
        DamagedFile: plan.json is not as it was written.
    """
    plans = [plan for plan in read_plans(experiment) if plan.claim is not None]
    groups = [list(group) for _, group in groupby(plans, key=lambda plan: plan.claim)]
    ended = [run.summary.ended for run in collected.stages["run"].drop_duplicates() if run.summary.ended]
    return [_stated(group, place, len(groups), ended, collected) for place, group in enumerate(groups)]


def _stated(group: list[Plan], place: int, count: int, ended: list[str], collected: Collected) -> Stated:
    """One claim and the plans that have it. ended: when the finished runs ended."""
    first = group[0]
    assert first.claim is not None
    before = max(first.finished, sum(_time(one) < _time(first.written) for one in ended))
    if before:
        words = f"Stated on {first.written[:10]}, when {plural(before, 'job')} had finished: no test of it."
    else:
        words = f"Stated on {first.written[:10]}, before any job had finished."
    added = [text for place, plan in enumerate(group) if (text := _added(group[:place], plan, ended))]
    changed = f"This is claim {place + 1} of {count}: it was changed." if count > 1 else ""
    found = answer(first.claim, collected)
    reserves = _reserves(found, collected) if isinstance(found, Answer) else []
    when = " ".join(text for text in (words, *added, changed) if text)
    return Stated(found, when, not before and not added, reserves)


def _time(text: str) -> datetime:
    return datetime.strptime(text, TIME)


def _added(before: list[Plan], plan: Plan, ended: list[str]) -> str:
    """What a later command added to all plans before it, once jobs had finished; nothing where it added before that."""
    finished = max(plan.finished, sum(_time(one) < _time(plan.written) for one in ended))
    known: dict[str, tuple[set[Any], list[Any]]] = {
        "seeds": ({one for earlier in before for one in earlier.seeds}, plan.seeds),
        "held-out sites": ({one for earlier in before for one in earlier.held_out}, plan.held_out),
        "methods": ({one for earlier in before for one in earlier.variants}, plan.variants),
    }
    more = {what: [str(one) for one in now if one not in then] for what, (then, now) in known.items()}
    told = "; ".join(f"{what} {', '.join(names)}" for what, names in more.items() if names)
    if not before or not finished or not told:
        return ""
    jobs = plural(finished, "job")
    return f"Added when {jobs} had finished: {told}. To look before adding makes a false claim likelier."


def _reserves(found: Answer, collected: Collected) -> list[str]:
    """Of each hospital: whether most images went the other way, and what the methods lost."""
    test = collected.images[collected.images["part"] == "test"]
    words = []
    for held_out, one in found.effects.items():
        own = test[test["held_out"] == held_out]
        a, b = (own[own["method_name"] == name] for name in (found.against, found.method))
        cells = images_cells(Common(a, b), found.claim.endpoint, found.metric)
        row = {"method": found.method, "against": found.against, "change": one.change} | cells
        words.append(reserve(pd.Series(row), found.metric).removeprefix("; "))
    return words if any(words) else []


def section(claims: list[Stated], collected: Collected, folder: Path) -> Document:
    """Each claim's answer and forest plot; without a claim, a word on that and, of several hospitals, a forest plot of
    the last method.
    """
    blocks: Document = [Heading("The claim", 2)]
    if not claims:
        blocks.append(Note(UNSTATED))
    for number, one in enumerate(claims):
        blocks += _answered(one.answer, folder / f"claim{number + 1 if number else ''}")
        blocks += [Note(text) for text in (one.headline, *one.details)]
    if not claims and (claim := _default(collected)):
        found = answer(claim, collected)
        blocks += _answered(found, folder / "hospitals") if isinstance(found, Answer) and found.across else []
    return blocks


def _default(collected: Collected) -> Claim | None:
    """What is drawn where nothing was claimed: the last variant against the first in the first metric of the tables."""
    test = collected.images[collected.images["part"] == "test"]
    last = last_stage(test)
    variants = list(dict.fromkeys(last["variant"]))
    metrics = list(metrics_in(last)) if len(last) else []
    if len(methods_in(last)) < 2 or len(variants) < 2 or not metrics:
        return None
    return Claim(metrics[0], variants[0], variants[-1])


def _answered(found: Answer | Unanswered, file: Path) -> Document:
    """The forest plot of a claim, and its numbers."""
    if isinstance(found, Unanswered):
        return []
    table = effects_table(found)
    if not np.isfinite(table[["low", "high"]].to_numpy(float)).all(axis=1).any():
        return []  # one seed, or too few subjects: no interval to draw
    write_csv(file.with_name(f"{file.name}_hospitals.csv"), table)
    title = f"{FOREST}: {found.method} against {found.against}, {found.metric.label}"
    caption = ACROSS_CAPTION if found.across else FOREST_CAPTION
    figure = save_figure(draw(found, table), file.with_name(f"{file.name}_forest"), title, caption)
    return [figure, Table(table.astype(object).where(table.notna(), "n/a"))]


def effects_table(found: Answer) -> pd.DataFrame:
    """One row per hospital, then of several their mean and a new hospital: change, low, high, seeds, subjects."""
    rows = [
        {"held out": held_out, "change": one.change, "low": one.interval()[0], "high": one.interval()[1],
         "seeds": str(one.seeds), "subjects": str(one.subjects)}
        for held_out, one in found.effects.items()
    ]  # fmt: skip
    if across := found.across:
        for what, (low, high) in {"mean": across.interval(), "a new hospital": across.prediction}.items():
            rows.append(
                {"held out": what, "change": across.mean, "low": low, "high": high, "seeds": "", "subjects": ""}
            )
    return pd.DataFrame(rows).round(found.metric.change_digits + 2)


def draw(found: Answer, table: pd.DataFrame) -> Figure:
    """Draw the forest plot: hospitals from the top, then of several their mean and what to expect of a new one."""
    figure = Figure(figsize=(7.5, 1.2 + 0.34 * len(table)), layout="constrained")
    axis = figure.subplots()
    places = -np.arange(len(table))
    for place, row in zip(places, table.to_dict("records"), strict=True):
        summary = row["held out"] in ("mean", "a new hospital")
        colour = COLOURS[1] if summary else COLOURS[0]
        axis.plot([row["low"], row["high"]], [place, place], color=colour, linewidth=2 if summary else 1.4)
        if row["held out"] != "a new hospital":
            axis.plot(row["change"], place, "D" if summary else "s", color=colour, markersize=7 if summary else 5)
    axis.axvline(0, color="black", linewidth=0.8)
    for margin in _margins(found.claim, found.metric):
        axis.axvline(margin, color="black", linewidth=0.8, linestyle=":")
    axis.set_yticks(places, list(table["held out"]))
    unit = "%" if found.metric.change == "%" else "difference"
    axis.set_xlabel(f"change in {found.metric.label} ({unit}); {found.metric.better} is better")
    axis.margins(y=0.12)
    return figure


def _margins(claim: Claim, metric: Metric) -> list[float]:
    """Where the margin lies on the axis of changes."""
    better = 1 if metric.better == "higher" else -1
    if not claim.margin:
        return []
    if claim.kind is Kind.equivalence:
        return [-claim.margin, claim.margin]
    return [better * claim.margin if claim.kind is Kind.superiority else -better * claim.margin]
