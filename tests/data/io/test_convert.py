import os
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from ushydra_lab.data.io.convert import Conversion, Converter, Images, isotropic, pixel_mm
from ushydra_lab.data.io.image import ImageProblem
from ushydra_lab.errors import UserError

PIXELS = np.arange(12, dtype=np.uint8).reshape(3, 4)


class Maker:
    """Two images, counting how often they were asked for."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self) -> Images:
        self.calls += 1
        yield "a", PIXELS
        yield "b_mask", PIXELS.T.copy()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "Meier_Anna.avi").write_bytes(b"1")
    return folder / "Meier_Anna.avi"


def converter(source: Path) -> Converter:
    return Converter(source.parents[1] / "cache", source.parent)


def test_pixels_come_back_as_they_were_made_and_are_made_once(source: Path) -> None:
    make = Maker()
    for _ in range(2):
        (files,) = converter(source).pngs([Conversion((source,), "v1", make)])
        assert list(files) == ["a", "b_mask"]
        np.testing.assert_array_equal(np.asarray(Image.open(files["a"])), PIXELS)
        np.testing.assert_array_equal(np.asarray(Image.open(files["b_mask"])), PIXELS.T)
    assert make.calls == 1
    assert "Meier" not in str(list((source.parents[1] / "cache").rglob("*")))


def test_a_changed_source_another_reading_or_a_lost_file_is_converted_again(source: Path) -> None:
    make = Maker()
    (first,) = converter(source).pngs([Conversion((source,), "v1", make)])
    (other,) = converter(source).pngs([Conversion((source,), "v2", make)])
    assert other != first
    source.write_bytes(b"22")
    (changed,) = converter(source).pngs([Conversion((source,), "v1", make)])
    assert changed != first
    changed["a"].unlink()
    changed["b_mask"].write_bytes(b"")
    assert converter(source).pngs([Conversion((source,), "v1", make)]) == [changed]
    assert Image.open(changed["a"]).size == (4, 3)
    assert Image.open(changed["b_mask"]).size == (3, 4)
    assert make.calls == 4


def test_a_touched_second_file_of_a_source_counts(source: Path) -> None:
    raw, make = source.with_suffix(".raw"), Maker()
    raw.write_bytes(b"1")
    converter(source).pngs([Conversion((source, raw), "v1", make)])
    os.utime(raw, ns=(1, 1))
    converter(source).pngs([Conversion((source, raw), "v1", make)])
    assert make.calls == 2


def test_files_of_a_relative_cache_are_found_from_anywhere(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (elsewhere := source.parents[1] / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    relative = Converter(Path("multirun/.cache"), source.parent)
    (files,) = relative.pngs([Conversion((source,), "v1", Maker())])
    monkeypatch.chdir(source.parent)
    assert all(path.is_absolute() and path.is_file() for path in files.values())
    assert files["a"].is_relative_to(elsewhere / "multirun/.cache")


def test_an_interrupted_conversion_leaves_nothing_that_counts(source: Path) -> None:
    def interrupted() -> Images:
        yield "a", PIXELS
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        converter(source).pngs([Conversion((source,), "v1", interrupted)])
    assert not list((source.parents[1] / "cache").rglob("*.png"))
    make = Maker()
    converter(source).pngs([Conversion((source,), "v1", make)])
    assert make.calls == 1


def test_all_sources_that_fail_are_listed_at_once_and_the_others_are_kept(
    source: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> Images:
        yield "a", PIXELS
        raise ImageProblem("is truncated")

    make = Maker()
    outside = source.parents[1] / "outside.avi"
    outside.write_bytes(b"1")
    link = source.with_name("link.avi")
    link.symlink_to(outside)
    jobs = [
        Conversion((source,), "v0", fail),
        Conversion((source,), "v1", make),
        Conversion((source.with_name("no.avi"),), "v1", make),
    ]
    jobs.append(Conversion((link,), "v1", make))
    assert [bool(made) for made in converter(source).pngs(jobs)] == [False, True, False, False]
    printed = capsys.readouterr().out
    with pytest.raises(UserError) as raised:
        replace(converter(source), strict=True).pngs(jobs)
    for text in (
        "3 of 4 files cannot be used",
        "Meier_Anna.avi: is truncated",
        "no.avi cannot be read",
        "link.avi: is a link that leads out",
    ):
        assert text in str(raised.value)
        assert text in printed
    with pytest.raises(UserError, match="1 of 1 files cannot be used"):
        converter(source).pngs(jobs[:1])
    assert make.calls == 1
    assert not list((source.parents[1] / "cache").rglob(".*"))


def test_a_cache_that_cannot_be_written_names_the_setting(source: Path) -> None:
    (source.parents[1] / "cache").write_text("a file")
    with pytest.raises(UserError, match=r"cache: cannot be used.*cache_dir"):
        converter(source).pngs([Conversion((source,), "v1", Maker())])


def test_a_full_disk_says_so(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    with pytest.raises(UserError, match=r"no space left.*cache_dir"):
        converter(source).pngs([Conversion((source,), "v1", Maker())])


def _many(source: Path) -> list[dict[str, Path]]:
    def make(n: int) -> Iterator[tuple[str, NDArray[np.uint8]]]:
        for part in range(3):
            yield f"{part}", np.full((40, 40), n, np.uint8)

    jobs = [Conversion((source,), f"v{n}", lambda n=n: make(n)) for n in range(30)]  # type: ignore[misc]
    return converter(source).pngs(jobs)


def test_two_processes_may_convert_the_same_at_once(source: Path) -> None:
    with get_context("fork").Pool(2) as pool:
        first, second = pool.map(_many, [source, source])
    assert first == second
    for n, files in enumerate(first):
        assert [np.asarray(Image.open(path)).max() for path in files.values()] == [n, n, n]
    assert not list((source.parents[1] / "cache").rglob(".*"))


@given(st.integers(1, 40), st.integers(1, 40), st.floats(0.05, 2), st.floats(0.05, 2))
def test_square_pixels_keep_the_size_in_mm(rows: int, columns: int, down: float, across: float) -> None:
    pixels = np.zeros((rows, columns), np.uint8)
    made, mm = isotropic(pixels, (down, across)), pixel_mm((down, across))
    assert mm == pytest.approx(min(down, across), rel=0.006)
    np.testing.assert_allclose(
        np.array(made.shape) * mm, np.array(pixels.shape) * (down, across), rtol=0.011, atol=mm / 2
    )


def test_labels_stay_labels_and_edges_stay_where_they_are() -> None:
    labels = np.zeros((10, 10), np.uint8)
    labels[2:6, 3:5] = 3
    made = isotropic(labels, (0.2, 0.4), labels=True)
    expected = np.zeros((10, 20), np.uint8)
    expected[2:6, 6:10] = 3
    np.testing.assert_array_equal(made, expected)
