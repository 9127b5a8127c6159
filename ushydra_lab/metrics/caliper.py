"""Automatic measurement of the nuchal translucency (NT): what a sonographer's calipers would read.

Definition (L. J. Salomon et al., ISUOG practice guidelines, Ultrasound Obstet. Gynecol. 41, 2013; protocol of the
Fetal Medicine Foundation): the maximum thickness of the dark space between the two bright lines, inner border to
inner border, at right angles to the strip. The calipers stand on the lines, their crossbars merging with the white,
not in the fluid.
"""

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, grid_sample, pad

from ushydra_lab.metrics.nt_gate import shows_nt

ROWS, COLUMNS = 128, 96
SMOOTH_COLUMNS = 9
MIN_CONTRAST, MIN_SHARE = 0.06, 0.4
HALF = 0.5
EDGE = 0.85
"""Border's grey between lumen (0) and line (1): 6 dB of the 40 that the line stands above black. 0.05 are 0.06 mm."""
WIDEST = 0.9
MIN_COLUMNS = 12


def nt_thickness(image: Tensor, box: Tensor) -> Tensor:
    """Thickness of the NT in px, (B,); NaN where the box shows no measurable NT.

    image: (B, 1, H, W) in [0, 1]; box: (B, 4) edges x1 y1 x2 y2 in px. Deterministic, no gradient.

    1. Each box is resampled (bicubic) to 96 vertical profiles of 128 samples, smoothed a little along the
       strip.
    2. The lumen is traced from side to side (dynamic programming) along the samples that lie deepest below
       the weaker of the brightest values above and below them.
    3. In every profile a line is the first peak, going out from the lumen, after the grey has risen half-way to
       that side's brightest value. Its border is where the grey first rises to EDGE of the way from the lumen to
       that peak, interpolated linearly. Profiles of little contrast, absolute or compared with the box's best, are
       left out.
    4. The vertical gap times the cosine of the strip's slope (a parabola fitted to its middle) is smoothed
       by a running median; its 0.9 quantile over the profiles is the widest place, robustly.
    5. Where the traced band does not look like an NT (nt_gate.py), or too few profiles are left, there is no result.

    Why not half-way in grey: the pulse blurs a line, and at its true border leaves half its amplitude, 6 dB less.
    Grey shows the logarithm, so half-way between lumen and line is some 20 dB down, in the blur that reaches into the
    fluid. On the phantom, at native size, 872 x 1280 and 176 x 256 alike, half-way reads 0.2 to 0.4 mm too little and
    the steepest grey as much or more; EDGE is within 0.06 mm at each hospital (SD 0.02 to 0.05). Displays of fewer dB,
    and lines thinner than the pulse, keep a bias of that order: read absolute values with it in mind.

    Raises ValueError for a wrong shape.
    """
    if image.ndim != 4 or image.shape[1] != 1 or box.shape != (len(image), 4):
        raise ValueError(f"need (B, 1, H, W) and (B, 4), got {tuple(image.shape)} and {tuple(box.shape)}")
    with torch.no_grad():
        profiles, path, up, down, size, found = traced(image, box)
        row_px, column_px = size[:, 0] / ROWS, size[:, 1] / COLUMNS
        slope = _slope((down + up) / 2 * row_px[:, None] / column_px[:, None], found)
        thickness = (down - up) * row_px[:, None] / torch.sqrt(1 + slope**2)
        shown = shows_nt(profiles, path, up, down, size)
        return _widest(thickness, found).masked_fill(~shown, torch.nan).to(image.dtype)


