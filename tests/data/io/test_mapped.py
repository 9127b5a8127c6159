import mmap
import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ushydra_lab.data.io.cache import CanvasCache
from ushydra_lab.data.io.mapped import as_tensor, read_ahead


def mapping(folder: Path, rows: int, size: int) -> tuple[np.memmap, torch.Tensor]:
    """rows x size bytes of a file that is on the disk alone."""
    file = folder / "rows"
    file.write_bytes(np.random.default_rng(0).bytes(rows * size))
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        array = np.memmap(opened, np.uint8, "r", shape=(rows, size))
    return array, as_tensor(array)


def test_a_read_only_array_becomes_a_tensor_of_the_same_memory_without_a_word(tmp_path: Path) -> None:
    with warnings.catch_warnings(action="error"):
        array, tensor = mapping(tmp_path, 3, 5000)
    assert tensor.data_ptr() == array.ctypes.data
    np.testing.assert_array_equal(tensor.numpy(), array)


@pytest.mark.parametrize("size", [5000, 40, mmap.PAGESIZE])
def test_reading_ahead_changes_nothing(tmp_path: Path, size: int) -> None:
    array, tensor = mapping(tmp_path, 50, size)
    rows = torch.tensor([49, 0, 7])
    read_ahead(rows, tensor, torch.ones(50), torch.zeros(50, 3, 3000, dtype=torch.uint8))
    np.testing.assert_array_equal(tensor[rows].numpy(), array[rows.numpy()])


def test_what_the_cache_gives_cannot_be_written_to(tmp_path: Path) -> None:
    Image.fromarray(np.ones((8, 8), np.uint8)).save(tmp_path / "a.png")
    pixels = CanvasCache(tmp_path / "cache", (8, 8), 1.0).load([tmp_path / "a.png"]).pixels
    with pytest.raises(ValueError, match="read-only"):
        pixels[0, 0, 0] = 2
