from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import large_fetal_head
from ushydra_lab.errors import UserError

RED, GREEN, YELLOW, BLUE = (255, 0, 0), (0, 255, 0), (255, 255, 0), (0, 0, 255)
MAROON, DARK_GREEN, OLIVE = (128, 0, 0), (0, 128, 0), (128, 128, 0)
THALAMIC = "Patient00168_Plane3_1_of_3.png"
OTHER = "Patient00168_Plane3_2_of_3.png"


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def image(path: Path) -> None:
    rng = np.random.default_rng(list(path.name.encode()))
    save(path, np.repeat(rng.integers(0, 256, (66, 96, 1), dtype=np.uint8), 3, axis=2))


def mask(path: Path, *colours: tuple[int, int, int]) -> None:
    pixels = np.zeros((66, 96, 3), np.uint8)
    for number, colour in enumerate(colours):
        pixels[10 + 10 * number : 20 + 10 * number, 20:60] = colour
    save(path, pixels)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """As unpacked: four archives with those of the masks inside; no mask of one image, no image of one mask."""
    plane = tmp_path / "Trans-thalamic"
    image(plane / "Trans-thalamic" / THALAMIC)
    image(plane / "Trans-thalamic" / OTHER)
    mask(plane / "Trans-thalamic-Segmentation" / "SegmentationClass" / THALAMIC, RED, GREEN, BLUE)
    (plane / "Trans-Thalamic-Pixel-Size.csv").write_bytes(
        f"Label,Pixel  in mm\r\n{THALAMIC},0.12\r\n".encode("utf-8-sig")
    )
    name = "Patient00171_Plane3_1_of_1.png"
    mask(tmp_path / "Trans-ventricular/Trans-ventricular-segmentation-mask/SegmentationClass" / name, RED, BLUE)
    diverse = tmp_path / "Diverse Fetal Head Images"
    for name in ("010_HC.png", "010_2HC.png"):
        image(diverse / "Orginal_train_images_to_959_661" / name)
        mask(diverse / "Test-Dataset-Segmentation" / "SegmentationClass" / name, RED, YELLOW, BLUE)
        mask(diverse / "Test-Dataset-PASCAL" / "SegmentationClass" / name, MAROON, DARK_GREEN, OLIVE)
    return tmp_path


def labels(root: Path, name: str) -> list[int]:
    manifest = check_manifest(large_fetal_head.read(root))
    assert manifest.masks is not None
    path = next(row.mask for row in manifest.table.itertuples() if row.image.endswith(name))
    return manifest.masks.decode(Path(path).read_bytes())[[0, 15, 25, 35], 40].tolist()


def test_each_sets_colours_become_the_same_structures(root: Path) -> None:
    assert large_fetal_head.read(root).masks.structures == ("parenchyma", "csp", "lv")  # type: ignore[union-attr]
    assert labels(root, THALAMIC) == [0, 1, 2, 3]
    assert labels(root, "010_HC.png") == [0, 1, 2, 3]


def test_the_pascal_export_is_read_where_there_is_no_other(root: Path) -> None:
    folder = root / "Diverse Fetal Head Images" / "Test-Dataset-Segmentation"
    folder.rename(root / "elsewhere")
    assert labels(root, "010_HC.png") == [0, 1, 2, 3]


def test_the_table_says_site_subject_plane_and_spacing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = check_manifest(large_fetal_head.read(root)).table
    assert "1 of 5 rows name images that are not there" in capsys.readouterr().out
    assert table[["site", "subject", "brain_plane"]].to_numpy().tolist() == [
        ["FP", "168", "trans-thalamic"],
        ["FP", "168", "trans-thalamic"],
        ["HC18", "010", ""],
        ["HC18", "010", ""],
    ]
    assert table["pixel_mm"].tolist()[0] == 0.12
    assert table["pixel_mm"].isna().tolist() == [False, True, True, True]
    assert (table["mask"] == "").tolist() == [False, True, False, False]


def test_a_mask_with_foreign_or_mixed_colours_is_named(root: Path) -> None:
    folder = root / "Trans-thalamic" / "Trans-thalamic-Segmentation" / "SegmentationClass"
    mask(folder / THALAMIC, RED, (250, 5, 5))
    mask(folder / OTHER, RED, DARK_GREEN)
    message = (
        r"(?s)1_of_3.png\): mask has unknown colours \(\(250, 5, 5\): 400 px.*2_of_3.png\): mask mixes the colours"
    )
    with pytest.raises(UserError, match=message):
        check_manifest(large_fetal_head.read(root, strict=True))


def test_an_exports_own_list_of_colours_is_compared(root: Path) -> None:
    listing = root / "Diverse Fetal Head Images" / "Test-Dataset-Segmentation" / "labelmap.txt"
    header = "# label:color_rgb:parts:actions\nbackground:0,0,0::\n"
    listing.write_text(f"{header}Brain:255,0,0::\nLV:0,0,255::\nCSP:255,255,0::\n")
    assert labels(root, "010_HC.png") == [0, 1, 2, 3]
    listing.write_text(f"{header}Brain:255,0,0::\nLV:255,255,0::\nCSP:0,0,255::\n")
    with pytest.raises(UserError, match=r"labelmap.txt: its colours .*lv \(255, 255, 0\)"):
        large_fetal_head.read(root)


def test_one_of_the_planes_or_the_diverse_heads_alone(root: Path) -> None:
    thalamic = large_fetal_head.read(root, plane="transthalamic").table
    assert thalamic["image"].map(lambda image: Path(image).name).tolist() == [THALAMIC, OTHER]
    assert large_fetal_head.read(root, plane="transventricular").table["subject"].tolist() == ["171"]
    assert large_fetal_head.read(root, plane="diverse").table["site"].tolist() == ["HC18", "HC18"]
    with pytest.raises(UserError, match=r"data.plane=transthalmic is not one of .*did you mean 'transthalamic'"):
        large_fetal_head.read(root, plane="transthalmic")
    with pytest.raises(UserError, match=r"no masks in Trans-cerebellum-Segmentation/SegmentationClass"):
        large_fetal_head.read(root, plane="transcerebellar")


def test_where_planes_are_sites_no_patient_is_in_two(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen_twice = "Patient00168_Plane3_3_of_3.png"
    image(root / "Trans-ventricular" / "Trans-ventricular" / seen_twice)
    table = large_fetal_head.read(root, by_plane=True).table
    assert "1 images of patients seen in several planes are left out" in capsys.readouterr().out
    assert table[["site", "subject"]].to_numpy().tolist() == [
        ["trans-thalamic", "168"],
        ["trans-thalamic", "168"],
        ["trans-ventricular", "171"],
        ["HC18", "010"],
        ["HC18", "010"],
    ]
    assert table.index.tolist() == list(range(5))
    assert Path(table["image"][2]).name != seen_twice
    together = large_fetal_head.read(root).table
    assert len(together) == 6
    assert set(together["site"]) == {"FP", "HC18"}


def test_two_pixel_sizes_of_one_image_are_refused(root: Path) -> None:
    (root / "Trans-ventricular" / "Pixel-Size.csv").write_text(f"Label,Pixel in mm\n{THALAMIC},0.13\n")
    with pytest.raises(UserError, match=r"line 2: Patient00168_Plane3_1_of_3 has 0.13 mm per px, elsewhere 0.12"):
        large_fetal_head.read(root)


def test_what_is_not_there_is_said_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"10.5281/zenodo.8265464.*data.root"):
        large_fetal_head.read(tmp_path)
