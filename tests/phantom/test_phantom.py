import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ushydra_lab import phantom
from ushydra_lab.errors import UserError
from ushydra_lab.phantom import Record, render, write
from ushydra_lab.phantom.hospitals import MACHINES

SITES = tuple(MACHINES)

COUNTS = {"hospital_c": 2, "hospital_a": 1}


@pytest.fixture(scope="module")
def records() -> list[Record]:
    return [render("nt", 3, site, index) for site in SITES for index in range(14)]


def test_a_record_does_not_depend_on_process_or_order() -> None:
    script = (
        "import hashlib; from ushydra_lab.phantom import render;"
        "images = [render('nt', 1, 'hospital_b', index).image for index in (5, 2)];"
        "print([hashlib.sha256(image.tobytes()).hexdigest() for image in images])"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    render("nt", 1, "hospital_a", 9)
    again = [render("nt", 1, "hospital_b", index).image for index in (2, 5)]
    assert len(outputs) == 1
    digests = [hashlib.sha256(image.tobytes()).hexdigest() for image in reversed(again)]
    assert outputs.pop().strip() == str(digests)


def test_seed_site_and_index_each_change_the_image() -> None:
    images = [render("nt", *key).image for key in ((0, SITES[0], 0), (1, SITES[0], 0), (0, SITES[0], 1))]
    images.append(render("nt", 0, SITES[1], 0).image)
    assert len({image.tobytes() for image in images}) == 4


def test_boxes_are_wide_flat_inside_the_image_and_in_its_lower_part(records: list[Record]) -> None:
    for record in records:
        height, width = record.image.shape
        x1, y1, x2, y2 = (record.annotations[key] for key in ("nt_x1", "nt_y1", "nt_x2", "nt_y2"))
        assert 0 <= x1 < x2 <= width
        assert height / 2 < y1 < y2 <= height
        assert x2 - x1 > 2.5 * (y2 - y1)


def test_the_box_holds_the_lumen_and_spacing_is_that_of_a_magnified_fetus(records: list[Record]) -> None:
    for record in records:
        lumen_px = record.annotations["nt_mm"] / record.pixel_mm
        assert 1.0 <= record.annotations["nt_mm"] <= 3.5
        assert record.annotations["nt_y2"] - record.annotations["nt_y1"] > lumen_px
        assert 30 < record.image.shape[1] * record.pixel_mm < 80


def test_the_strip_is_resolved_on_the_small_canvas(records: list[Record]) -> None:
    thickness = []
    for record in records:
        scale = min(176 / record.image.shape[0], 256 / record.image.shape[1])
        thickness.append(scale * record.annotations["nt_mm"] / record.pixel_mm)
    assert np.mean(np.array(thickness) >= 2.5) > 0.9


def test_hospitals_are_told_apart_by_their_grey_levels(records: list[Record]) -> None:
    histograms = np.array([np.histogram(record.image, 32, (0, 256))[0] / record.image.size for record in records])
    site = np.array([SITES.index(record.site) for record in records])
    train = np.arange(len(records)) % 2 == 0
    centroids = np.stack([np.sqrt(histograms[train & (site == k)]).mean(axis=0) for k in range(3)])
    distance = ((np.sqrt(histograms[~train])[:, None] - centroids) ** 2).sum(axis=2)
    assert np.mean(distance.argmin(axis=1) == site[~train]) > 0.9


def test_write_makes_a_manifest_that_repeats_render(tmp_path: Path) -> None:
    manifest = write(tmp_path / "nt", "nt", 4, COUNTS)
    table = pd.read_csv(manifest, dtype={"subject": str})
    columns = ["image", "site", "subject", "pixel_mm", "nt_x1", "nt_y1", "nt_x2", "nt_y2", "nt_mm"]
    assert list(table.columns) == columns
    assert table.site.value_counts().to_dict() == COUNTS
    for row in table.itertuples():
        record = render("nt", 4, row.site, int(row.subject))
        with Image.open(manifest.parent / row.image) as image:
            assert image.mode == "L"
            assert np.array_equal(np.asarray(image), record.image)
        assert row.pixel_mm == record.pixel_mm
        assert {key: getattr(row, key) for key in record.annotations} == record.annotations


def test_a_finished_folder_is_not_rendered_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manifest = write(tmp_path / "nt", "nt", 4, {"hospital_a": 1})
    monkeypatch.setattr(phantom, "render", lambda *_: pytest.fail("rendered again"))
    assert write(tmp_path / "nt", "nt", 4, {"hospital_a": 1}) == manifest


def test_an_interrupted_write_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(scene: str, seed: int, site: str, index: int, difficulty: str) -> Record:
        if index == 1:
            raise KeyboardInterrupt
        return render(scene, seed, site, index)

    monkeypatch.setattr(phantom, "render", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path / "nt", "nt", 4, {"hospital_a": 2})
    assert list(tmp_path.iterdir()) == []


def test_another_process_finishing_first_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def overtaken(*job: object) -> Record:
        if not (tmp_path / "nt").exists():
            (tmp_path / "nt").mkdir()
            (tmp_path / "nt" / "manifest.csv").write_text("the other's")
        return render("nt", 4, "hospital_a", 0)

    monkeypatch.setattr(phantom, "render", overtaken)
    assert write(tmp_path / "nt", "nt", 4, {"hospital_a": 1}).read_text() == "the other's"


def test_the_bytes_do_not_depend_on_the_number_of_workers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ushydra_lab.phantom.render", render)  # each draws anew
    for workers in (0, 1, 4):
        write(tmp_path / str(workers), "nt", 5, COUNTS, workers)
    files = sorted(path.relative_to(tmp_path / "0") for path in (tmp_path / "0").rglob("*") if path.is_file())
    assert len(files) == 5
    for path in files:
        assert len({(tmp_path / str(workers) / path).read_bytes() for workers in (0, 1, 4)}) == 1


def test_errors_name_every_unknown_and_the_choices(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"'toes'; choose from nt"):
        write(tmp_path / "x", "toes", 0, {"hospital_a": 1})
    with pytest.raises(UserError) as caught:
        write(tmp_path / "x", "nt", 0, {"hospital_z": 1, "hospital_a": 1, "clinic": 2})
    for word in ("hospital_z", "clinic", *SITES):
        assert word in str(caught.value)
    with pytest.raises(UserError, match=r"hospital_z.*hospital_a"):
        render("nt", 0, "hospital_z", 0)


def test_errors_for_nothing_to_render_and_for_a_foreign_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="at least one"):
        write(tmp_path / "nt", "nt", 0, {"hospital_a": 0})
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="remove it or choose another"):
        write(tmp_path, "nt", 0, {"hospital_a": 1})
