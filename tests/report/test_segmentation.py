"""Pooled scores from a table of counts are scikit-learn's of the pixels behind them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from ushydra_lab.report.render import markdown
from ushydra_lab.report.sections.segmentation import (
    OF_ALL,
    OF_STRUCTURES,
    draw_areas,
    images_table,
    scores,
    scores_table,
    section,
    surfaces_table,
)

STRUCTURES = ["csp", "lv"]
Maps = tuple[np.ndarray, np.ndarray]


def random_maps(seed: int) -> Maps:
    """Truth and prediction of six images; LV is in the truth of three, and CSP is in that of all."""
    rng = np.random.default_rng(seed)
    true = rng.choice(3, (6, 10, 10), p=[0.8, 0.1, 0.1])
    true[3:][true[3:] == 2] = 0
    pred = np.where(rng.random(true.shape) < 0.8, true, rng.choice(3, true.shape))
    pred[4][pred[4] == 2] = 0
    return true, pred


def table_of(maps: Maps, method: str, seed: int, structures: list[str]) -> pd.DataFrame:
    """What a run's per_image.csv has of these maps."""
    columns: dict[str, np.ndarray] = {}
    true, pred = maps
    for label, name in enumerate(["background", *structures]):
        columns[f"hits_{name}"] = ((true == label) & (pred == label)).sum((1, 2))
        columns[f"true_px_{name}"] = (true == label).sum((1, 2))
        if label:
            columns[f"found_px_{name}"] = (pred == label).sum((1, 2))
    return pd.DataFrame(columns).assign(method=method, seed=seed, stage="train", part="test")


@pytest.fixture
def images() -> pd.DataFrame:
    """Two seeds of all structures, one of the CSP alone."""
    true, pred = random_maps(1)
    alone = true * (true == 1), pred * (pred == 1)
    tables = [table_of(random_maps(seed), "all", seed, STRUCTURES) for seed in (1, 2)]
    return pd.concat([*tables, table_of(alone, "csp", 1, ["csp"])], ignore_index=True)


def test_scores_are_scikit_learns_of_all_pixels(images: pd.DataFrame) -> None:
    found = scores(images).set_index(["method", "seed", "structure", "score"])["value"]
    true, pred = (maps.ravel() for maps in random_maps(2))
    for label, name in enumerate(STRUCTURES, 1):
        expected = {
            "dice_micro": f1_score(true == label, pred == label),
            "iou": jaccard_score(true == label, pred == label),
            "precision": precision_score(true == label, pred == label),
            "recall": recall_score(true == label, pred == label),
        }
        for score, value in expected.items():
            assert found["all", 2, name, score] == pytest.approx(value)
    assert found["all", 2, "", "fw_iou"] == pytest.approx(jaccard_score(true, pred, average="weighted"))
    assert found["all", 2, "", "miou"] == pytest.approx(jaccard_score(true, pred, average="macro"))
    both = jaccard_score(true, pred, average="macro", labels=[1, 2])
    assert found["all", 2, "", "miou_foreground"] == pytest.approx(both)


def test_the_three_dice_and_presence_are_those_of_single_images(images: pd.DataFrame) -> None:
    found = scores(images).set_index(["method", "seed", "structure", "score"])["value"].sort_index()["all", 1, "lv"]
    true, pred = random_maps(1)
    dice = [f1_score((t == 2).ravel(), (p == 2).ravel(), zero_division=1) for t, p in zip(true, pred, strict=True)]
    assert found["dice_per_image"] == pytest.approx(np.mean(dice))
    assert found["dice_macro"] == pytest.approx(np.mean(dice[:3]))
    named = (pred == 2).sum((1, 2)) > 5
    assert found["sensitivity"] == pytest.approx(named[:3].mean())
    assert found["specificity"] == pytest.approx(1 - named[3:].mean())


