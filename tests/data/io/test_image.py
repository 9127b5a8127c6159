import io
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ushydra_lab.data.io import image
from ushydra_lab.data.io.image import ImageProblem, decode, in_threads, read_bytes


def encoded(picture: Image.Image, **options: object) -> bytes:
    picture.save(buffer := io.BytesIO(), format=options.pop("format", "PNG"), **options)
    return buffer.getvalue()


def test_colour_becomes_the_luma_of_bt_601() -> None:
    rgb = np.random.default_rng(0).integers(0, 256, (9, 11, 3), dtype=np.uint8)
    expected = rgb @ [0.299, 0.587, 0.114]
    assert np.abs(decode(encoded(Image.fromarray(rgb))).grey - expected).max() <= 1


def test_grey_values_survive_every_lossless_mode() -> None:
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    picture = Image.fromarray(grey)
    for mode in ("L", "RGB", "RGBA", "LA", "P"):
        np.testing.assert_array_equal(decode(encoded(picture.convert(mode))).grey, grey, err_msg=mode)


def test_sixteen_bits_are_scaled_by_their_full_range() -> None:
    values = np.array([[0, 257 * 7, 65535], [128, 129, 40000]], np.uint16)
    for options in ({}, {"format": "TIFF"}):
        decoded = decode(encoded(Image.fromarray(values), **options))
        np.testing.assert_array_equal(decoded.grey, [[0, 7, 255], [0, 1, 156]])
        assert decoded.peak == 65535
    assert decode(encoded(Image.new("L", (4, 4), 255))).peak is None


def test_transparent_pixels_are_black() -> None:
    picture = Image.new("RGBA", (4, 4), (255, 255, 255, 0))
    assert decode(encoded(picture)).grey.max() == 0


def test_floating_point_is_refused() -> None:
    with pytest.raises(ImageProblem, match="32 bits"):
        decode(encoded(Image.fromarray(np.ones((4, 4), np.float32)), format="TIFF"))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [7_100, 13_000, 20_000])  # above our limit, Pillow's warning, Pillow's error
def test_a_decompression_bomb_is_refused_before_it_is_unpacked(side: int) -> None:
    header = encoded(Image.new("1", (8, 8)))
    bomb = header[:16] + side.to_bytes(4, "big") * 2 + header[24:]
    bomb = bomb[:29] + zlib.crc32(bomb[12:29]).to_bytes(4, "big") + bomb[33:]
    with pytest.raises(ImageProblem, match="claims more than"):
        decode(bomb)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_every_truncation_of_a_file_is_noticed() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 40), dtype=np.uint8))
    for format, ending in (("PNG", 20), ("JPEG", 20), ("TIFF", 1), ("BMP", 1)):
        whole = encoded(noise, format=format)
        for length in range(1, len(whole) - ending, 37):
            with pytest.raises(ImageProblem):
                decode(whole[:length])


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ImageProblem, match="is not a file"):
        read_bytes(tmp_path)


def test_threads_keep_the_order_also_with_a_progress_bar() -> None:
    items = range(image.PROGRESS_FROM + 5)
    assert in_threads(lambda n: n * n, items, "squares") == [n * n for n in items]
