"""The fetal brain thesis's tables: scores are scikit-learn's of the pixels, and the printed numbers stand beside."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import f1_score, jaccard_score, precision_score, recall_score

from ushydra_lab.report.document import Note
from ushydra_lab.report.papers import registry
from ushydra_lab.report.papers.thesis.printed import PRINTED_4_1, PRINTED_4_2, PRINTED_4_3
from ushydra_lab.report.papers.thesis.tables import examples_table, section
from ushydra_lab.report.render import markdown
from ushydra_lab.results.collect import collect

from .. import fake_runs

ALL = ("parenchyma", "csp", "lv")
UNSEEN = "site_u"
IMAGES = 8
FIRST = 5
"""Record number of the first test image."""
Maps = tuple[np.ndarray, np.ndarray]


def maps_of(seed: int) -> Maps:
    """Truth and prediction of eight images: the CSP is in the last five, and the LV in those but the last."""
    rng = np.random.default_rng(seed)
    true = rng.choice(4, (IMAGES, 12, 12), p=[0.4, 0.3, 0.15, 0.15])
    true[:3][true[:3] >= 2] = 1
    true[-1][true[-1] == 3] = 1
    pred = np.where(rng.random(true.shape) < 0.7, true, rng.choice(4, true.shape))
    pred[:2][pred[:2] >= 2] = 1
    pred[4][pred[4] == 2] = 1
    return true, pred


def table_of(maps: Maps, structures: tuple[str, ...]) -> pd.DataFrame:
    """What a run's per_image.csv has of these maps."""
    true, pred = maps
    columns: dict[str, np.ndarray] = {}
    for label, name in enumerate(("background", *structures)):
        hits, real, found = (x.sum((1, 2)) for x in ((true == label) & (pred == label), true == label, pred == label))
        columns |= {f"hits_{name}": hits, f"true_px_{name}": real}
        if label:
            there = np.where(real > 0, 1.0, np.nan)
            with np.errstate(invalid="ignore", divide="ignore"):
                columns |= {f"found_px_{name}": found, f"found_mm2_{name}": found / 4, f"shape_{name}": 1.25 * there}
                columns |= {f"eccentricity_{name}": 0.8 * there, f"x_mm_{name}": -2 * there, f"y_mm_{name}": 3 * there}
                columns |= {f"iou_{name}": hits / (real + found - hits) * there, f"recall_{name}": hits / real}
                columns |= {
                    f"dice_{name}": 2 * hits / (real + found) * there,
                    f"precision_{name}": hits / found * there,
                }
    return pd.DataFrame(columns)


def write_run(root: Path, seed: int, variant: str, maps: Maps, structures: tuple[str, ...] = ALL) -> None:
    test = table_of(maps, structures).assign(part="test", site=UNSEEN)
    table = pd.concat([test.head(FIRST).assign(part="val", site="site_a", hits_csp=0), test])
    table = table.assign(record=range(len(table)))
    subjects = [f"patient-{i}" for i in range(len(table))]
    split = table[["record", "site", "part"]].assign(subject=subjects, image=[f"/home/me/{s}.png" for s in subjects])
    fake_runs.write(root / UNSEEN / f"seed{seed}" / variant, {"train": f"{variant}{seed}"}, table, split)


def without(maps: Maps, *labels: int) -> Maps:
    """The same maps of fewer structures, numbered anew."""
    kept = [label for label in (1, 2, 3) if label not in labels]
    places = np.array([kept.index(label) + 1 if label in kept else 0 for label in range(4)])
    return places[maps[0]], places[maps[1]]


@pytest.fixture
def brain(tmp_path: Path) -> Path:
    """Two seeds of one loss, one of another."""
    root = tmp_path / "brain_losses"
    for seed in (1, 2):
        write_run(root, seed, "hybrid", maps_of(seed))
    write_run(root, 1, "ce", maps_of(3))
    return root


@pytest.fixture
def csp_only(tmp_path: Path) -> Path:
    root = tmp_path / "brain_csp_only"
    for seed in (1, 2):
        write_run(root, seed, "csp", without(maps_of(seed), 1, 3), ("csp",))
        write_run(root, seed, "parenchyma+csp+lv", maps_of(seed))
    return root


def texts(root: Path) -> str:
    return markdown.render(section(collect(root), root / "report"))


def rows(root: Path, number: str, *index: str) -> pd.DataFrame:
    texts(root)
    table = pd.read_csv(root / "report" / f"thesis_table{number}_{UNSEEN}.csv", dtype=str, keep_default_na=False)
    return table.set_index(list(index)) if index else table


def spread(values: list[float]) -> str:
    return f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"


