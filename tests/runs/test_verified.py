"""By size and time alone a run is found to need nothing; what is read is always compared with its checksum."""

import os
from pathlib import Path

import pytest

from ushydra_lab.files import DamagedFile, sha256, write_json, write_text
from ushydra_lab.runs.run import Run
from ushydra_lab.runs.verified import VERIFIED, is_unchanged, remember


@pytest.fixture
def run(tmp_path: Path) -> Run:
    write_text(tmp_path / "per_image.csv", "record,psnr\n0,31\n")
    sums = {"per_image.csv": sha256(tmp_path / "per_image.csv")}
    write_json(
        tmp_path / "run.json",
        {"status": "finished", "seed": 1, "stages": {"train": {"key": "k"}}, "variant": "v", "files": sums},
    )
    return Run(tmp_path)


def flip(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"31", b"13"))


def test_a_run_is_unchanged_only_once_it_is_remembered(run: Run) -> None:
    assert not is_unchanged(run)
    remember(run)
    assert is_unchanged(run)


def test_a_flipped_byte_with_a_new_time_is_noticed(run: Run) -> None:
    remember(run)
    stat = (run.path / "per_image.csv").stat()
    flip(run.path / "per_image.csv")
    os.utime(run.path / "per_image.csv", ns=(stat.st_atime_ns, stat.st_mtime_ns + 1))
    assert not is_unchanged(run)


def test_the_same_size_and_time_are_trusted_to_do_nothing_but_not_to_read(run: Run) -> None:
    remember(run)
    stat = (run.path / "per_image.csv").stat()
    flip(run.path / "per_image.csv")
    os.utime(run.path / "per_image.csv", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert is_unchanged(run)
    with pytest.raises(DamagedFile, match=r"per_image\.csv is damaged"):
        run.file("per_image.csv")


def test_another_checksum_a_lost_file_or_a_damaged_memory_is_noticed(run: Run) -> None:
    remember(run)
    (run.path / "per_image.csv").rename(run.path / "other")
    assert not is_unchanged(run)
    (run.path / "other").rename(run.path / "per_image.csv")
    assert is_unchanged(run)
    content = (run.path / VERIFIED).read_text()
    write_text(run.path / VERIFIED, content.replace("per_image", "per_imagE"))
    assert not is_unchanged(run)
    write_text(run.path / VERIFIED, content)
    write_json(
        run.path / "run.json",
        {
            "status": "finished",
            "seed": 1,
            "stages": {"train": {"key": "k"}},
            "variant": "v",
            "files": {"per_image.csv": "0"},
        },
    )
    assert not is_unchanged(Run(run.path))
