"""What image files declare about their pixels: values by the format's specification, Pillow and tifffile to write."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms, PngImagePlugin

from ushydra_lab.data.io.image import decode, decode_colours
from ushydra_lab.data.io.image_header import ORIENTATION, ImageProblem

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)
DEEP = (RAMP.astype(np.uint16) << 8) + RAMP


def tiff(pixels: NDArray[np.generic], **options: object) -> bytes:
    tifffile.imwrite(buffer := io.BytesIO(), pixels, **{"metadata": None, **options})
    return buffer.getvalue()


def saved(picture: Image.Image, format: str = "PNG", **options: object) -> bytes:
    picture.save(buffer := io.BytesIO(), format, **options)
    return buffer.getvalue()


def with_chunk(png: bytes, kind: bytes, content: bytes) -> bytes:
    """The chunk behind the header of a PNG file."""
    chunk = struct.pack(">I", len(content)) + kind + content
    return png[:33] + chunk + struct.pack(">I", zlib.crc32(kind + content)) + png[33:]


def tagged(content: bytes, tag: int, values: list[int]) -> bytes:
    """A TIFF with one more tag of 16-bit values, written anew by Pillow."""
    with Image.open(io.BytesIO(content)) as picture:
        tags = Image.Exif()
        tags[tag] = tuple(values)
        return saved(picture, "TIFF", tiffinfo=tags)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("photometric", ["minisblack", "miniswhite"])
@pytest.mark.parametrize("pixels", [RAMP, DEEP], ids=["8 bits", "16 bits"])
def test_a_tiff_is_as_black_as_it_says_in_every_depth_and_byte_order(
    order: str, compression: str | None, photometric: str, pixels: NDArray[np.generic]
) -> None:
    content = tiff(pixels, byteorder=order, photometric=photometric, compression=compression)
    if (order, photometric, pixels.dtype.itemsize) == (">", "miniswhite", 2):  # which Pillow does not know
        with pytest.raises(ImageProblem, match="unusual pixels"):
            decode(content)
        return
    expected = RAMP if photometric == "minisblack" else 255 - RAMP
    np.testing.assert_array_equal(decode(content).grey, expected)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_colours_stored_one_after_another_are_read_right_or_refused(
    compression: str | None, kind: type[np.unsignedinteger]
) -> None:
    planes = np.stack([RAMP, 255 - RAMP, RAMP // 2])
    deep = kind is np.uint16
    content = tiff(
        planes.astype(kind) * (257 if deep else 1),
        photometric="rgb", planarconfig="separate", compression=compression,
    )  # fmt: skip
    if deep and compression is None:  # of which Pillow takes every byte for a pixel
        for read in (decode, decode_colours):
            with pytest.raises(ImageProblem, match="one after another with more than 8 bits"):
                read(content)
        return
    np.testing.assert_array_equal(decode_colours(content).pixels, planes.transpose(1, 2, 0))


def test_twelve_bits_are_read_by_the_range_of_twelve() -> None:
    values = (np.arange(256, dtype=np.uint32) * 4095 + 127) // 255
    packed = b"".join(struct.pack(">I", int(a) << 20 | int(b) << 8)[:3] for a, b in values.reshape(-1, 2))
    tags = [(256, 16), (257, 16), (258, 12), (259, 1), (262, 1), (273, 122), (277, 1), (278, 16), (279, len(packed))]
    header = b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags))
    header += b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags) + bytes(4)
    content = header.ljust(122, b"\0") + packed
    with Image.open(io.BytesIO(content)) as opened:
        np.testing.assert_array_equal(np.asarray(opened).ravel(), values)
    decoded = decode(content)
    np.testing.assert_array_equal(decoded.grey, RAMP)
    assert decoded.peak == 65535


@pytest.mark.parametrize("largest", [255, 1023, 4095, 65535])
def test_a_pgm_is_read_by_the_range_that_it_declares(largest: int) -> None:
    values = np.rint(RAMP / 255 * largest).astype(">u1" if largest < 256 else ">u2")
    assert np.abs(decode(b"P5 16 16 %d\n" % largest + values.tobytes()).grey.astype(int) - RAMP).max() == 0


@pytest.mark.parametrize("kind", [np.int8, np.int16])
def test_signed_samples_are_refused(kind: type[np.signedinteger]) -> None:
    with pytest.raises(ImageProblem, match="signed samples"):
        decode(tiff((RAMP.astype(int) - 128).astype(kind)))


@pytest.mark.parametrize("tag", [291, 301])
def test_a_tone_curve_in_a_tiff_is_refused(tag: int) -> None:
    with pytest.raises(ImageProblem, match="tone curve of its own"):
        decode(tagged(tiff(RAMP), tag, [65535 - 256 * n for n in range(256)]))


@pytest.mark.parametrize(("gamma", "refused"), [(0.45455, False), (0.5, False), (1.0, True), (0.2, True), (0.0, False)])
def test_a_gamma_that_changes_what_is_seen_is_refused(gamma: float, refused: bool) -> None:
    content = with_chunk(saved(Image.fromarray(RAMP)), b"gAMA", struct.pack(">I", round(gamma * 100_000)))
    if refused:
        with pytest.raises(ImageProblem, match="declares a gamma of"):
            decode(content)
        decode(with_chunk(content, b"sRGB", b"\0"))  # which counts before gAMA
    else:
        np.testing.assert_array_equal(decode(content).grey, RAMP)
    assert decode_colours(content).pixels[3, 3, 0] == RAMP[3, 3]  # labels are no grey levels


def profile_of_gamma(gamma: float) -> bytes:
    """An ICC profile of grey with this exponent, by the specification (ICC.1:2001): kTRC and wtpt."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)
    point = b"XYZ " + bytes(4) + struct.pack(">iii", 63190, 65536, 54061)
    table = struct.pack(">I4sII4sII", 2, b"kTRC", 156, 14, b"wtpt", 172, 20)
    head = struct.pack(">I4sI4s4s4s", 192, b"lcms", 0x02400000, b"mntr", b"GRAY", b"XYZ ")
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp").ljust(44, b"\0")
    return (head + struct.pack(">iii", 63190, 65536, 54061)).ljust(128, b"\0") + table + curve + point


