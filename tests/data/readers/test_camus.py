import gzip
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.needs import required
from ushydra_lab.data.readers import camus
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError

from .layouts import nifti

ROWS, COLUMNS = 60, 40
MM = (0.154, 0.308)  # rows, columns, as in the data set


def frame() -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Bright above, dark below, brighter to the right; ventricle above on the left, atrium below, muscle around."""
    down, across = np.indices((ROWS, COLUMNS))
    image = (200 - 2 * down + across).astype(np.uint8)
    labels = np.zeros((ROWS, COLUMNS), np.uint8)
    labels[8:34, 4:20] = 2
    labels[10:32, 6:18] = 1
    labels[34:50, 6:18] = 3
    return image, labels


Write = Callable[..., Path]


def write_nifti(folder: Path, stem: str, image: NDArray[np.generic], labels: NDArray[np.generic] | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{stem}.nii.gz").write_bytes(gzip.compress(nifti(image, MM)))
    if labels is not None:
        (folder / f"{stem}_gt.nii.gz").write_bytes(gzip.compress(nifti(labels, MM)))


def write_mhd(folder: Path, stem: str, image: NDArray[np.uint8], labels: NDArray[np.uint8] | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, pixels in ((stem, image), (f"{stem}_gt", labels)):
        if pixels is not None:
            lines = ["ObjectType = Image", "NDims = 3", f"DimSize = {COLUMNS} {ROWS} 1", "ElementType = MET_UCHAR"]
            lines += [f"ElementSpacing = {MM[1]} {MM[0]} 1.54", f"ElementDataFile = {name}.raw"]
            (folder / f"{name}.mhd").write_text("\n".join(lines) + "\n")
            (folder / f"{name}.raw").write_bytes(pixels.tobytes())


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three patients as on the server; of the third only one frame was downloaded, without labels and quality."""
    image, labels = frame()
    home = tmp_path / "CAMUS_public"
    for n, quality in ((1, "Good"), (2, "Poor")):
        folder = home / "database_nifti" / f"patient{n:04d}"
        for m, view in enumerate(("2CH", "4CH")):
            for k, phase in enumerate(("ED", "ES")):
                write_nifti(folder, f"{folder.name}_{view}_{phase}", image + np.uint8(4 * n + 2 * m + k), labels)
            (folder / f"Info_{view}.cfg").write_text(f"ED: 1\nES: 18\nNbFrame: 18\nImageQuality: {quality}\nEF: 54\n")
    folder = home / "database_nifti" / "patient0003"
    write_nifti(folder, "patient0003_4CH_ED", image, None)
    (home / "database_split").mkdir()
    for name, patient in (("training", "patient0001\r\n"), ("validation", ""), ("testing", "patient0002\npatient0009")):
        (home / "database_split" / f"subgroup_{name}.txt").write_bytes(patient.encode())
    return home


def read(root: Path, **settings: object) -> Source:
    return camus.read(root, root.parent / "cache", **settings)  # type: ignore[arg-type]


def png(path: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path))


