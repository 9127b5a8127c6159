"""Classification scores over a set of images, by the definitions of scikit-learn.

A class that is absent from the truth has no value: NaN for the class, and no part in a mean. (scikit-learn counts it
as 0 in macro means if it was predicted once, and refuses an AUC.) What was predicted as such a class is still an error
of the true one. A class that is present but never predicted has precision 0, so that silence does not pay.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import confusion_matrix as count
from sklearn.metrics import precision_recall_fscore_support, roc_auc_score

Codes = NDArray[np.int64]
Scores = NDArray[np.float64]


def confusion_matrix(true: ArrayLike, pred: ArrayLike, classes: int) -> Codes:
    """Images of each true (row) and predicted (column) class, (K, K), of codes (N,) below `classes`.

    Raises:
        ValueError: no images, unequal numbers of them, or other codes.
    """
    true, pred = _codes("true", true, classes), _codes("predicted", pred, classes)
    matrix: Codes = count(true, pred, labels=range(classes))
    return matrix


def class_scores(true: ArrayLike, probabilities: ArrayLike) -> dict[str, Scores]:
    """`precision`, `recall`, `f1` and `auc` (one-vs-rest) of each class, (K,), and `support`, its images.

    Args:
        true: codes (N,) below K.
        probabilities: of each class (N, K). The highest is the prediction, of equal ones the lowest code; the AUC
            counts a pair with equal probabilities as half.

    All are NaN for a class that is absent from the truth, the AUC also where there is no other class.

    Raises:
        ValueError: no images, wrong shapes, other codes, or probabilities that are not finite.
    """
    codes, chances = _checked(true, probabilities)
    classes = range(chances.shape[1])
    found = precision_recall_fscore_support(codes, chances.argmax(1), labels=classes, average=None, zero_division=0)
    precision, recall, f1, support = (np.asarray(values, float) for values in found)
    scores = {"precision": precision, "recall": recall, "f1": f1}
    scores = {name: np.where(support > 0, values, np.nan) for name, values in scores.items()}
    return scores | {"auc": np.array([_auc(codes == k, chances[:, k]) for k in classes]), "support": support}


def classification_scores(true: ArrayLike, probabilities: ArrayLike) -> dict[str, float]:
    """`accuracy`, and `precision`, `recall`, `f1` and `auc` as means over the classes that the truth has.

    `_macro` counts these classes alike, `_weighted` by their images. NaN where no class has a value. Arguments and
    errors as for `class_scores`.
    """
    codes, chances = _checked(true, probabilities)
    scores = class_scores(codes, chances)
    support = scores.pop("support")
    means = {"accuracy": float((chances.argmax(1) == codes).mean())}
    for name, values in scores.items():
        means[f"{name}_macro"] = _mean(values, np.ones_like(support))
        means[f"{name}_weighted"] = _mean(values, support)
    return means


def _mean(values: Scores, weights: Scores) -> float:
    known = ~np.isnan(values)
    return float(np.average(values[known], weights=weights[known])) if known.any() else float("nan")


def _auc(positive: NDArray[np.bool_], score: Scores) -> float:
    return float("nan") if positive.all() or not positive.any() else float(roc_auc_score(positive, score))


def _checked(true: ArrayLike, probabilities: ArrayLike) -> tuple[Codes, Scores]:
    chances = np.asarray(probabilities, float)
    if chances.ndim != 2 or chances.shape[:1] != np.shape(true):
        raise ValueError(f"expected codes (N,) and probabilities (N, K), got {np.shape(true)} and {chances.shape}")
    if not np.isfinite(chances).all():
        raise ValueError(f"probabilities are not finite in rows {np.flatnonzero(~np.isfinite(chances).all(1))[:5]}")
    return _codes("true", true, chances.shape[1]), chances


def _codes(name: str, codes: ArrayLike, classes: int) -> Codes:
    codes = np.asarray(codes)
    strange = np.setdiff1d(codes, range(classes)).tolist()
    if codes.ndim != 1 or not len(codes) or strange:
        raise ValueError(f"{name} classes must be codes (N,) below {classes}, got shape {codes.shape}, found {strange}")
    return codes.astype(np.int64)