def test_a_table_has_a_row_for_each_structure_a_method_has_and_mean_and_sd_over_seeds(images: pd.DataFrame) -> None:
    found = scores(images)
    table = scores_table(found, OF_STRUCTURES)
    assert list(zip(table["structure"], table["method"], strict=True)) == [
        ("csp", "all"),
        ("csp", "csp"),
        ("lv", "all"),
    ]
    values = found[(found["method"] == "all") & (found["structure"] == "lv") & (found["score"] == "iou")]["value"]
    assert table.loc[2, "IoU (micro)"] == f"{values.mean():.3f} ± {values.std(ddof=1):.3f}"
    assert table.loc[1, "presence specificity"] == "n/a"
    assert list(scores_table(found, OF_ALL)["method"]) == ["all", "csp"]


def test_misses_are_counted_beside_the_images_that_each_mean_is_over(images: pd.DataFrame) -> None:
    """The LV is in three of six images; the first seed misses it in two of them, the second in none."""
    lv = images["method"] == "all"
    missed = images.copy()
    missed.loc[lv & (images["seed"] == 1) & images.index.isin([0, 1]), ["found_px_lv", "hits_lv"]] = 0
    both = (missed["true_px_lv"] > 0) & (missed["found_px_lv"] > 0)
    missed["assd_mm_lv"] = np.where(both, 1.0, np.nan)
    table = images_table(missed).set_index(["structure", "method"])
    assert table.loc[("lv", "all")].to_dict() == {
        "images": "6", "Dice over": "3", "not found": "0 to 2 (33.3 %)", "ASSD over": "1 to 3"
    }  # fmt: skip
    assert table.loc[("csp", "csp"), ["Dice over", "not found", "ASSD over"]].tolist() == ["6", "0 (0.0 %)", "n/a"]
    assert ("lv", "csp") not in table.index


def test_surfaces_are_in_mm_unless_an_image_has_no_spacing(images: pd.DataFrame) -> None:
    csp = images.assign(nsd_mm_csp=0.5, nsd_px_csp=0.25, hd95_mm_csp=2.0, hd95_px_csp=8.0)
    csp.loc[csp["seed"] == 2, "nsd_mm_csp"] = 0.7
    table = surfaces_table(csp).set_index(["structure", "method"])
    assert table.loc[("csp", "all"), ["NSD 1 mm ↑", "HD95 (mm) ↓"]].tolist() == ["0.600 ± 0.141", "2.00 ± 0.00"]
    assert table.loc[("lv", "all")].tolist() == ["n/a", "n/a"]
    without = csp.assign(**{name: csp[name].where(csp.index > 0) for name in ("nsd_mm_csp", "hd95_mm_csp")})
    row = surfaces_table(without[without["method"] == "all"]).iloc[0]
    assert row[["NSD 2 px ↑", "HD95 (px) ↓"]].tolist() == ["0.250 ± 0.000", "8.00 ± 0.00"]


def test_areas_are_counted_once_a_seed_and_absent_structures_beside_them(images: pd.DataFrame) -> None:
    figure = draw_areas(images, STRUCTURES)
    csp, lv, alone, nothing = figure.axes
    drawn = sum(bar.get_height() for bar in csp.patches if hasattr(bar, "get_height"))
    found = images[images["method"] == "all"]["found_px_csp"]
    assert drawn == pytest.approx((found > 0).sum() / 2)
    assert "absent: 3 reference, " in lv.get_title()
    assert "not segmented" in nothing.get_title()
    assert alone.get_xlabel() == "area (px)"
    in_mm = images.assign(true_mm2_lv=images["true_px_lv"] / 4, found_mm2_lv=images["found_px_lv"] / 4)
    assert draw_areas(in_mm, STRUCTURES).axes[-1].get_xlabel() == "area (mm²)"


def test_the_section_writes_its_files_and_adds_nothing_to_other_systems(images: pd.DataFrame, tmp_path: Path) -> None:
    texts = section(images, tmp_path / "site_c_test")
    assert {f.name for f in tmp_path.iterdir()} == {
        f"site_c_test_{name}" for name in ("segmentation.csv", "segmentation_images.csv", "areas.png", "areas.pdf")
    }
    assert "(<site_c_test_areas.png>)" in markdown.render(texts)
    assert section(images[["method", "seed", "stage"]].assign(psnr=1.0), tmp_path / "x") == []
