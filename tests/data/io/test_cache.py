import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ushydra_lab.data.io import cache, shown
from ushydra_lab.data.io.cache import CanvasCache
from ushydra_lab.data.io.image import Decoded
from ushydra_lab.data.io.masks import NO_LABEL, MaskCode
from ushydra_lab.data.io.stack import ENTRY, PART, STACK, VERIFIED, Stack
from ushydra_lab.errors import UserError
from ushydra_lab.geometry.letterbox import Letterbox


@pytest.fixture
def paths(write_images: Callable[..., pd.DataFrame], tmp_path: Path) -> list[Path]:
    return [tmp_path / image for image in write_images({"a": 5}, size=(30, 40))["image"]]


@pytest.fixture
def decoded(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The content of every image that is decoded."""
    contents: list[bytes] = []
    decode = shown.decode
    monkeypatch.setattr(shown, "decode", lambda content: (decode(content), contents.append(content))[0])
    return contents


def files_of(store: CanvasCache, kind: str) -> list[Path]:
    return sorted(store.folder.rglob(f"*{kind}"))


def test_canvases_are_those_of_the_letterbox_also_from_disk(paths: list[Path], tmp_path: Path) -> None:
    store = CanvasCache(tmp_path / "cache", (16, 32), 1.0)
    fresh, stored = store.load(paths), store.load(paths)
    for path, pixels in zip(paths, fresh.pixels, strict=True):
        expected = Letterbox.fit((30, 40), (16, 32)).apply_image(np.asarray(Image.open(path)))
        np.testing.assert_array_equal(pixels, expected)
    np.testing.assert_array_equal(fresh.pixels, stored.pixels)
    assert fresh.native == stored.native == [(30, 40)] * 5
    assert fresh.digests == stored.digests
    assert len(set(fresh.digests)) == 5


def test_the_second_load_decodes_nothing_and_verifies_nothing_again(
    paths: list[Path], tmp_path: Path, decoded: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CanvasCache(tmp_path / "cache", (16, 32), 1.0)
    store.load(paths[:3])
    decoded.clear()
    store.load(paths)
    assert sorted(decoded) == sorted(path.read_bytes() for path in paths[3:])
    decoded.clear()
    monkeypatch.setattr(Stack, "damaged", None)
    store.load(paths)
    assert not decoded


def test_content_counts_not_names_and_canvas_sizes_do_not_mix(paths: list[Path], tmp_path: Path) -> None:
    store = CanvasCache(tmp_path / "cache", (16, 32), 1.0)
    before = store.load(paths[:1])
    paths[0].rename(tmp_path / "renamed.png")
    assert store.load([tmp_path / "renamed.png"]).digests == before.digests
    paths[1].replace(paths[0])
    assert store.load(paths[:1]).digests != before.digests
    upright = CanvasCache(tmp_path / "cache", (32, 16), 1.0).load([tmp_path / "renamed.png"])
    expected = Letterbox.fit((30, 40), (32, 16)).apply_image(np.asarray(Image.open(tmp_path / "renamed.png")))
    np.testing.assert_array_equal(upright.pixels, expected[None])


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:-40],
        lambda b: b"",
        lambda b: b + b"x",
        lambda b: b[:100] + bytes([b[100] ^ 1]) + b[101:],
        lambda b: b[512:1024] + b[:512] + b[1024:],
        lambda b: b[:-200] + bytes([b[-200] ^ 1]) + b[-199:],
    ],
    ids=["cut", "emptied", "longer", "a pixel", "two canvases exchanged", "an entry"],
)
def test_a_damaged_stack_is_noticed_and_made_again(
    paths: list[Path], tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    store = CanvasCache(tmp_path / "cache", (16, 32), 1.0)
    expected = np.array(store.load(paths).pixels)
    (file,) = files_of(store, STACK)
    whole = file.read_bytes()
    file.write_bytes(damage(whole))
    with pytest.warns(UserWarning, match="damaged canvases, made again"):
        again = store.load(paths)
    np.testing.assert_array_equal(again.pixels, expected)
    assert file.read_bytes() == whole


def test_an_interrupted_writer_is_continued_and_what_it_left_half_written_made_again(
    paths: list[Path], tmp_path: Path, decoded: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    store, decode = CanvasCache(tmp_path / "cache", (16, 32), 1.0), shown.decode

    def interrupted(content: bytes) -> Decoded:
        if len(decoded) == 3:
            raise KeyboardInterrupt
        return decode(content)

    with monkeypatch.context() as patch:
        patch.setattr(shown, "decode", interrupted)
        with pytest.raises(KeyboardInterrupt):
            store.load(paths)
    assert len(decoded) == 3
    (part,) = files_of(store, PART)
    left = part.read_bytes()
    written = next(row for row in range(5) if any(left[512 * row : 512 * row + 512]))
    with part.open("r+b") as opened:
        opened.seek(512 * written)
        opened.write(bytes(512))
    decoded.clear()
    found = store.load(paths)
    assert len(decoded) == 3  # two that were not reached, one that is half there
    np.testing.assert_array_equal(found.pixels, CanvasCache(tmp_path / "own", (16, 32), 1.0).load(paths).pixels)
    assert not files_of(store, PART)


@pytest.mark.parametrize("where", ["posix_fallocate", "fsync"])
def test_a_full_disk_is_said_with_the_need_and_nothing_is_left_on_it(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    store = CanvasCache(tmp_path / "cache", (16, 32), 1.0)

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, where, full)
        with pytest.raises(UserError, match=r"cache: no space left; the canvases of 5 images need 3,080 bytes"):
            store.load(paths)
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]
    assert store.load(paths).native == [(30, 40)] * 5


def test_a_folder_that_cannot_be_made_is_named(paths: list[Path], tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file: cannot be used .*set cache_dir"):
        CanvasCache(tmp_path / "file", (16, 32), 1.0).load(paths)


def test_images_that_changed_since_the_check_are_all_listed(paths: list[Path], tmp_path: Path) -> None:
    paths[0].unlink()
    paths[3].write_bytes(b"junk")
    with pytest.raises(UserError, match=r"(?s)0.png: file not found.*3.png: is not an image"):
        CanvasCache(tmp_path / "cache", (16, 32), 1.0).load(paths)


def test_the_folder_stays_below_its_limit_and_loses_whole_stacks_that_were_unused_for_longest(
    paths: list[Path], tmp_path: Path
) -> None:
    store = CanvasCache(tmp_path / "cache", (16, 32), 3.95 * (16 * 32 + ENTRY) / cache.GIGABYTE)
    old = tmp_path / "cache" / "canvas-v1.2-16x32" / "ab" / "of_another_version"
    old.parent.mkdir(parents=True)
    old.write_bytes(bytes(552))
    os.utime(old, (900, 900))
    for age, path in enumerate(paths[:3]):
        store.load([path])
        for file in {*files_of(store, STACK), *files_of(store, VERIFIED)}:
            if file.stat().st_mtime > 2000:
                os.utime(file, (1000 + age, 1000 + age))
    first, second, third = sorted(files_of(store, STACK), key=lambda file: file.stat().st_mtime)
    assert old.exists()
    store.load(paths[:1])  # used again: the second is now the oldest stack
    store.load(paths[3:4])
    kept = files_of(store, STACK)
    assert (old.exists(), second in kept, len(kept)) == (False, False, 3)
    assert {first, third} < set(kept)


def test_a_stack_in_use_stays_and_one_above_the_limit_is_said(paths: list[Path], tmp_path: Path) -> None:
    store = CanvasCache(tmp_path / "cache", (16, 32), 2 * (16 * 32 + ENTRY) / cache.GIGABYTE)
    used = store.load(paths[:2])
    with pytest.warns(UserWarning, match=r"1.85e-06 GB, more than cache_gb=1.232e-06"):
        store.load(paths[2:])
    store.load(paths[4:])
    kept = sorted(file.stat().st_size for file in files_of(store, STACK))
    assert kept == [616, 2 * 616]  # the one of three, used by nobody, is gone
    np.testing.assert_array_equal(used.pixels, CanvasCache(tmp_path / "own", (16, 32), 1.0).load(paths[:2]).pixels)


def test_label_maps_and_crops_have_entries_of_their_own(tmp_path: Path) -> None:
    colours = np.zeros((30, 40, 3), np.uint8)
    colours[5:20, 10:30] = [255, 0, 0]
    Image.fromarray(colours).save(tmp_path / "mask.png")
    store, path = CanvasCache(tmp_path / "cache", (30, 40), 1.0), [tmp_path / "mask.png"]
    brain, other = MaskCode.of({"brain": [255, 0, 0]}), MaskCode.of({"csp": [0, 255, 0], "brain": [255, 0, 0]})
    expected = (colours[..., 0] > 0).astype(np.uint8)
    for _ in range(2):
        assert set(np.unique(store.load(path).pixels)) == {0, 76}
        np.testing.assert_array_equal(store.load(path, masks=brain).pixels[0], expected)
        np.testing.assert_array_equal(store.load(path, masks=other).pixels[0], 2 * expected)
        assert store.load(path, [(10, 5, 30, 20)], brain).pixels.all()
    assert len(files_of(store, STACK)) == 4


def test_a_row_without_a_mask_has_no_label_anywhere(tmp_path: Path) -> None:
    Image.fromarray(np.full((30, 40), 7, np.uint8)).save(tmp_path / "mask.png")
    store = CanvasCache(tmp_path / "cache", (16, 32), 1.0)
    for _ in range(2):
        found = store.load(["", tmp_path / "mask.png", ""], [None, (0, 0, 9, 9), (0, 0, 9, 9)], MaskCode.of({"a": 7}))
        assert [set(np.unique(labels)) for labels in found.pixels] == [{NO_LABEL}, {0, 1}, {NO_LABEL}]
    with pytest.raises(UserError, match="is not a file"):
        store.load([""])


def test_two_processes_that_fill_and_shrink_one_folder_both_get_every_canvas(paths: list[Path], tmp_path: Path) -> None:
    script = (
        "import hashlib, sys, warnings; from pathlib import Path; from ushydra_lab.data.io.cache import CanvasCache\n"
        "warnings.filterwarnings('ignore', '.*cache_gb')\n"
        f"store = CanvasCache(Path({str(tmp_path / 'cache')!r}), (16, 32), 2000 / 1e9)\n"
        "prints = {b''.join(store.load(sys.argv[1 + n % 2:]).digests[-4:]) for n in range(40)}\n"
        "print([hashlib.sha256(each).hexdigest() for each in prints])"
    )
    outputs = together(2, script, paths)
    expected = hashlib.sha256(b"".join(CanvasCache(tmp_path / "own", (16, 32), 1.0).load(paths[1:]).digests))
    assert [output[-1] for output in outputs] == [f"['{expected.hexdigest()}']"] * 2


def test_four_processes_decode_each_image_once_and_map_one_file(
    write_images: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    paths = [tmp_path / image for image in write_images({"a": 40})["image"]]
    script = (
        "import sys, time; from pathlib import Path; from ushydra_lab.data.io import shown\n"
        "from ushydra_lab.data.io.cache import CanvasCache\n"
        "decoded, decode = [], shown.decode\n"
        "shown.decode = lambda content: (time.sleep(0.02), decoded.append(content), decode(content))[2]\n"
        f"store = CanvasCache(Path({str(tmp_path / 'cache')!r}), (16, 32), 1.0)\n"
        "found = store.load(sys.argv[1:])\n"
        "lines = Path('/proc/self/maps').read_text().splitlines()\n"
        "mapped = [line.split() for line in lines if line.endswith('.stack')]\n"
        "print(len(decoded), *[(line[1], line[4]) for line in mapped])"
    )
    outputs = [output[-1].split(" ", 1) for output in together(4, script, paths)]
    assert sum(int(count) for count, _ in outputs) == 40
    (file,) = files_of(CanvasCache(tmp_path / "cache", (16, 32), 1.0), STACK)
    assert {mapped for _, mapped in outputs} == {f"('r--s', '{file.stat().st_ino}')"}


def together(count: int, script: str, paths: list[Path]) -> list[list[str]]:
    """What processes that run at a time print, in lines; they warn of nothing."""
    command = [sys.executable, "-W", "error", "-c", script, *map(str, paths)]
    jobs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(count)]
    outputs = [job.communicate() for job in jobs]
    assert [(job.returncode, errors) for job, (_, errors) in zip(jobs, outputs, strict=True)] == [(0, "")] * count
    return [output.splitlines() for output, _ in outputs]
