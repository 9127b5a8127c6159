"""Rules with thresholds, and the judgement of one image by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from math import inf, isfinite, isnan, nan
from typing import Any

from ushydra_lab.results.conformal import units_needed
from ushydra_lab.triage.distance import Mahalanobis

ACCEPT, REVIEW, REFUSE = "accept", "review", "refuse"
STATUSES = (REFUSE, REVIEW, ACCEPT)
"""The worst first."""
OOD = "ood"
"""The reason that an image is unlike the training images, and the score that says so."""


@dataclass(frozen=True)
class Rule:
    """Review for the reason `code` where the score of that name is above `threshold`.

    threshold: conformal at `alpha`, of `n_images` validation images of `n_subjects` at `n_sites` training sites;
    infinite with too few of them. spread: the SD of these images' scores, the unit in which `excess` is told.
    """

    code: str
    threshold: float
    spread: float
    alpha: float
    n_images: int
    n_subjects: int
    n_sites: int

    @property
    def content(self) -> dict[str, Any]:
        """As JSON, which knows no infinity: null in place of that threshold."""
        return asdict(self) | {"threshold": self.threshold if isfinite(self.threshold) else None}

    @property
    def shortage(self) -> str:
        """Why the rule holds for no score, as a sentence; nothing where it can."""
        if isfinite(self.threshold):
            return ""
        need = units_needed(self.alpha)
        if self.n_subjects >= need:
            why = f"more than {self.alpha:.0%} of the validation images have no score"
        else:
            why = f"a threshold at {self.alpha:.0%} needs {need} validation subjects, there are {self.n_subjects}"
        return f"Triage sends no image to review for `{self.code}`: {why}. An accepted image was not compared by it"

    def excess(self, scores: Mapping[str, float]) -> float:
        """SDs above the threshold, negative below; of a NaN infinite, without a threshold else minus infinity."""
        value = scores[self.code]
        if isnan(value) or not isfinite(self.threshold):
            return inf if isnan(value) else -inf
        return (value - self.threshold) / max(self.spread, 1e-9)


@dataclass(frozen=True)
class Judgement:
    """status: accept, review or refuse; reasons: codes; excess: of the rule that is furthest above its threshold."""

    status: str
    reasons: tuple[str, ...]
    excess: float
    ood_score: float = nan
    ood_threshold: float = nan

    def reviewed(self, reasons: Sequence[str]) -> Judgement:
        """With further reasons for review, if there are any."""
        status = REVIEW if reasons and self.status == ACCEPT else self.status
        return replace(self, status=status, reasons=(*self.reasons, *reasons))

    @property
    def cells(self) -> dict[str, str | float]:
        """`status`, `reasons` (joined by +), `ood_score`, `ood_threshold`: cells of a table."""
        scores = {"ood_score": self.ood_score, "ood_threshold": self.ood_threshold}
        return {"status": self.status, "reasons": "+".join(self.reasons), **scores}


@dataclass(frozen=True)
class Triage:
    """The rules of one finished run. known: the distance from its training codes; None of a network without a code."""

    rules: tuple[Rule, ...]
    known: Mahalanobis | None

    @property
    def shortages(self) -> list[str]:
        """The rules that never hold, for too few validation images, a sentence each."""
        return [rule.shortage for rule in self.rules if rule.shortage]

    def judge(self, refused: tuple[str, ...], scores: Mapping[str, float]) -> Judgement:
        """Judge one image.

        Args:
            refused: the reasons that its raw pixels give, `triage.pixels.pixel_reasons`.
            scores: by `triage.scores.scores_of`, whose names are the rules' codes.
        """
        excess = {rule.code: rule.excess(scores) for rule in self.rules}
        reviewed = tuple(code for code, value in excess.items() if value > 0)
        status = REFUSE if refused else REVIEW if reviewed else ACCEPT
        limit = next((rule.threshold for rule in self.rules if rule.code == OOD), nan)
        return Judgement(status, refused + reviewed, max(excess.values(), default=-inf), scores.get(OOD, nan), limit)


def together(judgements: Iterable[Judgement]) -> Judgement:
    """The judgement of several members on one image: a reason counts that at least half of them give.

    Each has its own thresholds, of its own validation images: another member may have been trained on these, so the
    mean of all members' scores has no threshold. The distance told is of the member that finds the image most unlike.
    """
    each = list(judgements)
    codes = dict.fromkeys(code for one in each for code in one.reasons)
    shared = tuple(code for code in codes if 2 * sum(code in one.reasons for one in each) >= len(each))
    refused = all(one.status == REFUSE for one in each)  # pixels are the same to all
    status = REFUSE if refused else REVIEW if shared else ACCEPT
    middle = sorted(one.excess for one in each)[len(each) // 2]
    furthest = max(each, key=lambda one: one.ood_score - one.ood_threshold)
    return Judgement(status, shared, middle, furthest.ood_score, furthest.ood_threshold)
