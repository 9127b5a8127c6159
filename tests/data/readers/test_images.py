from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import images
from ushydra_lab.errors import UserError


def write(root: Path, *names: str) -> None:
    for k, name in enumerate(names):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(k).integers(0, 256, (20, 30), dtype=np.uint8)).save(root / name)


def test_every_image_below_the_folder_is_a_row(tmp_path: Path) -> None:
    write(tmp_path, "a.png", "p1/b.JPG", "p1/c.tif", "__MACOSX/d.png")
    (tmp_path / "notes.txt").write_text("none")
    table = check_manifest(images.read(tmp_path, "lung")).table
    assert [Path(path).name for path in table["image"]] == ["a.png", "b.JPG", "c.tif"]
    assert table["subject"].tolist() == ["a.png", "p1/b.JPG", "p1/c.tif"]
    assert images.read(tmp_path, "lung", "folder").table["subject"].tolist() == [".", "p1", "p1"]


def test_what_cannot_be_meant_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no image here"):
        images.read(tmp_path, "lung")
    write(tmp_path, "a.png")
    with pytest.raises(UserError, match=r"data.subject = 'person' is not one of image, folder"):
        images.read(tmp_path, "lung", "person")
    with pytest.raises(UserError, match=r"data.site = True was not read as a name"):
        images.read(tmp_path, True)  # type: ignore[arg-type]


def test_a_damaged_image_is_left_out_and_named_unless_strict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(tmp_path, "a.png", "b.png")
    (tmp_path / "c.png").write_text("no image")
    assert check_manifest(images.read(tmp_path, "lung")).table["subject"].tolist() == ["a.png", "b.png"]
    assert "1 of 3 files cannot be used and are left out" in (printed := capsys.readouterr().out)
    assert "(c.png): " in printed
    with pytest.raises(UserError, match=r"c.png"):
        check_manifest(images.read(tmp_path, "lung", strict=True))


def test_a_jpeg_with_a_preview_is_one_image(tmp_path: Path) -> None:
    frames = [Image.fromarray(np.full((20, 30), grey, np.uint8)) for grey in (200, 10)]
    frames[0].save(tmp_path / "a.jpg", format="MPO", save_all=True, append_images=frames[1:])
    assert Image.open(tmp_path / "a.jpg").format == "MPO"
    table = check_manifest(images.read(tmp_path, "clinic")).table
    assert (table["height"][0], table["width"][0]) == (20, 30)


def test_a_link_that_leads_to_itself_does_not_stop_the_folder(tmp_path: Path) -> None:
    write(tmp_path, "a.png")
    (tmp_path / "loop.png").symlink_to("loop.png")
    table = check_manifest(images.read(tmp_path, "clinic")).table
    assert [Path(path).name for path in table["image"]] == ["a.png"]


@pytest.mark.real
def test_the_real_lung_images_are_read(real_data: Path) -> None:
    found = check_manifest(images.read(real_data / "lung_pocus", "lung")).table
    assert len(found) == len([*(real_data / "lung_pocus/images").iterdir()])