def traced(image: Tensor, box: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """What `nt_gate.features` takes, and the profiles (B, COLUMNS) that have both borders."""
    box = box.float()
    profiles = _profiles(image.float(), box)
    path = _trace(_valley(profiles))
    up, down, found = _borders(profiles, path)
    size = torch.stack([box[:, 3] - box[:, 1], box[:, 2] - box[:, 0]], dim=1)
    return profiles, path, up, down, size, found


def _profiles(image: Tensor, box: Tensor) -> Tensor:
    """The boxes, resampled: (B, ROWS, COLUMNS)."""
    height, width = image.shape[-2:]
    x, y = ((torch.arange(n, dtype=image.dtype, device=image.device) + 0.5) / n for n in (COLUMNS, ROWS))
    at_x = box[:, 0, None] + x * (box[:, 2] - box[:, 0])[:, None]
    at_y = box[:, 1, None] + y * (box[:, 3] - box[:, 1])[:, None]
    shape = (len(box), ROWS, COLUMNS)
    across, down = (2 * at_x / width - 1)[:, None, :], (2 * at_y / height - 1)[:, :, None]
    grid = torch.stack([across.expand(shape), down.expand(shape)], dim=-1)
    patch = grid_sample(image, grid, mode="bicubic", padding_mode="border", align_corners=False)
    return avg_pool2d(pad(patch, (2, 2, 1, 1), mode="replicate"), (3, 5), stride=1)[:, 0]


def _valley(profiles: Tensor) -> Tensor:
    """How far a sample lies below the brightest value of the weaker of its two sides, (B, ROWS, COLUMNS)."""
    above = profiles.cummax(dim=1).values
    below = profiles.flip(1).cummax(dim=1).values.flip(1)
    return torch.minimum(above, below) - profiles


def _trace(score: Tensor) -> Tensor:
    """Row of the path with the highest total score, at most 2 rows up or down per column: (B, COLUMNS)."""
    total, moves = score[:, :, 0], []
    for column in range(1, score.shape[2]):
        steps = pad(total, (2, 2), value=-torch.inf).unfold(1, 5, 1)
        best, move = steps.max(dim=2)
        moves.append(move - 2)
        total = best + score[:, :, column]
    row = total.argmax(dim=1, keepdim=True)
    path = [row]
    for move in reversed(moves):
        row = row + move.gather(1, row)
        path.append(row)
    return torch.cat(path[::-1], dim=1)


def _borders(profiles: Tensor, path: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Rows of the upper and the lower border, and where there are both, each (B, COLUMNS)."""
    rows = torch.arange(ROWS, device=profiles.device)[:, None]
    floor = profiles.gather(1, path[:, None])[:, 0]
    down, peak_down = _border(profiles, rows >= path[:, None], floor)
    up, peak_up = _border(profiles.flip(1), rows >= (ROWS - 1 - path)[:, None], floor)
    up = ROWS - 1 - up
    contrast = torch.minimum(peak_down, peak_up) - floor
    best = contrast.quantile(WIDEST, dim=1, keepdim=True)
    found = (contrast > MIN_CONTRAST) & (contrast > MIN_SHARE * best)
    return up, down, found


def _border(profiles: Tensor, side: Tensor, floor: Tensor) -> tuple[Tensor, Tensor]:
    """Fractional row of the border of the first line on `side` of the profiles, and the side's brightest value."""
    brightest = profiles.masked_fill(~side, -torch.inf).amax(dim=1)
    half = _first(side & (profiles >= (floor + HALF * (brightest - floor))[:, None]))
    rows = torch.arange(ROWS, device=profiles.device)[:, None]
    falls = pad(profiles[:, 1:] < profiles[:, :-1], (0, 0, 0, 1), value=True)
    line = profiles.gather(1, _first(falls & (rows >= half[:, None]))[:, None])[:, 0]
    level = floor + EDGE * (line - floor)
    after = _first(side & (profiles >= level[:, None])).clamp(min=1)
    high, low = (profiles.gather(1, (after - k)[:, None])[:, 0] for k in (0, 1))
    step = ((high - level) / (high - low).clamp(min=1e-9)).clamp(0, 1)
    return after - step, brightest


def _first(where: Tensor) -> Tensor:
    """First row that is True in every column of (B, ROWS, COLUMNS)."""
    return where.to(torch.uint8).argmax(dim=1)


def _slope(middle: Tensor, found: Tensor) -> Tensor:
    """Slope (px per px) along the strip of a parabola fitted to its middle, (B, COLUMNS)."""
    x = torch.linspace(-1, 1, middle.shape[1], dtype=middle.dtype, device=middle.device)
    basis = torch.stack([torch.ones_like(x), x, x**2], dim=-1)
    weighted = found.to(middle.dtype)[:, :, None] * basis
    normal = weighted.mT @ basis + 1e-6 * torch.eye(3, dtype=middle.dtype, device=middle.device)
    coefficients = torch.linalg.solve(normal, weighted.mT @ middle[:, :, None])
    slope: Tensor = (coefficients[:, 1] + 2 * coefficients[:, 2] * x) * 2 / middle.shape[1]
    return slope


def _widest(thickness: Tensor, found: Tensor) -> Tensor:
    half = SMOOTH_COLUMNS // 2
    padded = pad(thickness.masked_fill(~found, torch.nan), (half, half), value=torch.nan)
    smooth = padded.unfold(1, SMOOTH_COLUMNS, 1).nanquantile(0.5, dim=2)
    widest = smooth.masked_fill(~found, torch.nan).nanquantile(WIDEST, dim=1)
    return widest.masked_fill(found.sum(dim=1) < MIN_COLUMNS, torch.nan)
