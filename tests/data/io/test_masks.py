import io
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from ushydra_lab.data.io.image import ImageProblem
from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.errors import UserError
from ushydra_lab.geometry.ellipse import Ellipse, contour

RED, GREEN, YELLOW, BLUE, MAROON = (255, 0, 0), (0, 255, 0), (255, 255, 0), (0, 0, 255), (128, 0, 0)
HEAD = MaskCode(("head",), {(255, 255, 255): 1}, outline=True)


def png(array: np.ndarray, mode: str | None = None) -> bytes:
    file = io.BytesIO()
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(file, format="PNG")
    return file.getvalue()


def line(ellipse: Ellipse, shape: tuple[int, int], width: float = 2.6) -> np.ndarray:
    """The outline as a grey image, its line's middle on the ellipse."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    radius = ellipse.radius(np.stack([x, y], axis=-1))
    gradient = np.hypot(*np.gradient(radius))
    return (np.abs(radius - 1) < width / 2 * gradient).astype(np.uint8) * 255


def painted(**regions: tuple[int, int, int]) -> np.ndarray:
    array = np.zeros((20, 30, 3), np.uint8)
    for row, colour in enumerate(regions.values()):
        array[4 * row + 1 : 4 * row + 4, 5:10] = colour
    return array


@given(st.permutations([0, 7, 128, 255]), st.sampled_from([None, "RGB", "RGBA", "P"]))
def test_labels_follow_the_order_of_the_names_whatever_the_file_stores(values: list[int], mode: str | None) -> None:
    structures = {f"s{value}": value for value in values if value}
    pixels = np.random.default_rng(0).choice(np.array([0, 7, 128, 255], np.uint8), (20, 30))
    labels = MaskCode.of(structures).decode(png(pixels, mode))
    for label, value in enumerate(structures.values(), 1):
        assert ((labels == label) == (pixels == value)).all()
    assert ((labels == 0) == (pixels == 0)).all()


def test_colours_are_read_as_red_green_blue() -> None:
    code = MaskCode.of({"brain": list(RED), "csp": list(GREEN), "lv": list(BLUE)})
    labels = code.decode(png(painted(a=BLUE, b=RED, c=GREEN)))
    assert [labels[2, 7], labels[6, 7], labels[10, 7], labels[0, 0]] == [3, 1, 2, 0]


WHITE = MaskCode.of({"head": 255})


@pytest.mark.parametrize("below", [0, 255])
def test_what_is_transparent_is_background_whatever_colour_lies_below(below: int) -> None:
    rgba = np.full((20, 30, 4), 255, np.uint8)
    inside = np.zeros((20, 30), bool)
    inside[5:15, 8:20] = True
    rgba[~inside] = (below, below, below, 0)
    for content in (png(rgba), png(rgba[..., [0, 3]]), png(np.asarray(Image.fromarray(rgba))[..., [0, 3]], "RGBA")):
        np.testing.assert_array_equal(WHITE.decode(content), inside)


def test_a_mask_that_is_half_or_wholly_transparent_is_refused() -> None:
    rgba = np.full((20, 30, 4), 255, np.uint8)
    rgba[..., 3] = 128
    with pytest.raises(ImageProblem, match="mask is half transparent"):
        WHITE.decode(png(rgba))
    rgba[..., 3] = 0
    with pytest.raises(ImageProblem, match="transparent all over but has colours below"):
        WHITE.decode(png(rgba))
    assert WHITE.decode(png(np.zeros((20, 30, 4), np.uint8))).max() == 0


def test_colours_of_a_palette_count_and_its_indices_do_not() -> None:
    picture = Image.fromarray(np.eye(8, dtype=np.uint8)).convert("P")
    picture.putpalette([0, 0, 0, 128, 0, 0])
    picture.save(file := io.BytesIO(), "PNG")
    np.testing.assert_array_equal(MaskCode.of({"head": [128, 0, 0]}).decode(file.getvalue()), np.eye(8))
    with pytest.raises(ImageProblem, match=r"unknown colours \(\(128, 0, 0\): 8 px.*palette's colours count"):
        MaskCode.of({"head": 1}).decode(file.getvalue())


def test_a_one_bit_tiff_of_white_zero_is_read_as_it_is_seen() -> None:
    seen = np.eye(16, dtype=bool)
    for photometric in ("minisblack", "miniswhite"):
        stored = seen if photometric == "minisblack" else ~seen
        tifffile.imwrite(file := io.BytesIO(), stored, photometric=photometric)
        np.testing.assert_array_equal(WHITE.decode(file.getvalue()), seen)
    tifffile.imwrite(file := io.BytesIO(), seen.astype(np.uint16), photometric="miniswhite")
    with pytest.raises(ImageProblem, match="of which 0 is white"):
        WHITE.decode(file.getvalue())


def test_unknown_colours_are_counted_and_the_known_ones_named() -> None:
    code = MaskCode.of({"brain": list(RED), "cyst": 9})
    message = r"\(40, 0, 0\): 15 px.*known are \(255, 0, 0\) brain, 9 cyst and black; was it smoothed or saved as JPEG"
    with pytest.raises(ImageProblem, match=message):
        code.decode(png(painted(a=RED, b=(40, 0, 0))))
    noise = np.arange(600, dtype=np.uint8).reshape(20, 30)
    with pytest.raises(ImageProblem, match="and 248 more"):
        code.decode(png(noise))


def test_one_file_is_of_one_colour_code() -> None:
    code = MaskCode(("brain", "csp"), {RED: 1, GREEN: 2}, others=({RED: 1, YELLOW: 2}, {MAROON: 1}))
    for colours in ([RED, GREEN], [RED, YELLOW], [MAROON], []):
        labels = code.decode(png(painted(**{str(i): colour for i, colour in enumerate(colours)})))
        assert set(np.unique(labels)) == set(range(len(colours) + 1))
    with pytest.raises(ImageProblem, match=r"mixes the colours of different codes .*\(128, 0, 0\): 15 px"):
        code.decode(png(painted(a=RED, b=MAROON)))


@pytest.mark.parametrize(
    ("structures", "message"),
    [
        ({"a": 256}, "a: 256 is neither"),
        ({"a": [1, 2]}, "neither a grey value nor"),
        ({"a": "red"}, "neither"),
        ({"a": 0}, "is the background"),
        ({"a": 5, "b": [5, 5, 5]}, "b: .* is given twice"),
    ],
)
def test_impossible_colours_are_refused(structures: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MaskCode.of(structures)


def test_the_key_tells_codes_apart() -> None:
    codes = [
        MaskCode.of({"a": 1, "b": 2}),
        MaskCode.of({"a": 2, "b": 1}),
        MaskCode.of({"b": 1, "a": 2}),
        MaskCode(("a", "b"), {(1, 1, 1): 1, (2, 2, 2): 2}, others=({RED: 1},)),
        MaskCode(("a", "b"), {(1, 1, 1): 1, (2, 2, 2): 2}, outline=True),
    ]
    assert len({code.key for code in codes}) == len(codes)
    assert codes[0].key == MaskCode.of({"a": 1, "b": 2}).key


@given(st.floats(-30, 230), st.floats(-30, 170), st.floats(60, 110), st.floats(0.6, 0.95), st.floats(-1.5, 1.5))
def test_an_outline_is_filled_to_the_middle_of_its_line_also_where_the_image_cuts_it(
    x: float, y: float, major: float, ratio: float, angle: float
) -> None:
    ellipse, shape = Ellipse(x, y, major, ratio * major, angle), (140, 200)
    expected = ellipse.inside(shape)
    drawn = line(ellipse, shape)
    if drawn.astype(bool).sum() < 0.5 * 2.6 * ellipse.perimeter or expected.sum() < 3000:
        return  # less than half of the outline is in the image
    labels = HEAD.decode(png(drawn))
    assert (labels.astype(bool) != expected).sum() < 0.015 * expected.sum()


def test_the_corner_of_an_image_inside_an_ellipse_is_filled() -> None:
    ellipse = Ellipse(50, 40, 90, 70, 0.3)
    labels = HEAD.decode(png(line(ellipse, (140, 200))))
    assert labels[0, 0] == 1
    assert (labels.astype(bool) != ellipse.inside((140, 200))).sum() < 200


def test_an_outline_with_a_gap_is_filled_and_an_empty_one_stays_empty() -> None:
    ellipse = Ellipse(100, 70, 80, 50, 0.3)
    drawn = line(ellipse, (140, 200))
    drawn[:, 60:70] = 0
    assert (HEAD.decode(png(drawn)).astype(bool) != ellipse.inside((140, 200))).sum() < 100
    assert not HEAD.decode(png(np.zeros((140, 200), np.uint8))).any()


def draw(*shapes: tuple[str, tuple[int, int, int, int]]) -> np.ndarray:
    image = Image.new("L", (200, 140))
    for name, box in shapes:
        getattr(ImageDraw.Draw(image), name)(box, **({"fill": 255} if name != "line" else {"fill": 255, "width": 3}))
    return np.array(image)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (draw(("ellipse", (40, 30, 160, 110))), "filled already"),
        (np.maximum(line(Ellipse(60, 70, 40, 30, 0), (140, 200)), draw(("rectangle", (180, 90, 190, 99)))), "off the"),
        (draw(("line", (10, 10, 190, 100))), "outline"),
        (draw(("rectangle", (50, 50, 53, 53))), "encloses nothing"),
        (draw(("rectangle", (50, 50, 50, 50))), "no outline"),
    ],
)
def test_what_is_no_outline_of_one_ellipse_is_refused(pixels: np.ndarray, message: str) -> None:
    with pytest.raises(ImageProblem, match=message):
        HEAD.decode(png(pixels))


@pytest.mark.real
def test_every_real_outline_is_filled(real_data: Path) -> None:
    files = sorted((real_data / "hc18" / "training_set").glob("*_Annotation.png"))
    assert files
    for file in files:
        labels = HEAD.decode(file.read_bytes())
        outline = np.asarray(Image.open(file)) > 0
        rim = contour(labels > 0)
        assert outline[(rim[:, 1] - 0.5).round().astype(int), (rim[:, 0] - 0.5).round().astype(int)].mean() > 0.95
        assert labels.mean() > 0.05


def test_structures_can_be_chosen_joined_and_renumbered() -> None:
    code = MaskCode.of({"parenchyma": [255, 0, 0], "csp": [0, 255, 0], "lv": [0, 0, 255]})
    colours = np.array([[RED, GREEN, BLUE, (0, 0, 0)]], np.uint8)
    assert code.decode(png(colours)).tolist() == [[1, 2, 3, 0]]
    only = code.relabelled(["lv", "csp"])
    assert only.structures == ("lv", "csp")
    assert only.decode(png(colours)).tolist() == [[0, 2, 1, 0]]
    head = code.relabelled(["head=parenchyma+csp+lv"])
    assert head.decode(png(colours)).tolist() == [[1, 1, 1, 0]]
    assert len({code.key, only.key, head.key}) == 3
    assert only.relabelled(["x=csp"]).decode(png(colours)).tolist() == [[0, 1, 0, 0]]
    with pytest.raises(UserError, match=r"show parenchyma, csp, lv, not 'parenchym' \(did you mean 'parenchyma'"):
        code.relabelled(["head=parenchym+csp"])
    with pytest.raises(UserError, match=r"show lv, csp, not 'head'; choose of these: structures=\[lv,csp\]"):
        only.relabelled(["head"])
    with pytest.raises(ImageProblem, match=r"known are \(255, 0, 0\) background, \(0, 255, 0\) csp"):
        only.decode(png(np.full((2, 2, 3), 9, np.uint8)))