def test_a_colour_profile_that_changes_grey_levels_is_refused() -> None:
    with pytest.raises(ImageProblem, match="colour profile that changes its grey values"):
        decode(saved(Image.fromarray(RAMP), icc_profile=profile_of_gamma(1.0)))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile, mode in ((srgb, "RGB"), (profile_of_gamma(2.2), "L"), (b"no profile", "L")):
        np.testing.assert_array_equal(
            decode(saved(Image.fromarray(RAMP).convert(mode), icc_profile=profile)).grey, RAMP
        )


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF"])
def test_pixels_that_are_not_square_are_refused(format: str) -> None:
    assert decode(saved(Image.fromarray(RAMP), format, dpi=(96, 96))).grey.shape == (16, 16)
    with pytest.raises(ImageProblem, match=r"not square \(width to height 0.5 : 1\)"):
        decode(saved(Image.fromarray(RAMP), format, dpi=(192, 96)))


@pytest.mark.parametrize("format", ["PNG", "JPEG", "TIFF", "WEBP"])
@given(st.sampled_from([*range(1, 12), 0, 255, 65535]))
def test_only_orientations_of_2_to_8_turn(format: str, orientation: int) -> None:
    turned = Image.Exif()
    turned[ORIENTATION] = orientation
    content = saved(Image.fromarray(RAMP[:8]).convert("RGB"), format, exif=turned)
    if 2 <= orientation <= 8:
        for read in (decode, decode_colours):
            with pytest.raises(ImageProblem, match="EXIF orientation"):
                read(content)
    else:
        assert decode(content).grey.shape == (8, 16)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
