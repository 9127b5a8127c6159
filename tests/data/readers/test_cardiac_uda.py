import gzip
import re
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import cardiac_uda
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError

from .layouts import nifti

FRAMES, ROWS, COLUMNS = 6, 30, 40
LABELLED = (1, 4)


def packed(pixels: NDArray[np.uint8], mm: tuple[float, float] = (1.0, 1.0), **header: list[int]) -> bytes:
    return gzip.compress(nifti(pixels, mm, **header))


def video(seed: int) -> NDArray[np.uint8]:
    """Bright above, dark below, brighter to the right, another grey in every frame."""
    frame, down, across = np.indices((FRAMES, ROWS, COLUMNS))
    return (150 - 3 * down + across + 5 * frame + seed).astype(np.uint8)


def labels(value: int = 1, filled: bool = True) -> NDArray[np.uint8]:
    """The left ventricle above on the left; beside it a smaller right ventricle; only in two frames."""
    made = np.zeros((FRAMES, ROWS, COLUMNS), np.uint8)
    for frame in LABELLED:
        made[frame, 4:16, 5:15] = value
        if not filled:
            made[frame, 5:15, 6:14] = 0
        made[frame, 6:12, 20:26] = 4
    return made


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Hospital G in two folders, R in one; a video of another view, without labels, of label_all_frame; outlines."""
    home = tmp_path / "archive" / "cardiacUDC_dataset"
    for n, (name, label) in enumerate(
        {
            "Site_G_20/patient-1-4": labels(),
            "Site_G_29/patient-1-4": labels(filled=False),
            "Site_R_126/patient-2-4": labels(),
            "Site_R_126/patient-3-4": np.zeros_like(labels()),
            "Site_R_126/patient-2-2": labels(),
            "Site_R_73/patient-53-4": None,
            "label_all_frame/normal-23-4": labels(6),
        }.items()
    ):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / f"{name}_image.nii.gz").write_bytes(packed(video(n)))
        if label is not None:
            (home / f"{name}_label.nii.gz").write_bytes(packed(label))
    return tmp_path


def read(root: Path, **settings: object) -> Source:
    return cardiac_uda.read(root, root / "cache", **settings)  # type: ignore[arg-type]


def png(path: str) -> NDArray[np.uint8]:
    return np.asarray(Image.open(path))


def test_a_relative_cache_may_lie_elsewhere_than_the_data(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere := tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(elsewhere)
    table = check_manifest(cardiac_uda.read(root, Path("multirun/.cache"))).table
    assert len(table)
    assert all(Path(image).is_relative_to(elsewhere) for image in table["image"])
    assert all(Path(mask).is_file() for mask in table["mask"] if mask)


def test_labelled_frames_alone_are_rows_with_depth_downwards(root: Path) -> None:
    source = read(root)
    table = check_manifest(source).table
    assert len(table) == 3 * len(LABELLED)
    for n, row in enumerate(table.itertuples()):
        frame = LABELLED[n % 2]
        np.testing.assert_array_equal(png(row.image), video(n // 2)[frame])
        np.testing.assert_array_equal(png(row.mask), labels()[frame])
        assert row.source.endswith(f"frame_{frame:04d}")
    assert "pixel_mm" not in table or table["pixel_mm"].isna().all()


def test_sites_are_hospitals_and_a_patient_number_is_one_of_its_folder(root: Path) -> None:
    table = read(root).table
    assert list(dict.fromkeys(zip(table["site"], table["subject"], strict=True))) == [
        ("Site_G", "Site_G_20/patient-1"),
        ("Site_G", "Site_G_29/patient-1"),
        ("Site_R", "Site_R_126/patient-2"),
    ]


def test_what_is_left_out_is_counted(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read(root)
    printed = capsys.readouterr().out
    assert "4 videos of view 4; left out: 1 without labels, 1 in label_all_frame, 1 of other views" in printed
    assert "3 of 3 videos have no pixel spacing" in printed


def test_the_label_order_is_a_setting(root: Path) -> None:
    source = read(root, labels={"rv": 4, "lv": 1}, ignored=[2, 3])
    assert source.masks is not None
    assert source.masks.structures == ("rv", "lv")
    mask = source.masks.decode(Path(source.table["mask"].iloc[0]).read_bytes())
    assert (mask[10, 10], mask[10, 22]) == (2, 1)
    only = read(root, labels={"lv": 1}, ignored=[2, 3, 4])
    mask = only.masks.decode(Path(only.table["mask"].iloc[0]).read_bytes())  # type: ignore[union-attr]
    assert (mask[10, 10], mask[10, 22]) == (1, 0)


def test_pixels_that_are_not_square_become_so(root: Path) -> None:
    folder = root / "archive" / "cardiacUDC_dataset" / "Site_G_20"
    (folder / "patient-1-4_image.nii.gz").write_bytes(packed(video(0), (0.2, 0.4)))
    row = check_manifest(read(root)).table.iloc[0]
    assert (row["height"], row["width"], row["pixel_mm"]) == (ROWS, 2 * COLUMNS, pytest.approx(0.2))
    np.testing.assert_array_equal(png(row["mask"]), np.repeat(labels()[1], 2, axis=1))


IMAGE, LABEL = "patient-1-4_image.nii.gz", "patient-1-4_label.nii.gz"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        (LABEL, packed(labels(6)), r"labels that are not 0 or 1, 2, 3, 4, 5 \(6: 240 px\)"),
        (LABEL, packed(labels()[:5]), "holds 5 frames of 40 x 30 px, the image 6 frames"),
        (
            LABEL,
            packed(labels().transpose(0, 2, 1).copy()),
            "holds 6 frames of 30 x 40 px, the image 6 frames of 40 x 30",
        ),
        (LABEL, packed(labels())[:90], "truncated"),
        (IMAGE, packed(video(0))[:300], "truncated"),
        (IMAGE, packed(video(0)[:2], dims=[COLUMNS, ROWS, FRAMES]), r"is truncated: 2,400 of 7,200 bytes"),
        (IMAGE, packed(video(0), dims=[30000, 30000, 200]), "claims more than 50,000,000 px"),
        (IMAGE, packed(video(0), dims=[5000, 5000, 32000]), "claims 32000 frames"),
        (IMAGE, b"", "is no NIfTI-1 file"),
    ],
    ids=range(9),
)
def test_files_that_cannot_be_used_are_left_out_and_named(
    root: Path, name: str, content: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "archive" / "cardiacUDC_dataset" / "Site_G_20" / name).write_bytes(content)
    assert len(check_manifest(read(root)).table) == 4
    assert re.search(message, capsys.readouterr().out)
    with pytest.raises(UserError, match=message) as raised:
        read(root, strict=True)
    assert "Site_G_20/patient-1-4_image.nii.gz: " in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"labels": {"lv": 1, "rv": 1}}, "give every value once"),
        ({"labels": {}}, "give every value once"),
        ({"ignored": [1]}, "give every value once"),
        ({"labels": {"lv": 0}}, "data.labels: 0 are not label values of 1 to 255"),
        ({"labels": {"lv": "1"}}, "data.labels: 1 are not"),
        ({"labels": {"lv": [1, 1, 1]}}, "data.labels"),
        ({"ignored": [300]}, "data.ignored: 300 are not"),
        ({"view": 3}, "no labelled video of view 3"),
    ],
)
def test_settings_that_contradict_are_refused(root: Path, settings: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(root, **settings)


def test_a_link_out_of_the_folder_is_refused(root: Path) -> None:
    folder = root / "archive" / "cardiacUDC_dataset" / "Site_G_20"
    (folder / LABEL).rename(root / "outside.nii.gz")
    (folder / LABEL).symlink_to(root / "outside.nii.gz")
    with pytest.raises(UserError, match="is a link that leads out"):
        read(root, strict=True)


def test_names_that_tell_no_view_are_counted(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = root / "archive" / "cardiacUDC_dataset" / "Site_G_20"
    (folder / IMAGE).rename(folder / "scan_image.nii.gz")
    assert len(read(root).table) == 4
    assert "1 whose name tells no view" in capsys.readouterr().out


def test_what_is_not_there_is_said_with_where_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "cardiacUDC_dataset.z01").write_bytes(b"1")
    with pytest.raises(UserError, match=r"unpack cardiacUDC_dataset.z01 first"):
        cardiac_uda.read(tmp_path, tmp_path)
