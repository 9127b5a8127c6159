"""Caches that several users share: another's files, read-only folders, no locks, leftovers, damage."""

import errno
import json
import os
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from filelock import FileLock
from numpy.typing import NDArray
from PIL import Image

from ushydra_lab import phantom
from ushydra_lab.data.io import convert, shown
from ushydra_lab.data.io.cache import CanvasCache
from ushydra_lab.data.io.convert import Conversion, Converter
from ushydra_lab.data.io.stack import ENTRY, PART, STACK
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
def test_of_a_cache_that_may_not_be_written_what_is_there_is_used_and_the_rest_made_in_memory(
    paths: list[Path], store: CanvasCache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    expected = CanvasCache(tmp_path / "own", (16, 32), 1.0).load(paths)
    store.load(paths[:2])  # by its owner
    monkeypatch.setattr(os, "open", denied(code))
    monkeypatch.setattr(Path, "touch", denied(code))
    with warnings.catch_warnings(action="error"):
        assert isinstance(store.load(paths[:2]).pixels, np.memmap)
    decode, decoded = shown.decode, list[bytes]()
    monkeypatch.setattr(shown, "decode", lambda content: (decoded.append(content), decode(content))[1])
    with pytest.warns(UserWarning, match=r"cache: may not be written .*in memory; set cache_dir"):
        found = store.load(paths)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert found.digests == expected.digests
    assert sorted(decoded) == sorted(path.read_bytes() for path in paths[2:])


def test_a_stack_that_may_not_be_read_or_removed_is_done_without(
    paths: list[Path], store: CanvasCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = np.array(store.load(paths).pixels)
    refuse, opened = denied(errno.EACCES), Path.open
    monkeypatch.setattr(Path, "open", lambda path, mode: refuse() if path.suffix == STACK else opened(path, mode))
    monkeypatch.setattr(os, "open", refuse)
    with pytest.warns(UserWarning, match="may not be written"):
        np.testing.assert_array_equal(store.load(paths).pixels, expected)
    monkeypatch.undo()
    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.warns(UserWarning, match="more than cache_gb=1e-09"):
        assert len(CanvasCache(store.folder, (16, 16), 1e-9).load(paths).pixels) == 4
    assert len(list(store.folder.rglob(f"*{STACK}"))) == 2


def test_a_stack_that_is_a_folder_is_done_without(paths: list[Path], store: CanvasCache) -> None:
    expected = np.array(store.load(paths).pixels)
    (file,) = store.folder.rglob(f"*{STACK}")
    file.unlink()
    (file / "x").mkdir(parents=True)
    with pytest.warns(UserWarning, match="may not be written"):
        np.testing.assert_array_equal(store.load(paths).pixels, expected)


def test_without_locks_all_goes_as_with_them(
    paths: list[Path], store: CanvasCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fcntl.flock", denied(errno.ENOLCK))
    found = store.load(paths)
    np.testing.assert_array_equal(store.load(paths).pixels, found.pixels)
    with pytest.warns(UserWarning, match="more than cache_gb"):
        small = CanvasCache(store.folder, (16, 16), 1e-9).load(paths).pixels
    (kept,) = store.folder.rglob(f"*{STACK}")
    assert kept.stat().st_size == 4 * (16 * 16 + ENTRY)
    assert small.shape == (4, 16, 16)


def test_an_unfinished_stack_waits_a_day_to_be_continued(paths: list[Path], store: CanvasCache) -> None:
    store.load(paths[:2])
    (file,) = store.folder.rglob(f"*{STACK}")
    killed, at_work = file.with_name(f"killed{PART}"), file.with_name(f"at_work{PART}")
    killed.touch()
    at_work.touch()
    os.utime(killed, (OLD - 86400, OLD - 86400))
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
