"""What each tool can say besides, and what of it is refused."""

import base64
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from PIL import Image

from ...cli import call, status
from ..readers.layouts import nifti
from . import exports

STATED = ["--set", "site=a", "subject=1"]


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """One image, scan.png."""
    Image.fromarray(exports.pixels(0)).save(tmp_path / "scan.png")
    return tmp_path


def out(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}_out")


def imported(folder: Path, *words: str) -> tuple[pd.DataFrame, NDArray[np.uint8]]:
    """The manifest, and its first mask."""
    call("import", *words, *STATED, "--out", str(out(folder)))
    table = pd.read_csv(out(folder) / "manifest.csv")
    return table, np.array(Image.open(out(folder) / table["mask"][0]))


def refused(folder: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    assert status("import", *words, *STATED, "--out", str(out(folder))) == 1
    assert not out(folder).exists()
    return capsys.readouterr().err


def labelme(folder: Path, *shapes: dict[str, object], **changes: object) -> list[str]:
    size = {"imageHeight": exports.ROWS, "imageWidth": exports.COLUMNS}
    content = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": "scan.png", "imageData": None, **size}
    (folder / "scan.json").write_text(json.dumps(content | changes))
    return ["labelme", str(folder / "scan.json")]


SQUARE = {"label": "head", "points": [[4, 4], [8, 4], [8, 8], [4, 8]], "shape_type": "polygon"}


def test_labelme_a_circle_is_its_centre_and_a_point_of_it(picture: Path) -> None:
    circle = {"label": "head", "points": [[30, 20], [30, 32]], "shape_type": "circle"}
    mask = imported(picture, *labelme(picture, circle))[1]
    down, across = np.indices(mask.shape) + 0.5
    np.testing.assert_array_equal(mask == 255, np.hypot(down - 20, across - 30) < 12)


def test_labelme_an_image_that_is_in_the_file_alone_is_taken_from_it(picture: Path) -> None:
    data = base64.b64encode((picture / "scan.png").read_bytes()).decode()
    (picture / "scan.png").unlink()
    table, _ = imported(picture, *labelme(picture, SQUARE, imageData=data))
    assert table["image"][0] == "images/00001.png"
    np.testing.assert_array_equal(np.array(Image.open(out(picture) / "images/00001.png")), exports.pixels(0))


def test_no_image_outside_the_folder_is_taken(picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (picture / "inner").mkdir()
    (picture / "inner" / "link.png").symlink_to(picture / "scan.png")
    for name in ("../scan.png", str(picture / "scan.png"), "link.png", "scan\0.png"):
        words = labelme(picture / "inner", SQUARE, imagePath=name)
        assert "is not below" in refused(picture, capsys, *words)


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        ({"shape_type": "linestrip", "points": [[1, 1], [2, 2], [3, 1]]}, "is a linestrip of 3 points"),
        ({"points": [[1, 1], [2, 2]]}, "is a polygon of 2 points"),
        ({"points": [[1.1, 1.1], [1.2, 1.1], [1.2, 1.2]]}, "covers no pixel"),
        ({"points": [[1, 1], [70, 1], [9, 9]]}, "leaves the image of 60 x 40 px by 10 px"),
        ({"shape_type": "mask", "points": [[1, 1], [5, 5]], "mask": "iVBOR"}, "is no base64"),
        ({"label": "  "}, "label is '  ', not a text"),
    ],
)
def test_labelme_shapes_without_a_meaning_are_refused(
    picture: Path, capsys: pytest.CaptureFixture[str], shape: dict[str, object], text: str
) -> None:
    assert text in refused(picture, capsys, *labelme(picture, SQUARE, SQUARE | shape))


def cvat(folder: Path, shapes: str, head: str = "", image: str = "scan.png") -> list[str]:
    size = f'width="{exports.COLUMNS}" height="{exports.ROWS}"'
    text = (
        f'{head}<annotations><version>1.1</version><image id="0" name="{image}" {size}>{shapes}</image></annotations>'
    )
    (folder / "annotations.xml").write_text(text)
    return ["cvat", str(folder / "annotations.xml")]