def test_a_relative_cache_may_lie_elsewhere_than_the_data(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    table = check_manifest(camus.read(root, Path("multirun/.cache"))).table
    assert len(table)
    assert all(Path(image).is_relative_to(elsewhere) for image in table["image"])
    assert all(Path(mask).is_file() for mask in table["mask"] if mask)


def test_rows_are_depth_and_pixels_square(root: Path) -> None:
    first = check_manifest(read(root)).table.iloc[0]
    image, labels = frame()
    assert (first["height"], first["width"]) == (ROWS, 2 * COLUMNS)
    assert first["pixel_mm"] == pytest.approx(MM[0])
    pixels = png(first["image"]).astype(int)
    assert np.abs(pixels[:, 1::2] - (image.astype(int) + 4)).max() <= 1
    np.testing.assert_array_equal(png(first["mask"]), np.repeat(labels, 2, axis=1))


def test_only_the_asked_structures_are_in_the_mask(root: Path) -> None:
    source = read(root, structures=["left_atrium", "lv"])
    assert source.masks is not None
    assert source.masks.structures == ("left_atrium", "lv")
    labels = source.masks.decode(Path(source.table["mask"].iloc[0]).read_bytes())
    assert sorted(np.unique(labels)) == [0, 1, 2]
    assert np.argwhere(labels == 1)[:, 0].min() == 34
    assert read(root).masks.decode(Path(source.table["mask"].iloc[0]).read_bytes()).max() == 1  # type: ignore[union-attr]


def test_parts_quality_view_and_phase_are_the_data_sets(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = check_manifest(read(root)).table
    assert len(table) == 9
    assert "3 of 12 rows name images that are not there" in capsys.readouterr().out
    table = table.set_index(["subject", "group_view", "group_phase"])
    assert table.loc[("patient0001", "2CH", "ED"), ["part", "quality"]].tolist() == ["train", "high"]
    assert table.loc[("patient0002", "4CH", "ES"), ["part", "quality"]].tolist() == ["test", "low"]
    assert table.loc[("patient0003", "4CH", "ED"), ["part", "quality", "mask"]].tolist() == ["", "", ""]
    assert set(table["site"]) == {"camus"}


def test_one_view_may_be_asked_for_from_the_inner_folder(root: Path) -> None:
    table = read(root / "database_nifti", views=["4CH"]).table
    assert set(table["group_view"]) == {"4CH"}
    assert table["part"].tolist() == ["train", "train", "test", "test", "", ""]


def test_older_copies_say_the_same(root: Path, tmp_path: Path) -> None:
    image, labels = frame()
    old = tmp_path / "old"
    write_mhd(old / "training" / "patient0001", "patient0001_2CH_ED", image + np.uint8(4), labels)
    write_mhd(old / "testing" / "patient0001", "patient0001_2CH_ED", image, None)
    table = check_manifest(camus.read(old, tmp_path / "cache", views=["2CH"])).table
    assert table["subject"].tolist() == ["testing/patient0001", "training/patient0001"]
    new = check_manifest(read(root)).table.iloc[0]
    np.testing.assert_array_equal(png(table["image"].iloc[1]), png(new["image"]))
    np.testing.assert_array_equal(png(table["mask"].iloc[1]), png(new["mask"]))
    assert table["pixel_mm"].iloc[1] == pytest.approx(new["pixel_mm"])
    assert table["mask"].iloc[0] == ""


def test_spacing_in_metres_and_float_pixels_are_understood(tmp_path: Path) -> None:
    image, labels = frame()
    folder = tmp_path / "data" / "patient0001"
    folder.mkdir(parents=True)
    stem = folder / "patient0001_4CH_ED"
    stem.with_suffix(".nii").write_bytes(nifti(image.astype(np.float32), (0.0003, 0.0003), units=1))
    stem.with_name(f"{stem.name}_gt.nii").write_bytes(nifti(labels.astype(np.float64), (0.0003, 0.0003), units=1))
    row = check_manifest(camus.read(tmp_path / "data", tmp_path / "cache")).table.iloc[0]
    assert row["pixel_mm"] == pytest.approx(0.3)
    np.testing.assert_array_equal(png(row["image"]), image)


def test_names_in_the_cache_do_not_tell_the_patient(root: Path) -> None:
    read(root)
    assert not [path for path in (root.parent / "cache").rglob("*") if "patient" in path.name]


IMAGE, LABELS = frame()
STEM = "patient0001_2CH_ED"
GOOD = gzip.compress(nifti(IMAGE, MM))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("", b"", "is no NIfTI-1 file"),
        ("", b"no gzip at all", "is no NIfTI-1 file"),
        ("", GOOD[: len(GOOD) // 2], "truncated"),
        ("", gzip.compress(nifti(IMAGE, MM)[:-500]), "truncated"),
        ("", gzip.compress(nifti(IMAGE, MM)[:200]), "its header is truncated"),
        ("", gzip.compress(nifti(IMAGE, MM, dims=[32000, 32000])), "claims more than 50,000,000 px"),
        ("", gzip.compress(nifti(IMAGE, MM, dims=[1000, 1000, 30000])), "claims 30000 frames"),
        ("", gzip.compress(nifti(IMAGE, MM, dims=[COLUMNS, -ROWS])), "holds 40 x -60 px, not frames"),
        ("", gzip.compress(nifti(np.stack([IMAGE] * 3), MM)), "holds 3 frames, not one"),
        ("", gzip.compress(nifti(np.stack([[IMAGE] * 2] * 2), MM)), "holds 40 x 60 x 2 x 2 px, not frames"),
        ("", gzip.compress(nifti(IMAGE, (0.1, 5.0))), "5 x 0.1 mm; its header is damaged"),
        ("", gzip.compress(nifti(IMAGE.astype(np.int16) - 300, MM)), "grey values from -218 to -61; 0 to 255"),
        ("", gzip.compress(nifti(np.full((ROWS, COLUMNS), np.nan, np.float32), MM)), "grey values from nan"),
        (
            "_gt",
            gzip.compress(nifti(LABELS.T.copy(), MM)),
            "holds 1 frames of 60 x 40 px, the image 1 frames of 40 x 60",
        ),
        ("_gt", gzip.compress(nifti(LABELS * 85, MM)), r"labels that are not 0 or 1, 2, 3 \(85: 264 px"),
        ("_gt", gzip.compress(nifti(LABELS * np.float32(0.5), MM)), r"0.5: 264 px"),
        ("_gt", GOOD[: len(GOOD) // 2], "truncated"),
    ],
    ids=range(17),
)
def test_files_that_cannot_be_used_are_left_out_and_named(
    root: Path, name: str, content: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = root / "database_nifti" / "patient0001"
    (folder / f"{STEM}{name}.nii.gz").write_bytes(content)
    assert len(check_manifest(read(root)).table) == 8
    assert re.search(message, capsys.readouterr().out)
    with pytest.raises(UserError, match=message) as raised:
        read(root, strict=True)
    assert "1 of 9 files cannot be used; copy the file again, or take it out" in str(raised.value)
    assert f"database_nifti/patient0001/{STEM}.nii.gz: " in str(raised.value)


def test_a_small_file_that_unpacks_to_gigabytes_is_not_unpacked(root: Path) -> None:
    zeros = gzip.compress(nifti(IMAGE + np.uint8(4), MM) + bytes(400_000_000), compresslevel=1)
    (root / "database_nifti" / "patient0001" / f"{STEM}.nii.gz").write_bytes(zeros)
    assert len(check_manifest(read(root)).table) == 9


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("ElementDataFile = ../../secret.raw", "names ../../secret.raw as its pixels"),
        ("ElementDataFile = LIST", "names LIST as its pixels"),
        ("ElementDataFile = /etc/passwd", "names /etc/passwd as its pixels"),
        ("Nothing = 1", "names nothing as its pixels"),
        ("HeaderSize = 4\nElementDataFile = patient0001_2CH_ED.raw", "begin with a header"),
        ("BinaryData = False\nElementDataFile = patient0001_2CH_ED.raw", "or are text"),
        ("DimSize = 40 9000 1\nElementDataFile = patient0001_2CH_ED.raw", "truncated"),
        ("DimSize = 90000 90000 1\nElementDataFile = patient0001_2CH_ED.raw", "claims more than"),
        ("ElementDataFile = patient0001_2CH_ED.zraw", "patient0001_2CH_ED.zraw is missing"),
    ],
)
def test_headers_that_name_other_files_or_sizes_are_refused(tmp_path: Path, line: str, message: str) -> None:
    (tmp_path / "secret.raw").write_bytes(bytes(ROWS * COLUMNS))
    folder = tmp_path / "data" / "patient0001"
    write_mhd(folder, STEM, IMAGE, None)
    text = (folder / f"{STEM}.mhd").read_text()
    kept = [
        each
        for each in text.splitlines()
        if each.split(" =")[0] not in (*(s.split(" =")[0] for s in line.split("\n")), "ElementDataFile")
    ]
    (folder / f"{STEM}.mhd").write_text("\n".join([*kept, line, ""]))
    with pytest.raises(UserError, match=message):
        camus.read(tmp_path / "data", tmp_path / "cache")


def test_a_link_out_of_the_folder_is_refused(root: Path) -> None:
    file = root / "database_nifti" / "patient0001" / f"{STEM}.nii.gz"
    file.rename(root.parent / "outside.nii.gz")
    file.symlink_to(root.parent / "outside.nii.gz")
    with pytest.raises(UserError, match="is a link that leads out"):
        read(root, strict=True)


def test_settings_and_side_files_that_contradict_are_refused(root: Path) -> None:
    with pytest.raises(UserError, match=r"data.views = \['3CH'\]: give one or several of 2CH, 4CH"):
        read(root, views=["3CH"])
    with pytest.raises(UserError, match=r"data.structures = \['lv', 'lv'\]"):
        read(root, structures=["lv", "lv"])
    (root / "database_nifti" / "patient0001" / "Info_2CH.cfg").write_text("ImageQuality: Fair\n")
    with pytest.raises(UserError, match=r"Info_2CH.cfg: ImageQuality = 'Fair' is not one of Good, Medium, Poor"):
        read(root)
    (root / "database_split" / "subgroup_validation.txt").write_text("patient0002")
    with pytest.raises(UserError, match="patient0002 is also in val"):
        read(root)


def test_what_is_not_there_is_said_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no patient0001/.* here; download CAMUS"):
        camus.read(tmp_path, tmp_path)
    (tmp_path / "camus.tar").write_bytes(b"1")
    with pytest.raises(UserError, match="unpack it first"):
        camus.read(tmp_path / "camus.tar", tmp_path)


def test_files_that_say_parts_and_qualities_may_be_absent(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for file in [*root.rglob("Info_*.cfg"), *(root / "database_split").iterdir()]:
        file.unlink()
    source = read(root)
    assert not {"part", "quality"} & {*source.table}
    assert set(source.lacks) == {"part", "quality"}
    printed = capsys.readouterr().out
    assert "no quality: Info_2CH.cfg and Info_4CH.cfg, which say ImageQuality" in printed
    assert "no part: database_split" in printed
    with pytest.raises(UserError, match=r"quality: Info_2CH.cfg and Info_4CH.cfg"):
        required(check_manifest(source), ["quality"])


def test_patients_are_not_looked_for_in_what_archives_leave_behind(root: Path) -> None:
    shutil.copytree(root / "database_nifti", root / "__MACOSX" / "database_nifti")
    (root / "database_nifti" / "patient0001" / "._patient0001_2CH_ED.nii.gz").write_bytes(b"x")
    assert read(root).table["subject"].unique().tolist() == ["patient0001", "patient0002", "patient0003"]
