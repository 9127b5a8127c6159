"""Results tables without a contradiction: every number is computed from confusion counts or masks, then rounded."""

import html
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from scipy.ndimage import binary_erosion, distance_transform_edt
from scipy.spatial.distance import directed_hausdorff

Rng = np.random.Generator
Values = dict[str, float | tuple[float, float]]
"""Title -> a mean, or a mean and a standard deviation."""


@dataclass(frozen=True)
class Style:
    """How a table is printed. digits: of a share, as a fraction."""

    percent: bool
    digits: int
    brackets: bool

    def cell(self, title: str, value: float | tuple[float, float]) -> str:
        mean, *sd = value if isinstance(value, tuple) else (value,)
        length = title.startswith(("HD", "ASSD"))
        scale, digits = (100, self.digits - 2) if self.percent and not length else (1, self.digits)
        texts = [f"{scale * number:.{digits}f}" for number in (mean, *sd)]
        if len(texts) == 1:
            return texts[0]
        return f"{texts[0]} ({texts[1]})" if self.brackets and digits else f"{texts[0]} ± {texts[1]}"


def table(seed: int) -> tuple[str, str]:
    """(suffix, text) of the file of a table."""
    rng = np.random.default_rng([20251, seed])
    make = KINDS[int(rng.integers(len(KINDS)))]
    percent = bool(rng.integers(2))
    style = Style(percent, int(rng.integers(3, 6)) if percent else int(rng.integers(2, 6)), bool(rng.integers(2)))
    rows = make(rng, style)
    writers = (csv, markdown, latex, page)
    suffix, write = ((".csv", ".md", ".tex", ".html")[w := int(rng.integers(4))], writers[w])
    return suffix, write(rows)


def results(rng: Rng, style: Style, measure: Callable[[list], Values], data: Callable[[str], list], n: str) -> list:
    """A header, and rows of methods and data sets and of these pooled. n: title of the number of images."""
    methods = [f"net{number}" for number in range(rng.integers(2, 6))]
    sets = ["Anna", "Berta", "Clara"][: rng.integers(1, 4)]
    whole = str(rng.choice(["Mixture", "Pooled", "All"])) if len(sets) > 1 and rng.integers(3) else ""
    rows: list[list[str]] = []
    for method in methods:
        parts = [data(name) for name in sets]
        for name, images in [*zip(sets, parts, strict=True), *([(whole, list(chain(*parts)))] if whole else [])]:
            values = measure(images)
            if not rows:
                rows.append(["Method", "Dataset", *values, *([n] if n else [])])
            count = len(images)
            cells = [style.cell(title, value) for title, value in values.items()]
            rows.append([method, name, *cells, *([f"{count:,}"] if n else [])])
    return rows


def binary(rng: Rng, style: Style) -> list[list[str]]:
    """Two classes: every rate of the same confusion counts."""
    sizes = {name: int(2 ** rng.uniform(3, 11)) for name in ("Anna", "Berta", "Clara")}
    truth = {name: rng.uniform(size=size) < rng.uniform(0.05, 0.95) for name, size in sizes.items()}

    def data(name: str) -> list[tuple[bool, bool]]:
        skill = rng.uniform(0.5, 1)
        true = truth[name]
        right = rng.uniform(size=len(true)) < skill
        return list(zip(true, np.where(right, true, ~true), strict=True))

    titles = ["Sensitivity", "Specificity", "Precision", "NPV", "F1-score", "Accuracy", "Prevalence"]
    chosen = [title for title in titles if rng.integers(4)] or titles

    def measure(images: list[tuple[bool, bool]]) -> Values:
        true, found = np.array(images).T
        tp, fp, fn, tn = (
            int((a & b).sum()) for a, b in ((true, found), (~true, found), (true, ~found), (~true, ~found))
        )
        rates = [tp / max(1, tp + fn), tn / max(1, tn + fp), tp / max(1, tp + fp), tn / max(1, tn + fn)]
        rates += [2 * tp / max(1, 2 * tp + fp + fn), (tp + tn) / len(true), (tp + fn) / len(true)]
        return {title: rate for title, rate in zip(titles, rates, strict=True) if title in chosen}

    return results(rng, style, measure, data, str(rng.choice(["", "n", "Images"])))


def classes(rng: Rng, style: Style) -> list[list[str]]:
    """Several classes, macro or weighted; over all images or mean ± SD over folds."""
    count, weighted, folds = int(rng.integers(2, 6)), bool(rng.integers(2)), int(rng.choice([1, 1, 5]))
    shares = rng.dirichlet(np.full(count, rng.choice([1.0, 10.0, 1000.0])))
    balanced = bool(rng.integers(2))
    sizes = {name: count * int(2 ** rng.uniform(3, 9)) for name in ("Anna", "Berta", "Clara")}
    truth = {
        name: np.arange(size) % count if balanced else rng.choice(count, size, p=shares) for name, size in sizes.items()
    }

    def data(name: str) -> list[tuple[int, int]]:
        skill = rng.uniform(0.4, 1)
        true = truth[name]
        found = np.where(rng.uniform(size=len(true)) < skill, true, rng.integers(0, count, len(true)))
        return list(zip(true.tolist(), found.tolist(), strict=True))

    def scores(pairs: np.ndarray) -> tuple[float, ...]:
        true, found = pairs.T
        present = np.unique(true) if weighted else np.arange(count)
        tp = np.array([((true == c) & (found == c)).sum() for c in present])
        real, seen = (np.array([(x == c).sum() for c in present]) for x in (true, found))
        each = tp / np.maximum(1, seen), tp / np.maximum(1, real), 2 * tp / np.maximum(1, seen + real)
        weights = real / real.sum() if weighted else np.full(len(present), 1 / len(present))
        return (*(float(weights @ score) for score in each), float((true == found).mean()))

    def measure(images: list[tuple[int, int]]) -> Values:
        parts = np.array_split(np.array(images), folds)
        values = np.array([scores(part) for part in parts])
        means, sds = values.mean(0), values.std(0, ddof=1) if folds > 1 else None
        cells = means if sds is None else list(zip(means, sds, strict=True))
        return dict(zip(("Precision", "Recall", "F1", "Accuracy"), cells, strict=True))

    return results(rng, style, measure, data, "n" if folds == 1 and rng.integers(2) else "")