@pytest.mark.parametrize(
    ("label", "name"), [(0, "Background"), (1, "Brain parenchyma"), (2, "CSP"), (3, "LV")], ids=str
)
def test_table_4_1_is_scikit_learns_of_all_pixels_of_each_class(brain: Path, label: int, name: str) -> None:
    row = rows(brain, "4_1", "Method", "Class").loc["train hybrid", name]
    scores = {"IoU": jaccard_score, "Dice": f1_score, "Precision": precision_score, "Recall": recall_score}
    for title, score in scores.items():
        title = f"{title} (micro)"
        pixels = [[maps.ravel() == label for maps in maps_of(seed)] for seed in (1, 2)]
        assert row[title] == spread([score(true, pred) for true, pred in pixels])
    assert row["n"] == f"2 x {IMAGES}"


def test_table_4_2_is_scikit_learns_means_over_classes(brain: Path) -> None:
    row = rows(brain, "4_2", "Method").loc["train hybrid"]
    pixels = [[maps.ravel() for maps in maps_of(seed)] for seed in (1, 2)]
    for title, labels in (("", [0, 1, 2, 3]), (" without background", [1, 2, 3]), (" of CSP and LV", [2, 3])):
        means = [jaccard_score(true, pred, average="macro", labels=labels) for true, pred in pixels]
        assert row[f"mIoU{title}"] == spread(means)
    assert row["FWIoU"] == spread([jaccard_score(true, pred, average="weighted") for true, pred in pixels])


def test_a_method_with_fewer_seeds_is_a_row_that_says_so(brain: Path) -> None:
    table = rows(brain, "4_2", "Method")
    assert table.index.tolist() == ["train hybrid", "train ce (1 of 2 seeds)"]
    assert table.loc["train ce (1 of 2 seeds)", "n"] == f"1 x {IMAGES}"


def test_table_4_3_sets_models_with_and_without_the_lv_side_by_side(csp_only: Path, brain: Path) -> None:
    table = rows(csp_only, "4_3", "Structure", "Model")
    alone = [without(maps_of(seed), 1, 3) for seed in (1, 2)]
    row = table.loc["CSP", "CSP-only"]
    assert row["Dice (micro)"] == spread([f1_score(true.ravel(), pred.ravel()) for true, pred in alone])
    assert (row["Dice (micro) thesis"], row["IoU (micro) thesis"]) == ("0.410", "0.258")
    assert table.loc[("LV", "CSP+LV"), "Dice (micro) thesis"] == "0.712"
    assert ("LV", "CSP-only") not in table.index
    assert table.loc[("Background", "CSP-only"), "Dice (micro)"] == spread(
        [f1_score(true.ravel() == 0, pred.ravel() == 0) for true, pred in alone]
    )
    assert "Table 4.3:" not in texts(brain).partition("Missing")[0]
    assert "- Table 4.3: needs a model with the LV and one without it.\n" in texts(brain)
    assert "- Table 4.3" not in texts(csp_only)


def test_a_lacking_model_of_table_4_3_has_its_command(tmp_path: Path) -> None:
    write_run(tmp_path / "brain_csp_only", 1, "csp", without(maps_of(1), 1, 3), ("csp",))
    text = texts(tmp_path / "brain_csp_only")
    assert "+experiment=brain_csp_only 'structures=[csp],[parenchyma,csp,lv]'`" in text
    assert "### Table 4.3" not in text


def test_table_4_4_has_areas_of_images_that_show_csp_or_lv_by_record_number_alone(brain: Path) -> None:
    table, (true, pred) = rows(brain, "4_4"), maps_of(1)
    assert table["Image"].tolist() == [str(FIRST + i) for i in (3, 4, 5, 6)]
    assert table["CSP area (px)"].tolist() == [str((pred[i] == 2).sum()) for i in (3, 4, 5, 6)]
    assert table["LV reference area (px)"].tolist() == [str((true[i] == 3).sum()) for i in (3, 4, 5, 6)]
    assert table.loc[0, "CSP area (mm²)"] == f"{(pred[3] == 2).sum() / 4:.1f}"
    assert table.loc[0, ["LV eccentricity", "LV x (mm)", "LV y (mm)", "LV shape"]].tolist() == [
        "0.80",
        "-2.0",
        "3.0",
        "1.25",
    ]
    text = texts(brain)
    assert "patient-" not in text
    assert "/home/me" not in text


