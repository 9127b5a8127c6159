"""Errors of the end points of the head's two diameters, and of the lengths measured between them.

Points (B, 4, 2) are x, y in the order OFD_1, OFD_2, BPD_1, BPD_2, NaN where missing.
"""

import torch
from torch import Tensor

from ushydra_lab.geometry.ellipse import perimeter

LANDMARKS = ("ofd_1", "ofd_2", "bpd_1", "bpd_2")
MEASURES = ("ofd", "bpd", "hc")


def matched(pred: Tensor, true: Tensor) -> Tensor:
    """Predicted points (B, 4, 2), the two ends of a diameter exchanged where that brings them nearer to the true ends.

    Of each diameter the assignment with the smaller summed distance, since which end comes first says nothing about
    the head. Both ends are NaN where one of them, predicted or true, is missing: it cannot be known which one it is.
    """
    ends, goal = pred.unflatten(1, (2, 2)), true.unflatten(1, (2, 2))
    exchanged = ends.flip(2)
    kept, other = ((points - goal).norm(dim=-1).sum(-1)[..., None, None] for points in (ends, exchanged))
    return torch.where(other < kept, exchanged, ends).where(~kept.isnan(), torch.nan).flatten(1, 2)


def biometry(
    pred: Tensor,
    true: Tensor,
    pixel_mm: Tensor | None = None,
    match_ends: bool = True,
) -> dict[str, Tensor]:
    """Errors of each image, all (B,) in the dtype of `true`; no gradient. M is `ofd`, `bpd` or `hc`, U a unit.

    - `distance_ofd_1_U` ... `distance_bpd_2_U` of each true end to its predicted one, `distance_U` their mean;
    - `M_U`, `M_true_U`: the two lengths; HC is the perimeter of the ellipse with both diameters as its axes;
    - `M_error_U`, predicted minus true, `M_abs_error_U`, and `M_percent_error`, `M_abs_percent_error` of the true one;
    - `nme`: mean distance over the true OFD; `ofd_nme`, `bpd_nme`: mean distance of a diameter's two ends over its own
      true length, and `nme_own` the mean of these two. Shares, not per cent.

    The NME of a measure by its own length, ends exchangeable, is the multi-centre benchmark's (C. Di Vece et al., arXiv
    2512.16710: `compute_nme` of its code, which continues that of BiometryNet, N. Avisdris et al., MICCAI 2022, arXiv
    2206.14678); by the OFD it is that of the BPD/OFD report ("Evaluation philosophy").

    NaN where an end is missing that the value needs, where a true length is 0 or, in mm, where the spacing is not
    known. A prediction collapsed to a point has the length 0, not NaN: it counts as the error that it is.

    Args:
        pred, true: points (B, 4, 2) in px, of the same size along x and y.
        pixel_mm: mm per px (B,). U is `px` and `mm`; without it `px` alone: no key then has `_mm`.
        match_ends: see `matched`; False compares the ends in the order in which they come, as printed.

    Raises:
        ValueError: shapes that do not fit.
    """
    _check(pred, true, pixel_mm)
    pred, true = pred.detach().to(true.dtype), true.detach()
    distance = ((matched(pred, true) if match_ends else pred) - true).norm(dim=-1)
    lengths, truth = _lengths(pred), _lengths(true)
    truth = truth.where(truth > 0, torch.nan)
    nme = distance.unflatten(1, (2, 2)).mean(-1) / truth[:, :2]
    found = {"nme": distance.mean(1) / truth[:, 0], "nme_own": nme.mean(1), "ofd_nme": nme[:, 0], "bpd_nme": nme[:, 1]}
    percent = 100 * (lengths - truth) / truth
    found |= _columns("{}_percent_error", percent) | _columns("{}_abs_percent_error", percent.abs())
    found |= _in_unit("px", distance, lengths, truth)
    if pixel_mm is not None:
        mm = _known(pixel_mm, true)
        found |= _in_unit("mm", mm * distance, mm * lengths, mm * truth)
    return found


def measured(points: Tensor, pixel_mm: Tensor | None = None) -> dict[str, Tensor]:
    """`ofd_px`, `bpd_px`, `hc_px` (B,) of points (B, 4, 2) in px: what `biometry` says of the prediction.

    With pixel_mm, mm per px (B,), also `ofd_mm` and so on, NaN where the spacing is not known.
    """
    lengths = _lengths(points.detach())
    found = _columns("{}_px", lengths)
    return found if pixel_mm is None else found | _columns("{}_mm", _known(pixel_mm, points) * lengths)


def _known(pixel_mm: Tensor, points: Tensor) -> Tensor:
    """(B, 1) in the dtype of the points, NaN where the spacing is not above 0."""
    mm = pixel_mm.to(points)[:, None]
    return mm.where(mm > 0, torch.nan)


def _check(pred: Tensor, true: Tensor, pixel_mm: Tensor | None) -> None:
    if true.ndim != 3 or true.shape[1:] != (4, 2) or pred.shape != true.shape:
        raise ValueError(f"expected two sets of points (B, 4, 2), got {tuple(pred.shape)} and {tuple(true.shape)}")
    if pixel_mm is not None and pixel_mm.shape != true.shape[:1]:
        raise ValueError(f"pixel_mm must be ({len(true)},), one number an image, got {tuple(pixel_mm.shape)}")


def _lengths(points: Tensor) -> Tensor:
    """OFD, BPD and HC, (B, 3)."""
    diameters = (points[:, 0::2] - points[:, 1::2]).norm(dim=-1)
    semi = diameters.cpu().double().sort(dim=1).values / 2
    around = torch.from_numpy(perimeter(semi[:, 1].numpy(), semi[:, 0].numpy()))
    around = around.where(semi[:, 1] != 0, 0)  # the limit; NaN, which sorts last, stays NaN
    return torch.cat([diameters, around.to(points)[:, None]], dim=1)


def _in_unit(unit: str, distance: Tensor, lengths: Tensor, truth: Tensor) -> dict[str, Tensor]:
    found = {f"distance_{name}_{unit}": of for name, of in zip(LANDMARKS, distance.unbind(1), strict=True)}
    found[f"distance_{unit}"] = distance.mean(1)
    error = lengths - truth
    values = {"{}": lengths, "{}_true": truth, "{}_error": error, "{}_abs_error": error.abs()}
    return found | {
        name: of for form, table in values.items() for name, of in _columns(f"{form}_{unit}", table).items()
    }


def _columns(form: str, table: Tensor) -> dict[str, Tensor]:
    return {form.format(measure): column for measure, column in zip(MEASURES, table.unbind(1), strict=True)}
