from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ushydra_lab.audit import report
from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.data.source import Source


def texts(table: pd.DataFrame, root: Path, kind: str = "evidence") -> list[str]:
    code = MaskCode.of({"head": 255}) if "mask" in table else None
    findings = report.audit(Source(table, "m", root, code)).findings
    return [flag.text for finding in findings if finding.kind == kind for flag in finding.flags]


@pytest.fixture
def table(tmp_path: Path) -> pd.DataFrame:
    """Two sites of three subjects; every image differs."""
    rows = []
    for site in "ab":
        for n in range(3):
            pixels = np.random.default_rng([n, ord(site)]).integers(0, 256, (40, 50), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / f"{site}{n}.png")
            rows.append({"image": f"{site}{n}.png", "site": site, "subject": str(n)})
    return pd.DataFrame(rows)


def test_good_data_raise_no_flag(table: pd.DataFrame, tmp_path: Path) -> None:
    assert texts(table, tmp_path) == []


def test_what_gives_nothing_to_learn_from_is_named(table: pd.DataFrame, tmp_path: Path) -> None:
    Image.fromarray(np.zeros((40, 50), np.uint8)).save(tmp_path / "a1.png")
    assert texts(table, tmp_path) == ["row 1 (a1.png): image shows nothing"]


def test_one_mask_for_several_images_and_one_content_for_several_rows_are_named(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    Image.fromarray(np.full((40, 50), 255, np.uint8)).save(tmp_path / "mask.png")
    (tmp_path / "b2.png").write_bytes((tmp_path / "b1.png").read_bytes())
    shared = table.assign(mask=["mask.png"] * 4 + [""] * 2, subject=["0", "1", "2", "0", "1", "1"])
    assert texts(shared, tmp_path) == []
    assert texts(shared, tmp_path, "shared_files") == [
        "one file is the mask of 4 rows, from row 0 (a0.png)",
        "one file is the content of 2 rows, from row 4 (b1.png)",
    ]


def test_too_few_subjects_for_a_split_are_named(table: pd.DataFrame, tmp_path: Path) -> None:
    assert texts(table.iloc[:4], tmp_path) == [
        "site b: a single subject, so the site can only be held out, not trained on"
    ]
    assert "a single subject in all: there is nothing to validate on" in texts(table.iloc[:1], tmp_path)


def test_white_backgrounds_are_named_by_site(table: pd.DataFrame, tmp_path: Path) -> None:
    inside = np.zeros((40, 50), bool)
    inside[10:30, 10:35] = True
    for n, site in enumerate(table["site"]):
        Image.fromarray(np.where(inside, 255, 0).astype(np.uint8)).save(tmp_path / f"mask{n}.png")
        if site == "b":
            Image.fromarray(np.where(inside, 0, 255).astype(np.uint8)).save(tmp_path / f"mask{n}.png")
    (text,) = texts(table.assign(mask=[f"mask{n}.png" for n in range(6)]), tmp_path, "mask_background")
    assert text.startswith("site b: head covers all four corners of 3 of 3 masks")
    one = table.assign(mask=["mask0.png", "mask5.png", "mask1.png", "mask2.png", "mask0.png", "mask1.png"])
    assert texts(one, tmp_path, "mask_background") == []
