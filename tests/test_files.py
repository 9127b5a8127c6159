"""Files are whole or not there."""

import csv
import errno
import os
from pathlib import Path

import pandas as pd
import pytest

from ushydra_lab.errors import UserError
from ushydra_lab.files import atomic, disk_errors, link_or_copy, read_json, write_csv, write_json, write_text


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})

    def fail() -> None:
        with atomic(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert read_json(path) == {"old": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_not_a_number_is_refused_in_json(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"x": float("nan")})
    assert not list(tmp_path.iterdir())


def test_float32_survives_a_csv(tmp_path: Path) -> None:
    table = pd.DataFrame({"x": [0.1, 1 / 3, 1e-7, 123456.789]}, dtype="float32")
    write_csv(tmp_path / "t.csv", table)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "t.csv", dtype="float32"), table)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"status": "fin')
    with pytest.raises(UserError, match=r"run.json is damaged"):
        read_json(tmp_path / "run.json")


def test_a_linked_file_replaces_what_was_there(tmp_path: Path) -> None:
    (tmp_path / "source").write_text("new")
    (tmp_path / "target").write_text("old")
    link_or_copy(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_text() == "new"


@pytest.mark.parametrize(("code", "words"), [(errno.ENOSPC, "no space is left"), (errno.EROFS, "read-only")])
def test_a_disk_that_cannot_be_written_is_named(tmp_path: Path, code: int, words: str) -> None:
    with pytest.raises(UserError, match=words), disk_errors(tmp_path):
        raise OSError(code, "")


def test_other_errors_stay_what_they_are(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), disk_errors(tmp_path):
        (tmp_path / "absent").read_text()


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="Linux alone has such a place")
def test_a_place_that_takes_no_folder_is_named() -> None:
    place = Path("/proc/predictions/hospital")
    with pytest.raises(UserError, match=r"/proc/predictions/hospital: no folder can be made there"), disk_errors(place):
        place.mkdir(parents=True)


def test_a_written_file_may_be_read_by_whom_the_umask_lets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_text(tmp_path / "a.txt", "a")
    finally:
        os.umask(before)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "cell", ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3+cmd", "\t=1", '=HYPERLINK("x")', "＝1", "+49 30 x", "- a"]
)
def test_a_text_that_a_spreadsheet_would_compute_is_inert(tmp_path: Path, cell: str) -> None:
    write_csv(tmp_path / "a.csv", pd.DataFrame({"subject": [cell, "b"], "x": [-1.5, 2]}))
    back = pd.read_csv(tmp_path / "a.csv", dtype=str, keep_default_na=False)
    assert back.to_numpy().tolist() == [[f"'{cell}", "-1.5"], ["b", "2"]]


@pytest.mark.parametrize("cell", ["-5", "-", "+0.21 [-0.05, +0.47]", "-20 %", "1=2", "a@b", "P-1", "", "-1e-5"])
def test_other_texts_stay_what_they_are(tmp_path: Path, cell: str) -> None:
    table = pd.DataFrame({"subject": [cell, None], "n": pd.Categorical(["a", "b"]), 3: [True, False]})
    write_csv(tmp_path / "a.csv", table)
    with (tmp_path / "a.csv").open(newline="") as file:
        assert next(iter(list(csv.reader(file))[1:])) == [cell, "a", "True"]
