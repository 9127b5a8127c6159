import sys
from collections.abc import Callable
from functools import cache
from io import BytesIO
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import echonet
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError

SIZE, FRAMES = 112, 12
LIST = "FileName,EF,ESV,EDV,FrameHeight,FrameWidth,FPS,NumberOfFrames,Split"
TRACINGS = "FileName,X1,Y1,X2,Y2,Frame"


def scene(frame: int) -> NDArray[np.uint8]:
    """Bright above, dark below, brighter to the right; a column of pixels tells the frame."""
    down, across = np.indices((SIZE, SIZE))
    image = (180 - down + across / 2).astype(np.uint8)
    image[:, :16] = 20 * frame
    return image


def write_video(path: Path, frames: int = FRAMES) -> None:
    path.write_bytes(video(frames))


@cache
def video(frames: int) -> bytes:
    file = BytesIO()
    with av.open(file, "w", format="avi") as container:
        stream = container.add_stream("mjpeg", rate=50)
        stream.width = stream.height = SIZE
        stream.pix_fmt = "yuvj420p"
        stream.codec_context.qmin = stream.codec_context.qmax = 2
        for frame in range(frames):
            rgb = np.repeat(scene(frame)[..., None], 3, axis=2)
            for packet in stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
        container.start_encoding()
    return file.getvalue()


def chords(top: float, bottom: float, left: float, right: float, count: int = 20) -> list[tuple[float, ...]]:
    """A ventricle as it is traced: its long axis, then chords from the apex down, wider below."""
    middle = (left + right) / 2
    rows = [(middle, top, middle, bottom)]
    for n in range(count):
        share = (n + 0.5) / count
        half = (right - left) / 2 * (0.4 + 0.6 * share)
        rows.append((middle - half, top + share * (bottom - top), middle + half, top + share * (bottom - top) + 3))
    return rows


LARGE, SMALL = chords(15.3, 70.6, 30.2, 60.9), chords(22.1, 60.4, 37.5, 55.2)
Write = Callable[..., Path]