def test_cvat_a_turned_ellipse_is_turned_clockwise(picture: Path) -> None:
    ellipse = '<ellipse label="head" cx="30" cy="20" rx="15" ry="5" rotation="30"/>'
    mask = imported(picture, *cvat(picture, ellipse))[1]
    down, across = np.indices(mask.shape) + 0.5
    turn = np.exp(-1j * np.deg2rad(30))
    point = ((across - 30) + 1j * (down - 20)) * turn
    np.testing.assert_array_equal(mask == 255, (point.real / 15) ** 2 + (point.imag / 5) ** 2 < 1)


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))


@pytest.mark.parametrize(
    "head",
    [
        f'<!DOCTYPE annotations [<!ENTITY l0 "ha">{LAUGHS}]>',
        '<!DOCTYPE annotations [<!ENTITY l11 SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE annotations SYSTEM "http://127.0.0.1/a.dtd">',
    ],
)
def test_cvat_a_document_type_is_not_read(picture: Path, capsys: pytest.CaptureFixture[str], head: str) -> None:
    words = cvat(picture, '<tag label="&l11;"/>', head)
    assert "defines a document type (annotations)" in refused(picture, capsys, *words)


@pytest.mark.parametrize(
    ("shapes", "text"),
    [
        ('<box label="nt" xtl="1" ytl="1" xbr="5" ybr="5" rotation="12"/>', "is a turned box"),
        ('<cuboid label="nt"/>', "is a <cuboid>"),
        ('<mask label="head" rle="3, 4" left="58" top="1" width="7" height="1"/>', "leaves the image"),
        ('<mask label="head" rle="3" left="8" top="1" width="99999" height="99999"/>', "which no image or mask has"),
        ('<tag label="good"/>', "word 'good' is none of"),
        ('<box label="nt" xtl="1" ytl="1" xbr="5" ybr="5"/>' * 2, "gives nt_x1 twice"),
        ("</image><track/><image>", "tracks of a video"),
    ],
)
def test_cvat_what_has_no_place_in_a_manifest_is_refused(
    picture: Path, capsys: pytest.CaptureFixture[str], shapes: str, text: str
) -> None:
    assert text in refused(picture, capsys, *cvat(picture, shapes))


def test_coco_of_an_unknown_image_or_category_or_with_an_id_twice_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = exports.coco(tmp_path)
    content = json.loads((tmp_path / "instances.json").read_text())
    content["annotations"][0]["image_id"] = 99
    content["annotations"][1]["category_id"] = 99
    (tmp_path / "instances.json").write_text(json.dumps(content))
    assert status("import", *words, "--out", str(tmp_path / "out")) == 1
    told = capsys.readouterr().err
    assert "image 99: is named by 1 annotations but is not in 'images'" in told
    assert "image 7: category_id 99 is not in 'categories'" in told
    content["images"][1]["id"] = 7
    (tmp_path / "instances.json").write_text(json.dumps(content))
    assert status("import", *words, "--out", str(tmp_path / "out")) == 1
    assert "images has id 7 twice" in capsys.readouterr().err


def slicer(folder: Path, content: bytes) -> list[str]:
    (folder / "scan.seg.nrrd").write_bytes(content)
    return ["slicer", str(folder / "scan.seg.nrrd")]


def test_slicer_an_nrrd_image_becomes_a_picture_with_square_pixels_and_their_size(tmp_path: Path) -> None:
    image, mm = exports.pixels(3), (0.2, 0.1)
    (tmp_path / "scan.nrrd").write_bytes(exports.nrrd(image[..., None], {}, mm))
    words = slicer(tmp_path, exports.nrrd(exports.labels()[..., None], exports.segments(b=(0, 1), c=(0, 2)), mm))
    table, mask = imported(tmp_path, *words)
    assert table.loc[0, ["image", "pixel_mm", "width", "height"]].tolist() == ["images/00001.png", 0.1, 60, 80]
    np.testing.assert_array_equal(mask, np.array([0, 127, 255], np.uint8)[exports.labels()].repeat(2, axis=0))
    assert Image.open(out(tmp_path) / "images/00001.png").size == (60, 80)


def test_slicer_a_file_of_one_voxel_shows_nothing(picture: Path) -> None:
    _, mask = imported(
        picture, *slicer(picture, exports.nrrd(np.zeros((1, 1, 1), np.uint8), exports.segments(b=(0, 1))))
    )
    assert mask.shape == (exports.ROWS, exports.COLUMNS)
    assert not mask.any()


