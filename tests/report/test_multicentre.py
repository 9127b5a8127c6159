"""The multicentre benchmark's table: means by hand, the printed rows beside the right ones, what is lacking said."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ushydra_lab.report.document import Gap, Note, Table
from ushydra_lab.report.papers import registry
from ushydra_lab.report.papers.multicentre.printed import POOLED, PRINTED, TEST_IMAGES, TRAIN_IMAGES
from ushydra_lab.report.papers.multicentre.tables import section
from ushydra_lab.results.collect import collect

from .. import fake_runs

HERE = {"HC18": 6, "FP": 4}
WRONG = 3
"""Position of the image with a wrong label among those of FP."""


def write_run(root: Path, held_out: str, seed: int, variant: str, worse: float, **sites: int) -> pd.DataFrame:
    """NME of each image 0.01 times its number, and `worse` more; the first image of the held-out site is a test image
    of the published parts, one of FP has a wrong label. `official` holds out none: third images and later ones test.
    """
    site = np.concatenate([[name] * count for name, count in (sites or HERE).items()])
    images = pd.DataFrame({"site": site, "record": range(len(site))})
    place = images.groupby("site").cumcount()
    images["ofd_nme"] = 0.01 * (place + 1) + worse
    images["bpd_nme"] = 2 * images["ofd_nme"]
    wrong = (images["site"] == "FP") & (place == WRONG)
    images.loc[wrong, "ofd_nme"] = 9.0
    images["nme_own"] = images[["ofd_nme", "bpd_nme"]].mean(axis=1)
    test = (images["site"] == held_out) | ((held_out == "official") & (place > 1))
    images["part"] = np.where(test, "test", np.where(place == 0, "train", "val"))
    split = images.assign(published_part=np.where(test & (place == 0), "test", "train"))
    split["label_flag"] = np.where(wrong, "BPD/OFD is 0.37", "")
    split["subject"] = split["record"].astype(str)
    run = root / held_out / f"seed{seed}" / variant
    shown = images[images["part"] != "train"]
    fake_runs.write(run, {"train": f"{variant}{seed}"}, shown, split, {"paper": "multicentre"})
    return images[test]


@pytest.fixture
def report(tmp_path: Path) -> tuple[pd.DataFrame, list[str]]:
    """The table of two arms and two seeds, and the sentences below it."""
    for seed in (1, 2):
        write_run(tmp_path / "exp", "FP", seed, "scale", 0.001 * seed)
        write_run(tmp_path / "exp", "FP", seed, "scratch", 0.1)
        write_run(tmp_path / "exp", "HC18", seed, "scale", 0.0)
        write_run(tmp_path / "exp", "HC18", seed, "scratch", 0.1)
    (tmp_path / "out").mkdir()
    document = section(collect(tmp_path / "exp"), tmp_path / "out")
    (table,) = (block.frame for block in document if isinstance(block, Table))
    assert fake_runs.read_texts(tmp_path / "out" / "multicentre.csv").equals(table.replace("", np.nan))
    return table, [block.text for block in document if isinstance(block, Note)]


def row(table: pd.DataFrame, **where: str) -> pd.Series:
    chosen = table
    for column, value in where.items():
        chosen = chosen[chosen[column.replace("_", " ")] == value]
    (found,) = chosen.to_dict("records")
    return pd.Series(found)


def test_means_medians_and_printed_values_stand_in_the_row_of_their_sites(
    report: tuple[pd.DataFrame, list[str]],
) -> None:
    on_fp = row(report[0], trained_on="HC18", tested_on="FP", images="all here", method="train scale")
    assert on_fp["OFD"].split(" ± ") == [f"{(0.06 + 9) / 4 + 0.0015 * 3 / 4:.3f}", f"{0.00075 / np.sqrt(2):.3f}"]
    assert on_fp["BPD"].startswith(f"{2 * (0.1 / 4 + 0.0015):.3f}")
    assert float(on_fp["OFD median"]) == pytest.approx(0.025 + 0.0015, abs=0.0006)
    assert on_fp[["BPD paper", "OFD paper"]].tolist() == ["0.06", "0.06"]
    assert on_fp["n"] == "2 x 4"
    on_hc18 = row(report[0], trained_on="FP", tested_on="HC18", images="all here", method="train scratch")
    assert on_hc18[["BPD paper", "OFD paper"]].tolist() == ["0.08", "0.08"]


def test_each_site_is_also_shown_on_its_published_part_and_without_flagged_labels(
    report: tuple[pd.DataFrame, list[str]],
) -> None:
    without = row(report[0], tested_on="FP", images="without flagged labels", method="train scratch")
    assert without["OFD"] == f"{0.02 + 0.1:.3f} ± 0.000"
    assert without["n"] == "2 x 3"
    part = row(report[0], tested_on="HC18", images="published test part", method="train scale")
    assert part["OFD"] == "0.010 ± 0.000"
    assert not len(report[0].query("`tested on` == 'HC18' and images == 'without flagged labels'"))


def test_the_arm_that_validation_images_choose_is_marked(report: tuple[pd.DataFrame, list[str]]) -> None:
    marked = report[0].groupby("method")["chosen"].agg(set).to_dict()
    assert marked == {"train scale": {"yes"}, "train scratch": {""}, "not run": {""}}


def test_printed_rows_that_nothing_here_has_say_so(report: tuple[pd.DataFrame, list[str]]) -> None:
    table, notes = report
    lacking = table[table["method"] == "not run"]
    pairs = set(zip(lacking["trained on"], lacking["tested on"], strict=True))
    assert pairs == {(", ".join(sites), tested) for sites, tested in PRINTED} - {("HC18", "FP"), ("FP", "HC18")}
    assert lacking.set_index("tested on").loc[POOLED, ["BPD", "BPD paper"]].tolist() == ["not run", "0.04"]
    assert "UCL is no site of these runs." in notes
    assert "HC18: 1 of the 262 published test images are among the tested ones." in notes
    assert f"Flagged by the audit of labels: record {6 + WRONG} of FP, BPD/OFD is 0.37." in notes


def test_machines_as_sites_have_rows_without_a_printed_value(tmp_path: Path) -> None:
    write_run(tmp_path / "exp", "Aloka", 1, "scale", 0.0, Aloka=3, HC18=3, Voluson_E6=3)
    document = registry.section(collect(tmp_path / "exp"), tmp_path)
    table = next(block.frame for block in document if isinstance(block, Table))
    found = row(table, tested_on="Aloka", method="train", images="all here")
    assert found[["trained on", "OFD", "OFD paper"]].tolist() == ["HC18, Voluson_E6", "0.020", "–"]
    missing = {block.what: block.command for block in document if isinstance(block, Gap)}
    assert set(missing) == {"Held out HC18", "Held out Voluson_E6"}
    assert "held_out=HC18" in missing["Held out HC18"]


def test_test_images_of_all_sites_that_were_trained_on_are_one_row(tmp_path: Path) -> None:
    tested = write_run(tmp_path / "exp", "official", 1, "scale", 0.0, FP=3, HC18=4, UCL=3)
    assert set(tested["site"]) == {"FP", "HC18", "UCL"}
    table = next(block.frame for block in section(collect(tmp_path / "exp"), tmp_path) if isinstance(block, Table))
    found = row(table, tested_on=POOLED)
    assert found[["trained on", "BPD", "BPD paper"]].tolist() == [
        "FP, HC18, UCL",
        f"{tested['bpd_nme'].mean():.3f}",
        "0.04",
    ]


def test_printed_numbers_are_those_of_the_documents() -> None:
    page = (Path(__file__).parents[2] / "docs" / "multicentre.md").read_text(encoding="utf-8")
    for (trained, tested), (bpd, ofd) in PRINTED.items():
        assert f"| {'all three' if tested == POOLED else trained[0]} | {tested} | {bpd} / {ofd} |" in page
    train, test = (counts.values() for counts in (TRAIN_IMAGES, TEST_IMAGES))
    said = "training parts of {} (HC18), {} (FP) and {} heads (UCL) and test parts of {}, {} and {}."
    assert said.format(*train, *test) in page