def test_table_a_1_is_scikit_learns_of_single_images_under_each_policy(brain: Path) -> None:
    table = rows(brain, "A_1", "Images").query("Method == 'train hybrid' and Class == 'CSP'")
    scores = {"IoU": jaccard_score, "Dice": f1_score, "Precision": precision_score, "Recall": recall_score}
    for title, score in scores.items():
        means: dict[str, list[float]] = {policy: [] for policy in table.index}
        for seed in (1, 2):
            pairs = [(t.ravel() == 2, p.ravel() == 2) for t, p in zip(*maps_of(seed), strict=True)]
            for empty in (0, 1):
                values = [score(t, p, zero_division=0) if (t | p).any() else empty for t, p in pairs]
                means[f"all, absent from both: {empty}"].append(np.mean(values))
            undefined = [np.nan if title == "Precision" and not p.any() else score(t, p) for t, p in pairs if t.any()]
            means["those that show it"].append(np.nanmean(undefined))
        assert {policy: spread(values) for policy, values in means.items()} == dict(table[title])
    assert table["n"].tolist() == [f"2 x {IMAGES}", f"2 x {IMAGES}", f"2 x {IMAGES - 3}"]


def test_the_printed_numbers_are_those_of_the_tables_not_of_the_text(brain: Path, csp_only: Path) -> None:
    table = rows(brain, "4_1", "Method", "Class").loc["train hybrid"]
    assert table["Dice (micro) thesis"].tolist() == ["0.989", "0.964", "0.792", "0.762"]
    assert table.loc["LV", "Recall (micro) thesis"] == "0.930"
    assert table.loc["Brain parenchyma", "Precision (micro) thesis"] == "–"
    assert rows(csp_only, "4_1")["Class"].tolist()[2:] == ["Background", "Brain parenchyma", "CSP", "LV"]
    assert rows(brain, "4_2")["mIoU of CSP and LV thesis"].tolist() == ["0.606"] * 2
    assert set(rows(brain, "A_1", "Class").loc["LV", "Dice thesis"]) == {"0.134"}
    assert "0.963 / 0.794 / 0.712" in texts(brain)
    alone = rows(csp_only, "4_1", "Method", "Class")
    assert set(alone.loc["train csp", "Dice (micro) thesis"]) == {"–"}
    assert alone.loc[("train parenchyma+csp+lv", "CSP"), "IoU (micro) thesis"] == "0.655"


def test_what_the_captions_say_of_the_printed_numbers_follows_from_them() -> None:
    iou = [float(values[0]) for values in PRINTED_4_1.values()]
    assert [np.mean(iou), np.mean(iou[1:]), np.mean(iou[2:])] == pytest.approx([0.795, 0.734, 0.636], abs=0.0006)
    full = [float(PRINTED_4_3[name]["CSP+LV"][1]) for name in PRINTED_4_1]
    means = [float(value) for value in PRINTED_4_2[:3]]
    assert [np.mean(full), np.mean(full[1:]), np.mean(full[2:])] == pytest.approx(means, abs=0.001)
    for name, f1 in (("csp", 0.845), ("lv", 0.786)):
        iou_one, dice, precision, recall = map(float, PRINTED_4_1[name])
        assert 2 * precision * recall / (precision + recall) == pytest.approx(f1, abs=0.0005)
        assert 2 * iou_one / (1 + iou_one) == pytest.approx(dice, abs=0.001)


def test_sites_that_were_not_held_out_have_their_command(brain: Path) -> None:
    assert "- Held out site_a: not run.\n  `python -m ushydra_lab +experiment=brain_losses held_out=site_a" in texts(
        brain
    )


def test_other_systems_have_no_such_table_and_the_same_runs_give_the_same_bytes(brain: Path, tmp_path: Path) -> None:
    write_run(tmp_path / "head_hc18", 1, "unet", maps_of(1))
    assert registry.section(collect(tmp_path / "head_hc18"), tmp_path / "report") == []
    write_run(tmp_path / "brain_networks", 1, "unet", without(maps_of(1), 2), ("parenchyma", "lv"))
    file = next((tmp_path / "brain_networks").rglob("per_image.csv"))
    pd.read_csv(file).drop(columns="hits_csp").to_csv(file, index=False)
    (said,) = registry.section(collect(tmp_path / "brain_networks"), tmp_path / "report")
    assert said == Note("The tables of paper thesis need hits_csp, which these runs do not have.")
    assert texts(brain) == texts(brain)


def test_a_place_is_told_in_mm_or_in_px_but_not_in_both() -> None:
    images = pd.DataFrame({"record": [3], "seed": [1], "true_px_csp": [9], "found_px_csp": [9], "hits_csp": [9]})
    images = images.assign(dice_csp=1.0, x_px_csp=20.0, x_mm_csp=2.0)
    assert [c for c in examples_table(images) if " x " in c] == ["CSP x (mm)"]
    assert [c for c in examples_table(images.assign(x_mm_csp=np.nan)) if " x " in c and "mm" not in c] == ["CSP x (px)"]
