"""Frames of videos that a table names."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import video
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError

from .test_echonet import FRAMES, scene, write_video

NT = "nt_x1,nt_y1,nt_x2,nt_y2"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "videos"
    for name in ("anna/1.avi", "anna/2.avi", "berta/3.avi"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        write_video(folder / name)
    return folder


def read(root: Path, *lines: str, **settings: Any) -> Source:
    (table := root.parent / "frames.csv").write_text("\n".join(lines))
    return video.read(root, root.parent / "cache", table, "clinic", **settings)


def test_named_frames_are_cut_out_with_what_their_rows_say(root: Path) -> None:
    source = read(
        root, f"image,frame,quality,{NT}", "anna/1.avi,4,low,3,4,30,20", "3.avi,,high,1,2,30,20", "1.avi,2,low,,,,"
    )
    table = check_manifest(source).table
    assert table["source"].tolist() == ["anna/1.avi, frame 2", "anna/1.avi, frame 4", "berta/3.avi, frame 0"]
    assert table["quality"].tolist() == ["low", "low", "high"]
    assert table["nt_x1"].tolist()[1:] == [3, 1]
    for path, frame in zip(table["image"], (2, 4, 0), strict=True):
        assert np.abs(np.asarray(Image.open(path)).astype(int) - scene(frame)).mean() < 6, "lossy, but no other frame"


def test_subjects_are_videos_folders_or_those_of_the_table(root: Path) -> None:
    lines = ("image,frame", "1.avi,0", "1.avi,5", "2.avi,0", "3.avi,0")
    assert read(root, *lines).table["subject"].tolist() == ["anna/1.avi", "anna/1.avi", "anna/2.avi", "berta/3.avi"]
    assert read(root, *lines, subject="folder").table["subject"].nunique() == 2
    assert read(root, "image,frame,subject", "1.avi,0,7", "3.avi,0,7").table["subject"].tolist() == ["7", "7"]


def test_what_has_no_counterpart_is_left_out_or_refused(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = ("image,frame", "1.avi,0", "4.avi,0", f"2.avi,{FRAMES}")
    assert len(read(root, *lines).table) == 1
    out = capsys.readouterr().out
    assert "1 of 3 rows name no file that is there: lines 3" in out
    assert "1 of 3 files have no row and are left out: berta/3.avi" in out
    assert "anna/2.avi: ends before frame" in out or "anna/2.avi: ends after" in out
    with pytest.raises(UserError, match="rows that fit no image"):
        read(root, *lines, strict=True)


def test_a_folder_without_videos_and_an_unknown_word_are_refused(tmp_path: Path, root: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'folder'"):
        read(root, "image", "1.avi", subject="folders")
    (empty := tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no video here"):
        read(empty, "image", "1.avi")