@pytest.mark.parametrize(
    ("fields", "offset", "text"),
    [
        (exports.segments(b=(0, 1), c=(0, 2)), "1 0 0", "is it another's?"),
        (exports.segments(b=(0, 1), c=(0, 2)), "-1 0 0", "is it another's?"),
        (exports.segments(b=(0, 1), c=(0, 2)), "0 0", "not a finite number"),
        (exports.segments(b=(0, 1)), "0 0 0", "no SegmentN_LabelValue names: [2]"),
        (exports.segments(b=(0, 1), c=(1, 2)), "0 0 0", "is in layer 1, of 1"),
        ({"Segment0_Name": "b", "Segment0_LabelValue": "1"}, "0 0 0", "has no 'Segment0_Layer'"),
    ],
)
def test_slicer_what_does_not_fit_is_refused(
    picture: Path, capsys: pytest.CaptureFixture[str], fields: dict[str, str], offset: str, text: str
) -> None:
    words = slicer(picture, exports.nrrd(exports.labels()[..., None], fields, offset=offset))
    assert text in refused(picture, capsys, *words)


def test_nifti_the_labelled_frames_of_a_volume_become_pictures(tmp_path: Path) -> None:
    frames = np.stack([exports.pixels(n) for n in range(4)])
    shown = np.zeros_like(frames)
    shown[2] = exports.labels()
    (tmp_path / "scan.nii").write_bytes(nifti(frames, (0.2, 0.2)))
    (tmp_path / "scan_mask.nii").write_bytes(nifti(shown, (0.2, 0.2)))
    words = ["nifti", str(tmp_path), "--suffix", "_mask", "--colours", "brain=1", "csp=2"]
    table, mask = imported(tmp_path, *words)
    assert len(table) == 1
    assert table["pixel_mm"][0] == pytest.approx(0.2)
    np.testing.assert_array_equal(mask, np.array([0, 127, 255], np.uint8)[exports.labels()])
    np.testing.assert_array_equal(np.array(Image.open(out(tmp_path) / "images/00001.png")), frames[2])


@pytest.mark.parametrize(
    ("stated", "text"),
    [
        (["--colours", "brain=1"], "has labels that are not 0 or 1 (2: 60 px)"),
        (["--colours", "brain=1,1,1"], "state them as numbers"),
        ([], "site 'a' has no colours"),
        (["--colours", "brain=1", "csp=2", "--suffix", "_x"], "no name here ends with '_x'"),
    ],
)
def test_nifti_labels_that_are_not_stated_are_refused(
    picture: Path, capsys: pytest.CaptureFixture[str], stated: list[str], text: str
) -> None:
    (picture / "scan.nii").write_bytes(nifti(exports.labels(), (0.2, 0.2)))
    assert text in refused(picture, capsys, "nifti", str(picture), *stated)


def test_masks_a_jpeg_shows_what_is_as_bright_as_stated(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder in ("images", "masks"):
        (tmp_path / folder).mkdir()
    Image.fromarray(exports.pixels(0)).save(tmp_path / "images" / "scan.png")
    truth = exports.labels() > 0
    Image.fromarray((255 * truth).astype(np.uint8)).save(tmp_path / "masks" / "scan.jpg", quality=70)
    words = ["masks", str(tmp_path / "masks"), "--images", str(tmp_path / "images"), "--colours"]
    assert "compressed like a photograph" in refused(tmp_path, capsys, *words, "head=255")
    _, mask = imported(tmp_path, *words, "head=128+")
    np.testing.assert_array_equal(mask == 255, truth)


def test_masks_beside_their_images_need_a_suffix(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Image.fromarray(exports.pixels(0)).save(tmp_path / "scan.png")
    Image.fromarray(exports.labels()).save(tmp_path / "scan_mask.png")
    words = ["masks", str(tmp_path), "--colours", "brain=1", "csp=2"]
    assert "--suffix _mask" in refused(tmp_path, capsys, *words)
    table, _ = imported(tmp_path, *words, "--suffix", "_mask")
    assert table["image"].tolist() == [str((tmp_path / "scan.png").resolve())]