@pytest.mark.parametrize("exif", [b"Exif\0\0nonsense", b"Exif\0\0II*\0\xff\xff\xff\xff", b"II*\0"])
def test_an_exif_block_that_cannot_be_read_turns_nothing(exif: bytes) -> None:
    assert decode(saved(Image.fromarray(RAMP), "JPEG", exif=exif)).grey.shape == (16, 16)


def test_the_palette_of_a_tiff_has_16_bits_or_mistakenly_8() -> None:
    ramp = np.arange(256)[::-1]
    for palette in (np.stack([ramp] * 3) * 257, np.stack([ramp] * 3)):
        content = tiff(RAMP, photometric="palette", colormap=palette.astype(np.uint16))
        np.testing.assert_array_equal(decode(content).grey, 255 - RAMP)


def transparent(mode: str) -> Image.Image:
    """White all over, the left half transparent."""
    if mode == "I;16":
        return Image.fromarray(np.where(np.arange(16) < 8, 60000, 65535).astype(np.uint16)[None].repeat(4, 0))
    picture = Image.new("RGBA", (16, 4), "white")
    picture.putalpha(Image.fromarray(np.where(np.arange(16) < 8, 0, 255).astype(np.uint8)[None].repeat(4, 0)))
    return picture.convert(mode)


@pytest.mark.parametrize(
    ("mode", "format", "options"),
    [
        ("RGBA", "PNG", {}),
        ("LA", "PNG", {}),
        ("RGBA", "TIFF", {}),
        ("RGBA", "WEBP", {"lossless": True, "exact": True}),
        ("PA", "PNG", {}),
        ("I;16", "PNG", {"transparency": 60000}),
    ],
    ids=str,
)
def test_what_is_transparent_is_black_in_images(mode: str, format: str, options: dict[str, object]) -> None:
    picture = transparent(mode) if mode != "PA" else transparent("RGBA").quantize(4)
    grey = decode(saved(picture, format, **options)).grey
    assert grey[:, :8].max() == 0
    assert grey[:, 8:].min() == 255


def test_a_png_of_one_transparent_colour_is_black_there() -> None:
    for mode, value in (("L", 7), ("RGB", (7, 7, 7))):
        picture = Image.fromarray(RAMP).convert(mode)
        info = {"transparency": value}
        assert decode(saved(picture, **info)).grey[0, 7] == 0
        assert decode_colours(saved(picture, **info)).pixels[0, 7].max() == 0
        assert decode_colours(saved(picture, **info)).pixels[0, 8].tolist() == [8, 8, 8]


@pytest.mark.parametrize(
    ("depth", "row"), [(1, b"\x0f"), (2, b"\x0f\xf0"), (4, b"\x00\x0f\xff\xf0"), (8, b"\0\xff\xff")]
)
def test_the_transparent_value_is_one_of_the_stored_depth(depth: int, row: bytes) -> None:
    chunks = [(b"IHDR", struct.pack(">2I5B", 8 * len(row) // depth, 1, depth, 0, 0, 0, 0))]
    chunks += [(b"tRNS", struct.pack(">H", 2**depth - 1)), (b"IDAT", zlib.compress(b"\0" + row)), (b"IEND", b"")]
    content = b"\x89PNG\r\n\x1a\n"
    for kind, body in chunks:
        content += struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    assert decode(content).grey.max() == 0
    assert decode_colours(content).pixels.max() == 0


def test_an_orientation_in_a_png_text_turns_too() -> None:
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", '<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"></x:xmpmeta>')
    with pytest.raises(ImageProblem, match="EXIF orientation"):
        decode(saved(Image.fromarray(RAMP), pnginfo=text))


@pytest.mark.real
def test_no_real_image_is_refused_for_what_it_declares(real_data: Path) -> None:
    for path in [*(real_data / "lung_pocus" / "images").iterdir(), *sorted(real_data.glob("hc18/training_set/*"))[:40]]:
        with Image.open(path) as opened:
            opened.load()
            bare = Image.fromarray(np.asarray(opened), opened.mode if opened.mode != "P" else None)
        np.testing.assert_array_equal(decode(path.read_bytes()).grey, decode(saved(bare)).grey)