def masks(rng: Rng, style: Style) -> list[list[str]]:
    """Blobs and shifted, grown copies of them: overlap and distances, means ± SD over images, with or without SD."""
    spread, pooled = bool(rng.integers(2)), not rng.integers(3)
    images = {name: int(rng.integers(3, 12)) for name in ("Anna", "Berta", "Clara")}
    y, x = np.mgrid[:16, :16]

    def blob(centre: np.ndarray, radii: np.ndarray) -> np.ndarray:
        return ((y - centre[0]) / radii[0]) ** 2 + ((x - centre[1]) / radii[1]) ** 2 <= 1

    def data(name: str) -> list[tuple[np.ndarray, np.ndarray]]:
        noise, pairs = rng.uniform(0.1, 2), []
        for _ in range(images[name]):
            centre, radii = rng.uniform(6, 10, 2), rng.uniform(2, 5, 2)
            pairs.append(
                (blob(centre, radii), blob(centre + noise * rng.normal(size=2), radii + rng.uniform(0, noise)))
            )
        return pairs

    def measure(pairs: list[tuple[np.ndarray, np.ndarray]]) -> Values:
        tp = np.array([(a & b).sum() for a, b in pairs], float)
        a, b = (np.array([pair[k].sum() for pair in pairs], float) for k in (0, 1))
        if pooled:
            tp, a, b = tp.sum(), a.sum(), b.sum()
            return {"Dice (micro)": float(2 * tp / (a + b)), "IoU (micro)": float(tp / (a + b - tp))}
        distances = np.array([surfaces(*pair) for pair in pairs])
        columns = {"Dice": 2 * tp / (a + b), "IoU": tp / (a + b - tp)}
        columns |= {f"{name} (px)": distances[:, k] for k, name in enumerate(("HD", "HD95", "ASSD"))}
        return {k: (float(v.mean()), float(v.std(ddof=1))) if spread else float(v.mean()) for k, v in columns.items()}

    return results(rng, style, measure, data, str(rng.choice(["", "n"])))


def surfaces(one: np.ndarray, other: np.ndarray) -> tuple[float, float, float]:
    """Hausdorff distance, its 95th percentile and the average, both ways, of two masks' borders."""
    borders = [mask & ~binary_erosion(mask) for mask in (one, other)]
    if not borders[0].any() or not borders[1].any():
        return 16.0, 16.0, 16.0
    both = [distance_transform_edt(~borders[1])[borders[0]], distance_transform_edt(~borders[0])[borders[1]]]
    points = [np.argwhere(border) for border in borders]
    hausdorff = max(directed_hausdorff(*points)[0], directed_hausdorff(*points[::-1])[0])
    return hausdorff, max(np.percentile(d, 95) for d in both), float(np.concatenate(both).mean())


def structures(rng: Rng, style: Style) -> list[list[str]]:
    """Dice of several structures beside their mean, over seeds."""
    names = ["LV", "MYO", "LA", "RV"][: rng.integers(2, 5)]
    rows = [["Model", *(f"Dice {name}" for name in names), "Mean Dice"]]
    for number in range(rng.integers(2, 6)):
        dice = rng.beta(8, 1.5, (int(rng.integers(2, 6)), len(names)))
        columns = [*dice.T, dice.mean(1)]
        rows.append([f"net{number}", *(style.cell("Dice", (float(c.mean()), float(c.std(ddof=1)))) for c in columns)])
    return rows


def counts(rng: Rng, style: Style) -> list[list[str]]:
    """How many images each data set has, with totals of rows and columns."""
    numbers = rng.integers(0, 9000, (int(rng.integers(2, 6)), int(rng.integers(2, 5))))
    rows = [["Dataset", *("Brain", "Femur", "Abdomen", "Thorax")[: numbers.shape[1]], "Total"]]
    rows += [[f"site {k}", *(f"{v:,}" for v in (*row, row.sum()))] for k, row in enumerate(numbers)]
    return [*rows, ["Total", *(f"{v:,}" for v in (*numbers.sum(0), numbers.sum()))]]


KINDS = (binary, classes, masks, binary, classes, structures, classes, counts)


def csv(rows: Sequence[Sequence[str]]) -> str:
    return "\n".join(";".join(row) for row in rows) + "\n"


def markdown(rows: Sequence[Sequence[str]]) -> str:
    lines = [rows[0], ["---"] * len(rows[0]), *rows[1:]]
    return "# Results\n\n" + "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def latex(rows: Sequence[Sequence[str]]) -> str:
    head, *body = [" & ".join(row).replace("±", r"$\pm$") + r" \\" for row in rows]
    lines = [r"\begin{tabular}{lllllllll}", r"\toprule", head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
    return "\n".join(lines) + "\n"


def page(rows: Sequence[Sequence[str]]) -> str:
    head, *body = rows
    cells = ["".join(f"<td>{html.escape(cell)}</td>" for cell in row) for row in body]
    heads = "".join(f"<th>{html.escape(cell)}</th>" for cell in head)
    lines = "".join(f"<tr>{row}</tr>" for row in cells)
    return f"<h2>Results</h2><table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>"
