"""Caches that several users share: another's files, read-only folders, no locks, leftovers, damage."""

import errno
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image

from ushydra_lab import phantom
from ushydra_lab.data.io import cache, convert
from ushydra_lab.data.io.cache import CanvasCache
from ushydra_lab.data.io.convert import Conversion, Converter
from ushydra_lab.data.readers import dicom
from ushydra_lab.data.readers import phantom as phantom_reader
from ushydra_lab.errors import UserError

OLD = time.time() - 7200


def denied(code: int) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return refuse


@pytest.fixture
def paths(write_images: Callable[..., pd.DataFrame], tmp_path: Path) -> list[Path]:
    return [tmp_path / name for name in write_images({"a": 4})["image"]]


@pytest.fixture
def store(tmp_path: Path) -> CanvasCache:
    return CanvasCache(tmp_path / "cache", (16, 32), 1.0)


@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_cache_that_may_not_be_written_is_done_without(
    paths: list[Path], store: CanvasCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    expected = CanvasCache(tmp_path / "own", (16, 32), 1.0).load(paths)
    store.load(paths[:2])  # by its owner
    monkeypatch.setattr(cache, "_write", denied(code))
    monkeypatch.setattr(os, "utime", denied(code))
    with pytest.warns(UserWarning, match=r"cache: may not be written .*set cache_dir"):
        found = store.load(paths)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.digests == expected.digests


def test_entries_that_may_not_be_read_or_removed_are_made_in_memory(
    paths: list[Path], store: CanvasCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = store.load(paths)
    private = store.entry(paths[0].read_bytes())
    read = Path.read_bytes
    refuse = denied(errno.EACCES)
    monkeypatch.setattr(Path, "read_bytes", lambda path: refuse() if path == private else read(path))
    monkeypatch.setattr(cache, "_write", refuse)
    with pytest.warns(UserWarning, match="may not be written"):
        np.testing.assert_array_equal(store.load(paths).pixels, expected.pixels)
    monkeypatch.undo()
    monkeypatch.setattr(Path, "unlink", refuse)
    small = CanvasCache(store.folder, (16, 16), 1e-9)
    assert len(small.load(paths).pixels) == 4


def test_an_entry_that_is_a_folder_is_done_without(paths: list[Path], store: CanvasCache) -> None:
    expected = store.load(paths)
    entry = store.entry(paths[0].read_bytes())
    entry.unlink()
    (entry / "x").mkdir(parents=True)
    with pytest.warns(UserWarning, match="may not be written"):
        np.testing.assert_array_equal(store.load(paths).pixels, expected.pixels)


def test_the_canvas_of_another_image_in_an_entry_s_place_is_noticed(paths: list[Path], store: CanvasCache) -> None:
    expected = store.load(paths)
    one, other = (store.entry(path.read_bytes()) for path in paths[:2])
    one.write_bytes(other.read_bytes())
    with pytest.warns(UserWarning, match="damaged cache entry, made again"):
        np.testing.assert_array_equal(store.load(paths).pixels, expected.pixels)


def test_what_killed_runs_left_in_the_cache_is_removed_by_the_next(paths: list[Path], store: CanvasCache) -> None:
    store.load(paths[:2])
    folder = store.entry(paths[0].read_bytes()).parent
    killed, at_work = folder / ".killed", folder / ".at_work"
    killed.touch()
    at_work.touch()
    os.utime(killed, (OLD, OLD))
    store.load(paths)
    assert (killed.exists(), at_work.exists()) == (False, True)


@pytest.fixture
def source(tmp_path: Path) -> tuple[Converter, list[Conversion]]:
    def images() -> Iterator[tuple[str, NDArray[np.uint8]]]:
        yield "0", np.full((3, 4), 7, np.uint8)
        yield "1", np.full((3, 4), 9, np.uint8)

    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "video.avi").write_bytes(b"x")
    return Converter(tmp_path / "cache", tmp_path / "root"), [
        Conversion((tmp_path / "root" / "video.avi",), "v1", images)
    ]


@pytest.mark.parametrize("damage", ["other image", "cut", "gone", "old index", "no index", "hostile index"])
def test_converted_images_that_are_not_as_they_were_written_are_converted_again(
    source: tuple[Converter, list[Conversion]], damage: str
) -> None:
    converter, jobs = source
    (made,) = converter.pngs(jobs)
    index, good = made["0"].parent / convert.INDEX, made["0"].read_bytes()
    if damage == "other image":
        shutil.copyfile(made["1"], made["0"])
    elif damage == "cut":
        made["0"].write_bytes(good[:-9])
    elif damage == "gone":
        made["0"].unlink()
    elif damage == "no index":
        index.unlink()
    else:
        index.write_text({"old index": '["0", "1"]', "hostile index": '{"0": 3}'}[damage])
    (again,) = converter.pngs(jobs)
    assert [np.asarray(Image.open(again[name]))[0, 0] for name in "01"] == [7, 9]
    assert again["0"].read_bytes() == good


def test_leftovers_of_conversions_are_removed_by_the_next(source: tuple[Converter, list[Conversion]]) -> None:
    converter, jobs = source
    for name, age in (("killed", OLD), ("at_work", time.time())):
        (converter.folder / "ab" / f".{name}").mkdir(parents=True)
        (converter.folder / "ab" / f".{name}" / "0.png").touch()
        os.utime(converter.folder / "ab" / f".{name}", (age, age))
    converter.pngs(jobs)
    assert [path.name for path in (converter.folder / "ab").iterdir()] == [".at_work"]


def test_a_read_only_cache_serves_what_is_there_and_names_the_setting_for_the_rest(
    source: tuple[Converter, list[Conversion]], monkeypatch: pytest.MonkeyPatch
) -> None:
    converter, jobs = source
    made = converter.pngs(jobs)
    monkeypatch.setattr(Path, "mkdir", denied(errno.EROFS))
    assert converter.pngs(jobs) == made
    with pytest.raises(UserError, match=r"cannot be used \(Read-only file system\).*set cache_dir"):
        converter.pngs([Conversion(jobs[0].files, "v2", jobs[0].read_images)])


@pytest.mark.parametrize("damage", ["image", "manifest", "gone", "sums"])
def test_a_phantom_whose_bytes_were_replaced_is_named(tmp_path: Path, damage: str) -> None:
    root = phantom.write(tmp_path / "phantom", "nt", 0, {"hospital_a": 2}).parent
    image = root / "hospital_a" / "0000.png"
    if damage == "image":
        shutil.copyfile(root / "hospital_a" / "0001.png", image)
    elif damage == "gone":
        image.unlink()
    else:
        file = root / {"manifest": "manifest.csv", "sums": phantom.SUMS}[damage]
        file.write_text(file.read_text()[:-3])
    with pytest.raises(UserError, match=r"(?s)not as it was drawn\. Remove the folder.*(0000|manifest|sums)"):
        phantom.write(root, "nt", 0, {"hospital_a": 2})


def test_a_phantom_of_a_version_without_sums_gets_them(tmp_path: Path) -> None:
    root = phantom.write(tmp_path / "phantom", "nt", 0, {"hospital_a": 2}).parent
    written = json.loads((root / phantom.SUMS).read_text())
    assert set(written) == {"manifest.csv", "hospital_a/0000.png", "hospital_a/0001.png"}
    (root / phantom.SUMS).unlink()
    phantom.write(root, "nt", 0, {"hospital_a": 2})
    assert json.loads((root / phantom.SUMS).read_text()) == written


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EACCES, errno.EPERM])
def test_a_phantom_is_drawn_where_its_lock_cannot_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(FileLock, "acquire", denied(code))
    with pytest.warns(UserWarning, match="no lock"):
        assert len(phantom_reader.read(tmp_path, images_per_site=1).table) == 3
    phantom_reader.read(tmp_path, images_per_site=1)  # what is there needs none


def test_leftovers_of_a_phantom_are_removed_by_the_next(tmp_path: Path) -> None:
    left = tmp_path / f".nt-v{phantom.VERSION}-seed0-1.abcd"
    left.mkdir()
    phantom_reader.read(tmp_path, images_per_site=1)
    assert not left.exists()
    lock = tmp_path / f"nt-v{phantom.VERSION}-seed0-1.lock"
    assert lock.stat().st_mode & 0o777 == 0o666


def test_a_key_that_is_there_needs_no_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = dicom._key(tmp_path / "subjects.key")
    assert (tmp_path / "subjects.key").stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(FileLock, "acquire", denied(errno.EACCES))
    assert dicom._key(tmp_path / "subjects.key") == key
    assert [path.name for path in sorted(tmp_path.iterdir())] == ["subjects.key", "subjects.key.lock"]
