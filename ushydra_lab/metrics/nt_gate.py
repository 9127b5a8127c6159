"""Whether a box shows a nuchal translucency that can be measured: the quality gate of the caliper (caliper.py).

An NT is a long dark band between two bright, smooth, continuous lines. The rule is a logistic regression on six
features of the box's content, each with the sign that this description gives it.
"""

import torch
from torch import Tensor

WINDOW = 9
"""Columns of the running median that a line is compared with."""
SMOOTH = -1.6
"""Least value of `length`."""
LEAST_BEYOND = 6
"""Rows beyond a border in which its line's brightest value is sought, where the band is thinner than that."""
WEIGHTS = {
    "streaks": -2.259,
    "slenderness": -0.709,
    "contrast": 2.287,
    "length": 3.657,
    "bright_line": -1.852,
    "faint_line": -0.751,
}
INTERCEPT = -10.444
"""Fitted by `python -m tests.metrics.fit_nt_gate FOLDER` on half of the 51 standard planes of the Dataset for Fetus
Framework (Cui & Dong 2022) and half of the phantoms of difficulty easy. Of the other halves, at native size, 23 of 25
real and 60 of 60 phantom NT boxes pass; of boxes without one 5 of 189 of other structures, all of the cisterna magna
(fluid between two lines, too), 0 of 75 elsewhere in the real images, and 2 of 222 of phantoms.
"""


def shows_nt(profiles: Tensor, path: Tensor, up: Tensor, down: Tensor, size: Tensor) -> Tensor:
    """Where the boxes show a measurable NT, (B,) bool; arguments as of `features`."""
    found = features(profiles, path, up, down, size)
    score = sum(weight * found[name] for name, weight in WEIGHTS.items())
    return torch.as_tensor(score + INTERCEPT > 0)


def features(profiles: Tensor, path: Tensor, up: Tensor, down: Tensor, size: Tensor) -> dict[str, Tensor]:
    """What the rule looks at, each (B,).

    profiles: (B, ROWS, COLUMNS), the box resampled; path: row of the lumen in every column; up, down: rows of the
    borders; size: height and width of the box in px, (B, 2).

    streaks: change along the band over change across it, per px. Speckle and tissue change alike in both.
    slenderness: thickness over length. A cistern or a nucleus is short for its thickness.
    contrast: how much brighter than the lumen the brighter of its two lines is.
    length: how fine the texture is for the length of the box, that is how many resolution cells long the band is; at
    least SMOOTH, so that an image without speckle is not held against the band.
    bright_line, faint_line: how far the border at the brighter or fainter line strays from its running median, over
    the thickness.
    """
    height, width = size.unbind(1)
    row, column = height / profiles.shape[1], width / profiles.shape[2]
    thickness = (down - up).median(dim=1).values
    above, below = _lines(profiles, path, up, down, thickness)
    first = profiles.diff(dim=2)
    along, across = first.abs().mean((1, 2)), profiles.diff(dim=1).abs().mean((1, 2))
    strays = torch.stack([_strays(up), _strays(down)]) / thickness.clamp(min=2)
    upper = above.mean(dim=1) > below.mean(dim=1)
    return {
        "streaks": torch.log((along / column + 1e-4) / (across / row + 1e-4)),
        "slenderness": _log(thickness * row / width),
        "contrast": _log(torch.maximum(above, below).median(dim=1).values),
        "length": _log(first.diff(dim=2).abs().mean((1, 2)) / along.clamp(min=1e-4)).clamp(min=SMOOTH),
        "bright_line": _log(torch.where(upper, strays[0], strays[1])),
        "faint_line": _log(torch.where(upper, strays[1], strays[0])),
    }


def _log(value: Tensor) -> Tensor:
    return value.clamp(min=0.01).log()


def _lines(profiles: Tensor, path: Tensor, up: Tensor, down: Tensor, thickness: Tensor) -> tuple[Tensor, Tensor]:
    """By how much the line above and the one below are brighter than the lumen, each (B, COLUMNS); 0 without one."""
    lumen = profiles.gather(1, path[:, None])[:, 0]
    rows = torch.arange(profiles.shape[1], device=profiles.device)[:, None]
    reach = thickness.clamp(min=LEAST_BEYOND)[:, None, None]
    above = (rows <= up[:, None]) & (rows >= up[:, None] - reach)
    below = (rows >= down[:, None]) & (rows <= down[:, None] + reach)
    lines = (profiles.masked_fill(~side, -1).amax(dim=1) for side in (above, below))
    over_up, over_down = (torch.where(line < 0, 0, line - lumen) for line in lines)
    return over_up, over_down


def _strays(border: Tensor) -> Tensor:
    """Mean distance (rows) of a border from its running median."""
    smooth = border.unfold(1, WINDOW, 1).median(dim=2).values
    return (border[:, WINDOW // 2 : -(WINDOW // 2)] - smooth).abs().mean(dim=1)
