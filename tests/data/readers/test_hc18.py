import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ushydra_lab.data.geometry import diameters
from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import hc18
from ushydra_lab.errors import UserError
from ushydra_lab.geometry.ellipse import Ellipse, contour, fit

HEADS = {
    "000_HC.png": Ellipse(80, 60, 50, 35, 0.4),
    "010_HC.png": Ellipse(75, 55, 45, 36, -0.7),
    "010_2HC.png": Ellipse(78, 50, 44, 36, -0.6),
    "020_HC.png": Ellipse(30, 55, 50, 40, 0.0),
}
PIXEL = 0.2


def outline(head: Ellipse) -> Image.Image:
    y, x = np.mgrid[:110, :160] + 0.5
    radius = head.radius(np.stack([x, y], axis=-1))
    return Image.fromarray((np.abs(radius - 1) < 1.3 * np.hypot(*np.gradient(radius))).astype(np.uint8) * 255)


def noise(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (110, 160), dtype=np.uint8))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small copy: 020's ellipse leaves the image, 030 was not downloaded, the test CSV has CRLF."""
    home = tmp_path / "unpacked"
    for folder in ("training_set", "test_set"):
        (home / folder).mkdir(parents=True)
    lines = ["filename,pixel size(mm),head circumference (mm)", f"030_HC.png,{PIXEL},99"]
    for index, (name, head) in enumerate(HEADS.items()):
        noise(index).save(home / "training_set" / name)
        outline(head).save(home / "training_set" / name.replace(".png", "_Annotation.png"))
        lines.append(f"{name},{PIXEL},{PIXEL * head.perimeter:.2f}")
    noise(99).save(home / "test_set" / "000_HC.png")
    (home / hc18.TRAIN).write_bytes("\n".join(lines).encode())
    (home / hc18.TEST).write_bytes(f"filename,pixel size(mm)\r\n000_HC.png,{PIXEL}\r\n".encode("utf-8-sig"))
    return tmp_path


def test_axes_are_ofd_and_bpd_and_the_filled_mask_has_the_published_circumference(root: Path) -> None:
    manifest = check_manifest(hc18.read(root))
    assert manifest.masks is not None
    table = manifest.table[manifest.table["mask"] != ""]
    for row, head in zip(table.itertuples(), HEADS.values(), strict=True):
        mask = manifest.masks.decode(Path(row.mask).read_bytes())
        perimeter = fit(contour(mask > 0)).perimeter
        assert row.pixel_mm * perimeter == pytest.approx(row.hc_mm, rel=0.01)
        if head.x > 40:
            assert diameters(table.loc[[row.Index]])[0] == pytest.approx([2 * head.major, 2 * head.minor], abs=0.3)
            assert [row.ofd_1_x, row.ofd_1_y] == pytest.approx(head.ends[0], abs=0.5)


def test_repeats_are_one_subject_and_the_unlabelled_test_images_belong_to_others(root: Path) -> None:
    table = check_manifest(hc18.read(root)).table
    assert table["subject"].tolist() == ["000", "010", "010", "020", "test_000"]
    assert table["part"].tolist() == ["train"] * 4 + [""]
    assert table["mask"].tolist()[-1] == ""


def test_a_head_whose_diameter_ends_outside_the_image_has_a_mask_but_no_landmarks(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    row = check_manifest(hc18.read(root)).table.set_index("subject").loc["020"]
    assert row[hc18.LANDMARKS].isna().all()
    assert row["mask"].endswith("020_HC_Annotation.png")
    assert "1 outlines have no diameters within the image" in capsys.readouterr().out


def test_rows_of_images_that_are_not_there_are_kept_for_the_audit(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = hc18.read(root)
    assert source.table["image"].iloc[0] == "unpacked/training_set/030_HC.png"
    assert source.table.index[0] == f"2 of {hc18.TRAIN}"
    check_manifest(source)
    assert "1 of 6 rows name images that are not there" in capsys.readouterr().out


def test_folders_inside_folders_of_their_name_are_found(root: Path) -> None:
    home = root / "unpacked"
    (home / "training_set").rename(home / "inner")
    (home / "training_set").mkdir()
    (home / "inner").rename(home / "training_set" / "training_set")
    assert len(check_manifest(hc18.read(root)).table) == 5


def test_missing_and_damaged_annotations_are_left_out_and_named_with_their_line(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = root / "unpacked" / "training_set"
    (home / "000_HC_Annotation.png").unlink()
    Image.new("L", (160, 110), 255).save(home / "010_HC_Annotation.png")
    message = r"(?s)line 3 of .*000_HC_Annotation.png.*not found.*line 4 of .*no outline"
    assert len(check_manifest(hc18.read(root)).table) == 3
    assert re.search(
        f"2 of .* files cannot be used and are left out.*{message[4:]}", capsys.readouterr().out, re.DOTALL
    )
    with pytest.raises(UserError, match=message):
        check_manifest(hc18.read(root, strict=True))


def test_what_is_not_there_is_said_with_where_to_get_it(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"10.5281/zenodo.1327317.*data.root"):
        hc18.read(tmp_path / "nowhere")
    csv = root / "unpacked" / hc18.TRAIN
    csv.write_text(csv.read_text().replace("000_HC.png", "../000_HC.png"))
    with pytest.raises(UserError, match=r"line 3: '../000_HC.png' is not the name of a file"):
        hc18.read(root)
    csv.write_text("filename,pixel size\n")
    with pytest.raises(UserError, match=r"'pixel size\(mm\)' \(did you mean 'pixel size'"):
        hc18.read(root)


@pytest.mark.real
def test_real_perimeters_are_the_published_circumferences(real_data: Path) -> None:
    table = check_manifest(hc18.read(real_data / "hc18")).table
    heads = table[table["mask"] != ""]
    assert heads[hc18.LANDMARKS].notna().all(axis=None)
    axes = diameters(heads) / 2
    perimeters = [Ellipse(0, 0, *semi, 0).perimeter for semi in axes]
    error = (heads["pixel_mm"] * perimeters - heads["hc_mm"]).abs()
    assert len(error) == len(heads) > 0
    assert error.mean() < 0.01
    assert error.max() < 0.05
    multicentre = pd.read_csv(real_data / "hc18/landmarks/multicentre_HC18/Head.csv", index_col="image_name")
    ends = multicentre.loc[heads["image"].map(lambda path: Path(path).name), hc18.LANDMARKS].to_numpy(float) + 0.5
    centres = [points.reshape(-1, 4, 2).mean(axis=1) for points in (ends, heads[hc18.LANDMARKS].to_numpy())]
    assert np.abs(np.median(centres[0] - centres[1], axis=0)).max() < 0.15
