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

from ushydra_lab.data.io import cache
from ushydra_lab.data.io.cache import CanvasCache
from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.errors import UserError
from ushydra_lab.geometry.letterbox import Letterbox


@pytest.fixture
def paths(write_images: Callable[..., pd.DataFrame], tmp_path: Path) -> list[Path]:
    return [tmp_path / image for image in write_images({"a": 5}, size=(30, 40))["image"]]


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


def test_the_second_load_decodes_nothing(paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = CanvasCache(tmp_path / "cache", (16, 32), 1.0)
    store.load(paths[:3])
    decoded: list[bytes] = []
    decode = cache.decode
    monkeypatch.setattr(cache, "decode", lambda content: (decoded.append(content), decode(content))[1])
    store.load(paths)
    assert sorted(decoded) == sorted(path.read_bytes() for path in paths[3:])


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
    [lambda b: b[:-40], lambda b: b"", lambda b: b[:100] + bytes([b[100] ^ 1]) + b[101:], lambda b: b + b"x"],
)
def test_a_damaged_entry_is_noticed_and_made_again(
    paths: list[Path], tmp_path: Path, damage: Callable[[bytes], bytes]
) -> None:
    store = CanvasCache(tmp_path / "cache", (16, 32), 1.0)
    good = store.load(paths)
    entry = store.entry(paths[2].read_bytes())
    whole = entry.read_bytes()
    entry.write_bytes(damage(whole))
    with pytest.warns(UserWarning, match="damaged cache entry"):
        again = store.load(paths)
    np.testing.assert_array_equal(again.pixels, good.pixels)
    assert entry.read_bytes() == whole


def test_an_interrupted_write_leaves_no_entry_and_no_litter(
    paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = CanvasCache(tmp_path / "cache", (16, 32), 1.0)

    def full(self: Path, stored: bytes) -> None:
        with self.open("wb") as file:
            file.write(stored[:50])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(UserError, match=r"cache: no space left; the canvases of 5 images need 2,760 bytes"):
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


def test_the_folder_stays_below_its_limit_and_loses_what_was_unused_for_longest(
    paths: list[Path], tmp_path: Path
) -> None:
    entry_size = 8 + 16 * 32 + 32
    store = CanvasCache(tmp_path / "cache", (16, 32), 3.5 * entry_size / cache.GIGABYTE)
    for age, path in enumerate(paths[:3]):
        store.load([path])
        os.utime(store.entry(path.read_bytes()), (1000 + age, 1000 + age))
    store.load(paths[:1])  # used again: the second is now the oldest
    store.load(paths[3:4])
    kept = [path for path in paths if store.entry(path.read_bytes()).exists()]
    assert kept == [paths[0], paths[2], paths[3]]
    whole = store.load(paths)
    assert sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file()) <= 3.5 * entry_size
    np.testing.assert_array_equal(store.load(paths).pixels, whole.pixels)


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
    assert len([path for path in (tmp_path / "cache").rglob("*") if path.is_file()]) == 4


def test_two_processes_that_fill_and_shrink_one_folder_both_get_every_canvas(paths: list[Path], tmp_path: Path) -> None:
    script = (
        "import hashlib, sys; from pathlib import Path; from ushydra_lab.data.io.cache import CanvasCache\n"
        f"store = CanvasCache(Path({str(tmp_path / 'cache')!r}), (16, 32), 2000 / 1e9)\n"
        "prints = {b''.join(store.load(sys.argv[1:]).digests) for _ in range(40)}\n"
        "print([hashlib.sha256(each).hexdigest() for each in prints])"
    )
    command = [sys.executable, "-W", "error", "-c", script, *map(str, paths)]
    jobs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    outputs = [job.communicate() for job in jobs]
    expected = hashlib.sha256(b"".join(CanvasCache(tmp_path / "own", (16, 32), 1.0).load(paths).digests)).hexdigest()
    assert [(job.returncode, output) for job, output in zip(jobs, outputs, strict=True)] == [
        (0, (f"['{expected}']\n", ""))
    ] * 2
