from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import african_planes
from ushydra_lab.errors import UserError

HEADER = "Patient_num,Plane,Train,Center,Filename"
ROWS = [
    "1,Fetal abdomen,1,Algeria,patient001_DZA_plane0",
    "1,Fetal brain,1,Algeria,patient001_DZA_plane1",
    "1,Fetal femur,0,Malawi,patient001_MWI_plane2",
    "2,Fetal thorax,0,Malawi,patient002_MWI_plane3",
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "Zenodo_dataset"
    for n, row in enumerate(ROWS):
        _, _, _, center, name = row.split(",")
        (folder / center).mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng(n).integers(0, 256, (30, 40), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / center / f"{name}.png")
    (folder / "African_planes_database.csv").write_text("\n".join([HEADER, *ROWS]))
    return tmp_path


def test_a_patient_number_of_two_countries_is_two_subjects(root: Path) -> None:
    table = check_manifest(african_planes.read(root)).table
    assert table["plane"].tolist() == ["abdomen", "brain", "femur", "thorax"]
    assert table["site"].tolist() == ["Algeria", "Algeria", "Malawi", "Malawi"]
    assert table["part"].tolist() == ["train", "train", "test", "test"]
    assert table.groupby(["site", "subject"]).ngroups == 3
    assert all(Path(path).is_file() for path in table["image"])


def test_images_that_were_not_downloaded_are_left_out(root: Path) -> None:
    next((root / "Zenodo_dataset" / "Malawi").iterdir()).unlink()
    assert len(check_manifest(african_planes.read(root)).table) == 3


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,Fetal head,1,Algeria,a", r"line 6: Plane = 'Fetal head'"),
        ("1,Fetal brain,yes,Algeria,a", r"line 6: Train = 'yes' is not one of 1, 0"),
        ("1,Fetal brain,1,Algeria", r"line 6: 4 cells"),
    ],
)
def test_rows_of_another_kind_are_named(root: Path, row: str, message: str) -> None:
    sheet = root / "Zenodo_dataset" / "African_planes_database.csv"
    sheet.write_text(sheet.read_text() + f"\n{row}\n")
    with pytest.raises(UserError, match=message):
        african_planes.read(root)


def test_a_path_that_leaves_the_folder_is_a_problem_of_its_line(root: Path) -> None:
    sheet = root / "Zenodo_dataset" / "African_planes_database.csv"
    sheet.write_text(sheet.read_text() + "\n7,Fetal brain,1,..,outside\n")
    Image.new("L", (9, 9)).save(root / "outside.png")
    with pytest.raises(UserError, match=r"(?s)line 6.*leads out of"):
        check_manifest(african_planes.read(root))


def test_what_is_not_there_is_said_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no African_planes_database.csv here; .*zenodo.7540448"):
        african_planes.read(tmp_path)
