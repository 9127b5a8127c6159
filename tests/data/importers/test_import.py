"""The import of an export gives the manifest that a person would write, or says what is wrong and writes nothing."""

import importlib
import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from ushydra_lab.config.instantiate import instantiate
from ushydra_lab.config.stored import chosen_data
from ushydra_lab.config.typed import quoted
from ushydra_lab.data.importers.registry import FORMATS
from ushydra_lab.data.manifest import Manifest, check_manifest
from ushydra_lab.data.readers import manifest_csv

from ...cli import call, status
from . import exports


def imported(out: Path) -> Manifest:
    return check_manifest(manifest_csv.read(out / "manifest.csv", json.loads((out / "masks/labels.json").read_text())))


def label_maps(manifest: Manifest) -> list[NDArray[np.uint8]]:
    assert manifest.masks
    return [manifest.masks.decode(Path(mask).read_bytes()) for mask in manifest.table["mask"]]


@pytest.mark.parametrize("export", FORMATS)
def test_the_manifest_of_an_export_is_the_one_written_by_hand(export: str, tmp_path: Path) -> None:
    words = exports.FORMATS[export](tmp_path)
    call("import", *words, "--out", str(tmp_path / "out"))
    found = imported(tmp_path / "out")
    written = check_manifest(manifest_csv.read(exports.by_hand(tmp_path, export), {"brain": 1, "csp": 2}))
    same = [column for column in written.table if column != "mask"]
    pd.testing.assert_frame_equal(found.table[same], written.table[same], check_like=True)
    assert {*found.table} == {*written.table}
    for ours, theirs in zip(label_maps(found), label_maps(written), strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("export", FORMATS)
def test_absent_images_are_told_all_at_once_and_nothing_is_written(
    export: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = exports.FORMATS[export](tmp_path)
    for name in exports.IMAGES[1:]:
        (tmp_path / "images" / name).unlink()
    before = sorted(tmp_path.rglob("*"))
    assert status("import", *words, "--out", str(tmp_path / "out")) == 1
    told = capsys.readouterr().err
    assert "2 problems" in told
    assert told.count("--images") == 2
    assert sorted(tmp_path.rglob("*")) == before


def test_problems_of_all_kinds_are_told_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = exports.labelme(tmp_path)
    files = sorted((tmp_path / "images").rglob("*.json"))
    files[0].write_text(files[0].read_text()[:-30])
    content = json.loads(files[1].read_text())
    content["shapes"][2]["points"][0] = [900.0, 5.0]
    files[1].write_text(json.dumps(content))
    Image.fromarray(exports.pixels(2)[:30]).save(tmp_path / "images" / exports.IMAGES[2])
    assert status("import", *words, "--out", str(tmp_path / "out")) == 1
    told = capsys.readouterr().err
    assert "4 problems" in told
    assert "st_anna/p1_a.json: is no JSON, or truncated" in told
    assert "(st_anna/p2_a.json): nt_box leaves the image: nt_x2 by 840 px" in told
    assert "(st_josef/p7_b.json): is 60 x 30 px, but its annotations were made at 60 x 40" in told


def test_a_label_s_new_name_needs_both_sides(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*exports.labelme(tmp_path), "--label", "=csp", "csp", "a=b=csp"]
    assert status("import", *words, "--out", str(tmp_path / "out")) == 1
    assert capsys.readouterr().err.splitlines() == ["--label takes TOOL=NAME:", "  - =csp", "  - csp"]


def test_nothing_is_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = exports.coco(tmp_path)
    (tmp_path / "out").mkdir()
    assert status("import", *words, "--out", str(tmp_path / "out")) == 1
    assert "nothing is overwritten" in capsys.readouterr().err
    assert not list((tmp_path / "out").iterdir())


def test_an_import_into_the_export_itself_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = exports.masks(tmp_path)
    assert status("import", *words, "--out", str(tmp_path / "masks" / "out")) == 1
    assert "which its files would join" in capsys.readouterr().err


def test_no_more_of_a_person_is_copied_than_the_user_states(tmp_path: Path) -> None:
    """Names of mask files, the legend and all cells but the path of the image: the tool's own fields stay behind."""
    exports.cvat(tmp_path)
    (tmp_path / "images" / "Mary_Jones.png").write_bytes((tmp_path / "images" / exports.IMAGES[0]).read_bytes())
    xml = (
        '<annotations><meta><task><owner><username>Mary_Jones</username></owner></task></meta><image id="0" '
        'name="Mary_Jones.png" width="60" height="40"><polygon label="brain" points="1,1;9,1;9,9"><attribute '
        'name="name">Mary_Jones</attribute></polygon></image></annotations>'
    )
    (tmp_path / "annotations.xml").write_text(xml)
    words = ["cvat", str(tmp_path / "annotations.xml"), "--set", "site=a", "subject=1", "--out", str(tmp_path / "out")]
    call("import", *words)
    written = [path for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert all("Mary" not in path.name for path in written)
    assert [path.name for path in written if b"Mary" in path.read_bytes()] == ["manifest.csv"]
    table = pd.read_csv(tmp_path / "out" / "manifest.csv").drop(columns="image")
    assert "Mary" not in table.to_csv()


def test_structures_that_overlap_need_an_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = exports.coco(tmp_path)
    words = words[: words.index("--structures")]
    assert status("import", *words, "--out", str(tmp_path / "out")) == 1
    assert "'brain' and 'csp' overlap in 60 px; state all structures" in capsys.readouterr().err


def test_labels_are_renamed_joined_and_ignored(tmp_path: Path) -> None:
    words = exports.coco(tmp_path)
    words = words[: words.index("--structures")]
    ignored = [f"{end}=" for end in ("ofd_1", "ofd_2", "bpd_1", "bpd_2", "nt")]
    call("import", *words, "--out", str(tmp_path / "out"), "--label", "csp=brain", *ignored)
    found = imported(tmp_path / "out")
    assert {*found.annotations} == {"mask"}
    np.testing.assert_array_equal(label_maps(found)[0], exports.labels() > 0)


def test_an_order_that_lacks_a_structure_or_invents_one_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = exports.coco(tmp_path)
    assert status("import", *words[:-1], "cps", "--out", str(tmp_path / "out")) == 1
    told = capsys.readouterr().err
    assert "--structures lacks csp" in told
    assert "--structures has cps, which no image shows" in told


def test_labels_that_are_no_names_are_told_with_the_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = exports.labelme(tmp_path)
    for path in (tmp_path / "images").rglob("*.json"):
        path.write_text(path.read_text().replace('"csp"', '"cavum septi"').replace('"ofd"', '"odf"'))
    assert status("import", *words, "--out", str(tmp_path / "out")) == 1
    told = capsys.readouterr().err
    assert "label 'cavum septi' is no name of letters, digits and '_'; give it one: --label 'cavum septi'=NAME" in told
    assert "point 'odf_1' is none of" in told
    assert "did you mean 'ofd_1'" in told


def test_the_words_that_are_told_for_the_check_read_the_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call("import", *exports.masks(tmp_path), "--out", str(tmp_path / "out"))
    words = shlex.split(capsys.readouterr().out.partition("python -m ushydra_lab check ")[2])
    given = ["data=manifest", f"data.path={quoted(words[0])}", *words[1:]]  # as `check` takes a path
    manifest = check_manifest(instantiate(chosen_data(given)[1]))
    np.testing.assert_array_equal(label_maps(manifest)[2], exports.labels())


def test_the_command_offers_the_formats_that_there_are() -> None:
    assert tuple(FORMATS) == importlib.import_module("ushydra_lab.commands.import").FORMATS
