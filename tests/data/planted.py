"""Good manifests, and single faults to be planted in them."""

import random
from collections.abc import Callable

REQUIRED = {"image": "0.png", "site": "A", "subject": "1"}
GROUPS: tuple[dict[str, str], ...] = (
    {"part": "train"},
    {"pixel_mm": "0.1"},
    {"plane": "brain"},
    {"quality": "low"},
    {"mask": "m.png"},
    {"hc_mm": "90"},
    {"nt_x1": "1", "nt_y1": "2", "nt_x2": "30", "nt_y2": "20"},
    {"it_x1": "4", "it_y1": "5", "it_x2": "9", "it_y2": "8"},
    {"crop_x1": "", "crop_y1": "", "crop_x2": "", "crop_y2": ""},
    {"ofd_1_x": "2", "ofd_1_y": "15", "ofd_2_x": "38", "ofd_2_y": "15"}
    | {"bpd_1_x": "20", "bpd_1_y": "3", "bpd_2_x": "20", "bpd_2_y": "27"},
)
IMAGES = ("0.png", "1.png", "16.png", "rgb.png")
NUMBERS = tuple(column for group in GROUPS for column, cell in group.items() if cell.isdecimal() or cell == "0.1")
BOXES = ("nt", "it")
Row = dict[str, str]


def good(rng: random.Random, least: int = 0) -> list[Row]:
    cells = REQUIRED | {k: v for group in GROUPS if rng.random() < 0.6 for k, v in group.items()}
    images = rng.sample(IMAGES, rng.randint(least, 4))
    return [{**cells, "image": image, "subject": f"P{i}", "site": rng.choice("AB")} for i, image in enumerate(images)]


def text(rows: list[Row], separator: str) -> str:
    lines = [list(rows[0]) if rows else list(REQUIRED), *(list(row.values()) for row in rows)]
    return "\n".join(separator.join(f'"{cell}"' if separator in cell else cell for cell in line) for line in lines)


def _cell(column: str, *cells: str) -> Callable[[random.Random, list[Row]], None]:
    def plant(rng: random.Random, rows: list[Row]) -> None:
        rng.choice(rows)[column] = rng.choice(cells)

    return plant


def _columns(rows: list[Row], wanted: dict[str, str]) -> None:
    for row in rows:
        for column, cell in wanted.items():
            row.setdefault(column, cell)


def _number(rng: random.Random, rows: list[Row]) -> None:
    _columns(rows, rng.choice([group for group in GROUPS if {*group} & {*NUMBERS}]))
    column = rng.choice([column for column in rows[0] if column in NUMBERS])
    rng.choice(rows)[column] = rng.choice(("x", "1,5,2", "inf", "1e999", "0x1F", "12 px", "--", "1.2.3", "٣x"))


def _box(rng: random.Random, rows: list[Row]) -> None:
    """Fractions, centre and size, inverted, incomplete, outside, empty."""
    name, row = rng.choice(BOXES), rng.choice(rows)
    _columns(rows, {f"{name}_{edge}": "" for edge in ("x1", "y1", "x2", "y2")})
    numbers = rng.choice(
        (
            *(("0.1", "0.2", "0.5", "0.6"), ("0.5", "0.5", "0.2", "0.3"), ("9", "2", "3", "20"), ("1", "2", "", "20")),
            *(("1", "2", "80", "20"), ("40", "2", "41", "20"), ("5", "5", "5", "9"), ("0", "0", "1", "1")),
        )
    )
    row.update(dict(zip((f"{name}_x1", f"{name}_y1", f"{name}_x2", f"{name}_y2"), numbers, strict=True)))


def _crop(rng: random.Random, rows: list[Row]) -> None:
    _columns(rows, dict.fromkeys(("crop_x1", "crop_y1", "crop_x2", "crop_y2"), ""))
    numbers = rng.choice(
        (("0.1", "0.1", "0.9", "0.9"), ("40", "0", "41", "9"), ("9", "9", "3", "12"), ("1", "", "9", "9"))
    )
    rng.choice(rows).update(dict(zip(("crop_x1", "crop_y1", "crop_x2", "crop_y2"), numbers, strict=True)))


def _points(rng: random.Random, rows: list[Row]) -> None:
    _columns(rows, GROUPS[-1])
    row = rng.choice(rows)
    if rng.random() < 0.5:
        row.update({column: str(int(cell) / 40) for column, cell in GROUPS[-1].items()})
    else:
        row[rng.choice(list(GROUPS[-1]))] = rng.choice(("", "99", "-7"))


def _unit(rng: random.Random, rows: list[Row]) -> None:
    column, cells = rng.choice(
        (("pixel_mm", ("10", "100", "0.0001")), ("hc_mm", ("9", "0.09", "9000")), ("nt_mm", ("150", "0.001")))
    )
    _columns(rows, {column: ""})
    rng.choice(rows)[column] = rng.choice(cells)


def _person(rng: random.Random, rows: list[Row]) -> None:
    one, other = rng.sample(rows, 2)
    one["site"] = other["site"]
    pairs = (
        ("12", "12.0"),
        ("P1", "p1"),
        ("001", "1"),
        ("P1", "P1\u200b"),
        ("Zoe\u0308", "Zo\u00eb"),
        ("P-1", "P1"),
        ("\u04101", "A1"),
    )
    one["subject"], other["subject"] = rng.choice(pairs)


def _hospital(rng: random.Random, rows: list[Row]) -> None:
    one, other = rng.sample(rows, 2)
    pairs = (
        ("1", "01"),
        ("h1", "h01"),
        ("H_1", "H_01"),
        ("1", "1.0"),
        ("Mitte", "mitte"),
        ("st_anna", "st-anna"),
        ("Z\u00fcrich", "Zu\u0308rich"),
    )
    one["site"], other["site"] = rng.choice(pairs)


def _copy(rng: random.Random, rows: list[Row]) -> None:
    rows[0]["image"], rows[1]["image"] = "0.png", rng.choice(("copy.png", "0.png"))


def _nobody(rng: random.Random, rows: list[Row]) -> None:
    for row in rows[:2]:
        row["site"], row["subject"] = "A", "ANONYMOUS"


def _word(rng: random.Random, rows: list[Row]) -> None:
    known = (("part", ("Train", "testing", "0")), ("plane", ("Brain", "head")), ("quality", ("good", "1")))
    column, cells = rng.choice(known)
    _columns(rows, {column: ""})
    rng.choice(rows)[column] = rng.choice(cells)


FAULTS: dict[str, Callable[[random.Random, list[Row]], None]] = {
    "file": _cell(
        "image", "half.png", "empty.png", "text.png", "folder", "loop.png", "out.png", "", " ", "gone.png", "../x.png"
    ),
    "site": _cell("site", "", " ", "A B", "a/b", "..", "=A", "A\u200b"),
    "subject": _cell("subject", "", " ", "P1 ", "\tP1"),
    "number": _number,
    "box": _box,
    "crop": _crop,
    "points": _points,
    "unit": _unit,
    "person": _person,
    "hospital": _hospital,
    "copy": _copy,
    "nobody": _nobody,
    "word": _word,
}
SAID = {"person": "site_names", "hospital": "site_names", "nobody": "site_names"}
"""What is no problem but a remark, and of which audit."""
