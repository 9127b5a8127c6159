"""Regions of interest of an experiment: one box annotation, or several with a weight each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Regions = str | Sequence[str] | Mapping[str, float]


def regions(roi: Regions) -> dict[str, float]:
    """Box annotation -> its weight in the objective, the main one first.

    A name alone, or each of a list, has weight 1; what has weight 0 is measured and not trained on. The main one is the
    first of a list and the heaviest of a mapping, whose order is nothing: of equals the first by name.

    Raises:
        ValueError: no name of a box annotation (NAME_box), a weight below 0 or none above it.
    """
    if isinstance(roi, str):
        return {roi: 1.0}
    weights = dict(roi) if isinstance(roi, Mapping) else dict.fromkeys(roi if isinstance(roi, Sequence) else (), 1.0)
    numbers = [weight for weight in weights.values() if type(weight) in (int, float) and 0 <= weight < float("inf")]
    names = [name for name in weights if isinstance(name, str) and name.endswith("_box")]
    if len(numbers) != len(weights) or len(names) != len(weights) or not any(numbers):
        raise ValueError(f"roi={roi}: NAME_box, or {{NAME_box: weight, ...}} with weights of 0 or more, one above 0")
    ordered = sorted(weights, key=lambda name: (-weights[name], name)) if isinstance(roi, Mapping) else weights
    return {name: float(weights[name]) for name in ordered}
