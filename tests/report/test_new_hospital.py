"""Beside the intervals of the training sites stand those for a new hospital, or why there are none."""

from pathlib import Path

import pandas as pd
import pytest

from ushydra_lab.data.split import LeaveSitesOut
from ushydra_lab.report.build import report
from ushydra_lab.report.render import markdown
from ushydra_lab.report.sections.new_hospital import section
from ushydra_lab.results.collect import collect
from ushydra_lab.results.intervals import Validity, calibration

from ..nested_runs import NEW, TRAINING, nested, write

WITHIN, ELSEWHERE = (validity.value for validity in Validity)


def test_both_intervals_and_what_they_cover_at_each_unseen_site(tmp_path: Path) -> None:
    runs = nested(tmp_path / "exp", TRAINING, noise=2.0)
    text = markdown.render(section(collect(tmp_path / "exp"), tmp_path))
    rows = pd.read_csv(tmp_path / f"{runs[0].fold}_new_hospital.csv")
    assert rows["for images of"].tolist() == 3 * [WITHIN, ELSEWHERE]
    new = rows[(rows["length"] == "BPD") & (rows["for images of"] == ELSEWHERE)].iloc[0]
    interval = calibration(runs[0], "train", runs).interval("bpd", Validity.NEW_HOSPITAL)
    assert interval
    assert new["half-width (mm)"] == pytest.approx(interval.half_width)
    tested = runs[0].images.query("part == 'test'")
    shares = (tested["bpd_abs_error_mm"] <= interval.half_width).groupby(tested["site"]).mean()
    assert sorted(shares.index) == NEW
    assert new[["covered", "covered, least site"]].tolist() == pytest.approx([shares.mean(), shares.min()])
    assert (new["sites"], new["images"]) == (10, 100)
    assert "No interval for a new hospital" not in text


def test_of_too_few_training_sites_only_their_own_interval_stands_and_the_reason(tmp_path: Path) -> None:
    nested(tmp_path / "exp", TRAINING[:3])
    text = markdown.render(section(collect(tmp_path / "exp"), tmp_path))
    assert ELSEWHERE not in [row.split(" | ")[2] for row in text.splitlines() if row.startswith("| train")]
    assert text.count(f"| {WITHIN} | 3 | 12 |") == 3
    assert "No interval for a new hospital of train: 90 % of a new hospital's images take 9 training sites" in text
    assert "it was trained on 3." in text


def test_errors_that_differ_from_the_validation_images_have_a_small_p(tmp_path: Path) -> None:
    cells = {}
    for noise in (1.0, 8.0):
        for seed in (1, 2):
            nested(tmp_path / str(noise), TRAINING[:3], noise, seed)
        text = markdown.render(section(collect(tmp_path / str(noise)), tmp_path))
        cells[noise] = next(row for row in text.splitlines() if row.startswith("| train | OFD")).split(" | ")
    assert float(cells[1.0][-1].strip("| ")) > 0.05
    assert float(cells[8.0][-1].strip("| ")) < 0.01
    assert float(cells[8.0][6].split()[0]) < 0.5 < float(cells[1.0][6].split()[0])


def test_inner_folds_are_in_no_other_table(tmp_path: Path) -> None:
    runs = nested(tmp_path / "exp", TRAINING[:3])
    collected = collect(tmp_path / "exp")
    assert collected.stages["run"].tolist() == runs[:1]
    assert set(collected.images["held_out"]) == {runs[0].fold}
    assert set(collected.inner) == {*runs[1:]}
    assert collected.unfinished == {}
    write(tmp_path / "exp", LeaveSitesOut("new1", inner="site00"), [*TRAINING[:3], "new1"])
    assert collect(tmp_path / "exp").unfinished == {}
    report(tmp_path / "exp")
    page = (tmp_path / "exp" / "report" / "index.html").read_text()
    assert runs[0].fold in page
    assert f"{runs[0].fold}+" not in page
    assert "2 sites" in page
    assert "a site that no method" not in page


def test_where_subjects_are_held_out_no_site_is_new(tmp_path: Path) -> None:
    (run, *_) = nested(tmp_path / "exp", TRAINING[:2])
    split = run.path / "split.csv"
    split.write_text(split.read_text().replace("new1", "site00"))
    images = run.path / "per_image.csv"
    images.write_text(images.read_text().replace("new1", "site00"))
    assert section(collect(tmp_path / "exp"), tmp_path) == []
