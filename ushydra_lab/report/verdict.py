"""The report's verdict: the comparisons on the unseen site as a few sentences."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ushydra_lab.report.comparisons import INTERVAL
from ushydra_lab.report.tables import last_stage, methods_in, plural, values_table
from ushydra_lab.results.hospitals import is_hospital
from ushydra_lab.results.metrics import metrics_of
from ushydra_lab.tasks.columns import Metric

RULE = (
    f"Better or worse: p < 0.05, Holm-adjusted for all comparisons of this report on unseen sites, of at least six "
    f"subjects; shown with the {INTERVAL}. Possibly: its own 95 % interval alone leaves out zero. Means follow images, "
    "tests follow subjects. docs/statistics.md says how often such verdicts are wrong."
)
BETTER, WORSE, MAYBE_BETTER, MAYBE_WORSE = "better in", "worse in", "possibly better in", "possibly worse in"
UNCLEAR, UNTESTABLE = "no clear difference in", "too few seeds or subjects for any difference to be significant in"
INCOMPARABLE = "not comparable (no image that both measured, or a mean of 0 or less of which there is no per cent) in"
GRADES = (BETTER, WORSE, MAYBE_BETTER, MAYBE_WORSE, UNCLEAR, UNTESTABLE, INCOMPARABLE)
NAMED = 3
"""The most methods that a sentence names; of more it gives the number."""
FEW_SEEDS = 3


@dataclass(frozen=True)
class Verdict:
    """A headline, its tone and the sentences below it.

    tone: good where a method was clearly better and in nothing worse, look where it was also worse, else dim; also dim
    where there are too few seeds to tell.
    """

    headline: str
    tone: str
    details: list[str] = field(default_factory=list)
    basis: str = ""


@dataclass(frozen=True)
class _Pair:
    """The changes of one method against another: grade -> (metric's label, by how much)."""

    method: str
    against: str
    changes: dict[str, list[tuple[str, str]]]

    def labels(self, grade: str) -> str:
        return _joined([label for label, _ in self.changes[grade]])

    @property
    def brief(self) -> str:
        """A sentence that names the metrics that changed, without the amounts."""
        told = [f"{grade} {self.labels(grade)}" for grade in self.changes if self.changes[grade]]
        return f"{self.method} against {self.against}: {'; '.join(told)}."

    @property
    def sentence(self) -> str:
        told = [
            f"{grade} {', '.join(f'{label}: {amount}' for label, amount in self.changes[grade])}"
            for grade in (BETTER, WORSE, MAYBE_BETTER, MAYBE_WORSE)
            if self.changes[grade]
        ]
        rest = [f"{grade} {self.labels(grade)}" for grade in (UNCLEAR, UNTESTABLE, INCOMPARABLE) if self.changes[grade]]
        return f"{self.method} against {self.against}: {'; '.join([*told, *rest])}."


def verdict(held_out: str, images: pd.DataFrame, changes: pd.DataFrame) -> Verdict:
    """Judge the last stage's methods on the unseen site.

    The headline compares with the first of them, the control; the details also with an earlier stage, which had less
    training.

    Args:
        images: of the unseen site, as collected.
        changes: their comparisons (`comparisons.compare_sites`), empty where there is nothing to compare.
    """
    where, last = where_tested(held_out), methods_in(last_stage(images))
    basis = _basis(images)
    if changes.empty:
        return Verdict(f"{where}, {last[0]} stands alone: there is no other method to compare it with.", "dim",
                       [_values(images)], basis)  # fmt: skip
    references = {changes["against"].iloc[0], last[0]}
    pairs = _pairs(changes[changes["method"].isin(last) & changes["against"].isin(references)])
    if not pairs:
        return Verdict(f"{where}, no two methods have values to compare.", "dim", [], basis)
    fair = [pair for pair in pairs if pair.against == last[0]]
    headline, tone = _headline(where, fair or pairs)
    if (seeds := images["seed"].nunique()) < FEW_SEEDS:
        tone, headline = "dim", f"As far as {plural(seeds, 'seed')} can tell: {headline[0].lower()}{headline[1:]}"
    return Verdict(
        headline, tone, [pair.sentence for pair in sorted(pairs, key=fair.__contains__, reverse=True)], basis
    )


def summaries(changes: pd.DataFrame) -> list[str]:
    """One sentence per method: the metrics in which it was better or worse than the first one."""
    if changes.empty:
        return []
    return [pair.brief for pair in _pairs(changes[changes["against"] == changes["against"].iloc[0]])]


def _pairs(changes: pd.DataFrame) -> list[_Pair]:
    """Every two methods that have a change of some metric."""
    groups = (rows for _, rows in changes.groupby(["method", "against"], sort=False))
    return [_pair(rows) for rows in groups if rows["change"].notna().any()]


def where_tested(held_out: str) -> str:
    """The beginning of a sentence about results on `held_out`: 'On clinic_b, a site that ...'."""
    if held_out == "official":
        return "On the data set's own test images"
    if not is_hospital(held_out):
        return f"On subjects that no method had been trained on ({held_out})"
    new = "sites" if re.match(r"\d+ sites ", held_out) else "a site"
    return f"On {held_out}, {new} that no method had been trained on"


def _pair(rows: pd.DataFrame) -> _Pair:
    changes: dict[str, list[tuple[str, str]]] = {grade: [] for grade in GRADES}
    metrics = metrics_of(rows["metric"])
    for name, metric in metrics.items():
        row = rows[rows["metric"] == name].iloc[0]
        if row["measured"] and row["measured_against"]:  # else it is no metric of one of both
            changes[_grade(row, metric)].append((metric.label, amount(row, metric)))
    return _Pair(rows["method"].iloc[0], rows["against"].iloc[0], changes)


def _grade(row: pd.Series, metric: Metric) -> str:
    if np.isnan(row["change"]):
        return INCOMPARABLE
    good = metric.improves(row["change"])
    if row["starred"]:
        return BETTER if good else WORSE
    if row["own_low"] > 0 or row["own_high"] < 0:
        return MAYBE_BETTER if good else MAYBE_WORSE
    return UNCLEAR if row["can_be_starred"] else UNTESTABLE


def amount(row: pd.Series, metric: Metric) -> str:
    """'12.3 % lower (95 % interval 5.1 to 19.0 % lower)' of a row of the comparisons."""
    if np.isnan(row["change"]):
        return ""
    ends = ("low", "high") if row["starred"] else ("own_low", "own_high")
    low, high = (row[end] for end in ends)
    if np.isnan(low):
        return _signed(row["change"], metric)
    if not low < 0 < high:  # no product: 0 times infinity is NaN
        near, far = sorted((low, high), key=abs)
        interval = f"{_size(near, metric)} to {_signed(far, metric)}"
    else:
        interval = f"{_signed(low, metric)} to {_signed(high, metric)}"
    return f"{_signed(row['change'], metric)} (95 % interval {interval}{reserve(row, metric)})"


def reserve(row: pd.Series, metric: Metric) -> str:
    """What to keep in mind about a change: most images went the other way, or the methods lost different images."""
    words = ""
    if not row["agrees"]:
        other, way = (row["smaller"], "lower") if row["change"] > 0 else (row["larger"], "higher")
        words += f"; yet {other} of {row['images']} images are {way}"
    if not np.isnan(row["change_imputed"]):
        words += f"; {row['method']} lost {row['lost']} values that {row['against']} has, and {row['against']} "
        words += (
            f"{row['lost_against']} of {row['method']}: {_signed(row['change_imputed'], metric)} if those count as "
        )
        words += "the worst"
    return words


def _signed(change: float, metric: Metric) -> str:
    unit = " %" if metric.change == "%" and np.isfinite(change) else ""
    return f"{_size(change, metric)}{unit} {'higher' if change > 0 else 'lower'}"


def _size(change: float, metric: Metric) -> str:
    digits = metric.change_digits
    if np.isinf(change):
        return "any amount"
    text = f"{abs(change):.{digits}f}"
    return text if float(text) or not change else f"under {10**-digits:.{digits}f}"


def _headline(where: str, pairs: list[_Pair]) -> tuple[str, str]:
    """The clearest pair: the one with most metrics better, or if there is none, with most worse."""
    best = max(pairs, key=lambda pair: len(pair.changes[BETTER]) - len(pair.changes[WORSE]))
    if best.changes[BETTER]:
        mixed = f", but worse in {best.labels(WORSE)}" if best.changes[WORSE] else ""
        says = f"{best.method} was better than {best.against} in {best.labels(BETTER)}{mixed}{_first(best, BETTER)}"
        return f"{where}, {says}", "look" if mixed else "good"
    worst = max(pairs, key=lambda pair: len(pair.changes[WORSE]))
    if worst.changes[WORSE]:
        says = f"{worst.method} was worse than {worst.against} in {worst.labels(WORSE)}{_first(worst, WORSE)}"
        return f"{where}, no method was clearly better; {says}", "look"
    methods = list(dict.fromkeys([name for pair in pairs for name in (pair.against, pair.method)]))
    names = _joined(methods) if len(methods) <= NAMED else f"{len(methods)} methods"
    if not any(
        found for pair in pairs for grade, found in pair.changes.items() if grade not in (UNTESTABLE, INCOMPARABLE)
    ):
        few = f"too few seeds or subjects for any difference between {names} to be significant"
        return f"{where}, there are {few}.", "dim"
    return f"{where}, no clear difference was found between {names}.", "dim"


def _first(pair: _Pair, grade: str) -> str:
    """The end of a sentence: by how much the first metric of a grade changed."""
    label, by = pair.changes[grade][0]
    alone = len(pair.changes[BETTER]) + len(pair.changes[WORSE]) == 1
    return f": {by}." if alone else f". {label}: {by}."


def _values(images: pd.DataFrame) -> str:
    cells = values_table(images).iloc[0].drop("method")
    return "; ".join(f"{title}: {cell}" for title, cell in cells.items()) + "."


def _basis(images: pd.DataFrame) -> str:
    count = int(images.groupby(["seed", "method"])["record"].nunique().max())
    subjects, seeds = images.drop_duplicates(["site", "subject"]).shape[0], images["seed"].nunique()
    few = "" if seeds >= FEW_SEEDS else ": too few to know how much another training run would differ"
    return f"{plural(count, 'image')} of {plural(subjects, 'subject')}, {plural(seeds, 'seed')}{few}."


def _joined(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
