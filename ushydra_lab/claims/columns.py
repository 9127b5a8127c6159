"""What a column of a results table holds, by its title."""

from __future__ import annotations

import re
from dataclasses import dataclass

TITLES = {
    "prevalence": r"prevalence",
    "balanced accuracy": r"balanced acc(?:uracy)?|\bbacc\b",
    "pixel accuracy": r"pixel acc(?:uracy)?",
    "hd95": r"\b95 ?hd\b|\bhd ?_?-?95\b|95 ?% ?hd|hausdorff.*95|95.*hausdorff",
    "hd": r"\bhd\b|hausdorff(?: distance)?",
    "assd": r"\bassd\b|\basd\b|average symmetric surface distance|mean surface distance",
    "nsd": r"\bnsd\b|normali[sz]ed surface (?:dice|distance)|surface dice",
    "dice": r"\bdice\b|\bdsc\b|\bmdice\b|\bmdsc\b",
    "iou": r"\biou\b|\bmiou\b|jaccard|intersection over union",
    "f1": r"\bf1\b|\bf-?score\b|\bf-?measure\b",
    "auc": r"\bau(?:roc|c)\b|\bauc-?roc\b",
    "npv": r"\bnpv\b|negative predictive value",
    "precision": r"\bprecision\b|\bppv\b|positive predictive value",
    "recall": r"\brecall\b",
    "sensitivity": r"\bsensitivity\b|\bsens\b|\btpr\b|true positive rate",
    "specificity": r"\bspecificity\b|\bspec\b|\btnr\b|true negative rate",
    "accuracy": r"\bacc(?:uracy)?\b",
    "ssim": r"\b(?:ms[- ]?)?ssim\b",
    "mcc": r"\bmcc\b|matthews",
    "kappa": r"\bkappa\b",
}
"""Metric -> how its title is written; the first that fits counts."""
SHARES = frozenset(TITLES) - {"hd95", "hd", "assd", "mcc", "kappa", "ssim"}
"""Between 0 and 1; may be printed in per cent."""
RANGES = dict.fromkeys(SHARES, (0.0, 1.0)) | dict.fromkeys(("mcc", "kappa", "ssim"), (-1.0, 1.0))
RANGES |= dict.fromkeys(("hd", "hd95", "assd"), (0.0, float("inf")))
NO_SCORE = re.compile(
    r"[δ∆]|\bdelta\b|\bvs\b|\bchange|\bdifference|\bdiff\b|\bgain\b|\bimprovement|\bp\b|\bp-value|\brank|\bloss\b|\berror\b"
    r"|\bsd\b|\bstd\b|\bse\b|\bvariance|\bci\b|\binterval|\bmedian|\bmin\b|\bmax\b|\bbest\b|\bworst\b|\biqr\b|\bover$"
    r"|\bq[13]\b|quantile|percentile|\bdrop\b|\bgap\b|\bregret\b|\blimit|\bweight(?!ed)|\brelative\b|\bratio\b"
)
"""Titles of what is no mean of a metric, though they name one: no rule holds for them."""
NO_ROW = re.compile(
    r"(?:no\.? of |number of |# ?)?(?:n|sites|images|seeds|runs|folds|subjects|patients|count)|sd|std|se|median|range"
    r"|iqr|p|p-?values?|min(?:imum)?|max(?:imum)?|(?:95 ?% )?ci|[δ∆].*"
    r"|.*\b(?:vs\.?|versus|against|difference|improvement|gain|change)\b.*|(?:best|worst)\b.*"
)
"""Labels of rows that hold other things than means: counts, spreads, differences."""
QUOTED = re.compile(r"(?:^| )(?:paper|printed|reported|published)$")
"""Titles of numbers that are quoted from elsewhere: audited where they are from."""
COUNTED = re.compile(
    r"(?:n|(?:#|no\.?|number of|n)? ?(?:of )?(?:test(?:ing)? )?(?:images|samples|cases|scans|slices)|#? ?test(?:ing)?"
    r"|test (?:set|size))(?: \(n\))?"
)
"""Titles of a column of the number of test images."""
TOTAL = re.compile(r"(?:grand |row )?(?:total|sum|overall total)s?(?: \(n\)| n)?")
FILLER = re.compile(r"\b(?:score|coefficient|coeff|index|value|metric|the|of|in|avg|average|mean)\b|[()\[\]:;,=]")
UNIT = re.compile(r"\(?\b(mm|cm|px|pixels?|voxels?)\b\)?")


@dataclass(frozen=True)
class Column:
    """metric: a key of `TITLES`; subject: what else the title says (structure, micro, ...); unit: mm, px or none."""

    place: int
    title: str
    metric: str
    subject: str = ""
    unit: str = ""
    averaged: bool = False


def column(place: int, title: str) -> Column | None:
    """None where the title names no metric, or something else about one."""
    words = simplified(title)
    if NO_SCORE.search(words) or QUOTED.search(words):
        return None
    for metric, pattern in TITLES.items():
        if found := re.search(pattern, words):
            rest = words[: found.start()] + " " + words[found.end() :]
            unit = UNIT.search(rest)
            prefix = "m " if found[0] in ("mdice", "mdsc", "miou") else ""
            subject = " ".join(FILLER.sub(" ", prefix + UNIT.sub(" ", rest)).split()).strip(" -–_/.")
            averaged = bool(re.search(r"\b(?:mean|avg|average)\b", words))
            return Column(place, title, metric, subject, unit[1] if unit else "", averaged)
    return None


def simplified(title: str) -> str:
    """Lower case, without arrows, per cent signs and what stands for footnotes."""
    title = re.sub(r"\(?(?:mean )?(?:±|\+/-) ?(?:sd|std|s\.d\.)\)?|\(mean \(sd\)\)", " ", title.lower())
    title = re.sub(r"[↑↓*†‡§¶^]|\[\d+\]", " ", title.lower().replace("_", " "))
    return " ".join(re.sub(r"\(\s*%\s*\)|\[\s*%\s*\]|%|\(\s*\)", " ", title).split())


def is_percent(title: str) -> bool:
    """Whether a title says that its numbers are per cent."""
    return "%" in title