def lines(name: str, frame: int | str, rows: list[tuple[float, ...]]) -> list[str]:
    return [",".join([f"{name}.avi", *map(str, row), str(frame)]) for row in rows]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Videos 0XA (train), 0XB (test, not downloaded), 0XC (val, not traced); of 0XA the small frame is traced first."""

    def make(listed: list[str] | None = None, traced: list[str] | None = None) -> Path:
        root = tmp_path / "EchoNet-Dynamic"
        (root / "Videos").mkdir(parents=True)
        for name in ("0XA", "0XC"):
            write_video(root / "Videos" / f"{name}.avi")
        rows = [f"{name},55.5,30.1,70.2,112,112,50,{FRAMES},{split}" for name, split in SPLITS]
        pairs = [*lines("0XA", 7, SMALL), *lines("0XA", 3, LARGE), *lines("0XB", 1, LARGE), *lines("0XB", 2, SMALL)]
        (root / "FileList.csv").write_text("\n".join([LIST, *(rows if listed is None else listed)]))
        (root / "VolumeTracings.csv").write_text("\n".join([TRACINGS, *(pairs if traced is None else traced)]))
        return tmp_path

    return make


SPLITS = (("0XA", "TRAIN"), ("0XB", "TEST"), ("0XC", "VAL"))


def read(root: Path) -> Source:
    return echonet.read(root, root / "cache")


def png(path: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path))


def test_a_relative_cache_may_lie_elsewhere_than_the_data(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    table = check_manifest(echonet.read(write(), Path("multirun/.cache"))).table
    assert len(table)
    assert all(Path(image).is_relative_to(elsewhere) for image in table["image"])
    assert all(Path(mask).is_file() for mask in table["mask"] if mask)


def test_the_traced_frames_are_cut_out_and_named_by_their_area(write: Write) -> None:
    table = check_manifest(read(write())).table
    assert table["group_phase"].tolist() == ["ED", "ES"]
    for row, frame in zip(table.itertuples(), (3, 7), strict=True):
        assert np.abs(png(row.image).astype(int) - scene(frame)).mean() < 2
        assert abs(int(np.median(png(row.image)[:, 4:12])) - 20 * frame) <= 2
        assert row.source == f"Videos/0XA.avi, frame {frame}"
    assert png(table["mask"].iloc[0]).sum() > png(table["mask"].iloc[1]).sum()
    assert table["part"].tolist() == ["train", "train"]
    assert table["subject"].tolist() == ["0XA", "0XA"]


def test_masks_are_those_of_the_authors_code(write: Write) -> None:
    from skimage.draw import polygon

    source = read(write())
    assert source.masks is not None
    for row, rows in zip(source.table.itertuples(), (LARGE, SMALL), strict=False):
        x1, y1, x2, y2 = np.array(rows).T
        x, y = np.concatenate([x1[1:], x2[:0:-1]]), np.concatenate([y1[1:], y2[:0:-1]])
        expected = np.zeros((SIZE, SIZE), np.uint8)
        expected[polygon(np.rint(y).astype(int), np.rint(x).astype(int), expected.shape)] = 1
        np.testing.assert_array_equal(source.masks.decode(Path(row.mask).read_bytes()), expected)
        assert np.argwhere(expected).mean(axis=0) == pytest.approx([np.mean(y), 46], abs=5)


def test_what_is_missing_is_counted(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    root = write()
    manifest = check_manifest(read(root))
    printed = capsys.readouterr().out
    assert "1 videos without two traced frames are left out: 0XC" in printed
    assert "2 of 4 rows name images that are not there" in printed
    assert len(manifest.table) == 2


def test_names_may_end_in_avi_in_both_tables(write: Write) -> None:
    root = write(listed=["0XA.avi,55.5,30.1,70.2,112,112,50,12,train"])
    assert len(check_manifest(read(root)).table) == 2


def test_a_corrected_tracing_makes_new_masks(write: Write) -> None:
    root = write()
    before = read(root).table["mask"].tolist()
    sheet = root / "EchoNet-Dynamic" / "VolumeTracings.csv"
    sheet.write_text(sheet.read_text().replace("45.55,15.3", "45.55,15.4"))
    assert read(root).table["mask"].tolist()[:1] != before[:1]


def test_of_more_than_two_traced_frames_the_extremes_count(write: Write) -> None:
    middle = chords(18, 65, 33, 57)
    traced = [*lines("0XA", 5, middle), *lines("0XA", 3, LARGE), *lines("0XA", 7, SMALL)]
    assert read(write(traced=traced)).table["source"].str[-7:].tolist() == ["frame 3", "frame 7"]


@pytest.mark.parametrize(
    ("listed", "message"),
    [
        (["../0XA,1,1,1,112,112,50,9,TRAIN"], r"line 2: FileName '../0XA' is no name of a file"),
        ([",1,1,1,112,112,50,9,TRAIN"], r"line 2: FileName '' is no name"),
        (["0XA,1,1,1,112,112,50,9,DEV"], r"line 2: Split 'DEV' is not one of TRAIN, VAL, TEST"),
        (["0XA,1,1,1,1,1,5,9,TRAIN", "0XA.avi,1,1,1,1,1,5,9,TRAIN"], r"line 3: FileName '0XA' occurs again"),
        (["0XC,1,1,1,112,112,50,9,TRAIN"], "no video of FileList.csv has two traced frames"),
        (["0XA,1,1"], "line 2: 3 cells"),
    ],
)
def test_file_lists_of_another_kind_are_refused(write: Write, listed: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(write(listed=listed))


@pytest.mark.parametrize(
    ("traced", "message"),
    [
        (lines("0XA", 3, [("a", 1, 2, 3)]), "line 2: a, 1, 2, 3, 3"),  # type: ignore[list-item]
        (lines("0XA", 3, [(np.inf, 1, 2, 3)]), "line 2: inf"),
        (lines("0XA", 1.5, LARGE), r"line 2: .*1.5"),  # type: ignore[arg-type]
        (lines("0XA", -1, LARGE), r"line 2: .*-1"),
        (lines("0XA", 3, LARGE[:2]) + lines("0XA", 7, SMALL), "line 2: 0XA, frame 3: 2 rows"),
        (lines("0XA", 3, LARGE) + lines("0XA", 99, SMALL), "0XA.avi: traced frames 99 are beyond its end"),
        (lines("0XA", 3, LARGE) + lines("0XA", 7, chords(500, 560, 300, 340)), "frame 7: the tracing lies outside"),
        (
            lines("0XA", 3, LARGE) + lines("0XA", 7, [(5, 5, 5, 5)] * 9),
            "frame 7: the tracing lies outside .* or is empty",
        ),
        (lines("0XA", 3, LARGE), "no video of FileList.csv has two traced frames"),
    ],
    ids=range(9),
)
def test_tracings_that_cannot_be_drawn_are_named(write: Write, traced: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(write(traced=traced))


def test_tracings_that_reach_a_little_over_the_edge_are_clipped(write: Write) -> None:
    root = write(traced=lines("0XA", 3, chords(-2, 70, 30, 60)) + lines("0XA", 7, SMALL))
    assert png(read(root).table["mask"].iloc[0])[0].any()


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:6000])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (truncated, "is damaged|is truncated"),
        (lambda path: path.write_bytes(b""), "is damaged"),
        (lambda path: path.write_bytes(b"RIFF" + bytes(500)), "is damaged|holds no video"),
        (lambda path: path.write_text("no video"), "is damaged"),
        (lambda path: write_video(path, 0), "holds no frame"),
        (lambda path: write_video(path, 5), "traced frames 7 are beyond its end"),
        (lambda path: (path.unlink(), path.mkdir()), "is damaged"),
        (lambda path: (path.rename(path.parents[2] / "a"), path.symlink_to(path.parents[2] / "a")), "leads out of"),
    ],
    ids=range(8),
)
def test_videos_that_cannot_be_used_are_named(write: Write, damage: Callable[[Path], object], message: str) -> None:
    root = write()
    damage(root / "EchoNet-Dynamic" / "Videos" / "0XA.avi")
    with pytest.raises(UserError, match=rf"Videos/0XA.avi: .*({message})"):
        read(root)


def test_what_is_not_there_is_said_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no FileList.csv here; download EchoNet-Dynamic"):
        read(tmp_path)


def test_without_pyav_the_extra_is_named(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    root = write()
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(UserError, match=r"pip install 'ushydra_lab\[video\]'"):
        read(root)
