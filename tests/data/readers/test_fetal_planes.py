from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import fetal_planes
from ushydra_lab.errors import UserError

HEADER = "Image_name;Patient_num;Plane;Brain_plane;Operator;US_Machine;Train "
ROWS = [
    "Patient00001_Plane1_1_of_2;1;Other;Not A Brain;Op. 1;Other;1",
    "Patient00001_Plane3_1_of_1;1;Fetal brain;Trans-thalamic;Op. 1;Voluson E6;1",
    "Patient00002_Plane5_1_of_1;2;Fetal thorax;Not A Brain;Other;Voluson E6;0",
    "Patient00003_Plane6_1_of_1;3;Maternal cervix;Not A Brain;Op. 2;Aloka;0",
    "Patient00004_Plane2_1_of_1;4;Fetal abdomen;Not A Brain;Op. 2;Aloka;1",
    "Patient00005_Plane4_1_of_1;5;Fetal femur;Not A Brain;Op. 3;Voluson S10;1",
]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """The unpacked archive: a folder with the sheet, images of all rows but the last."""

    def make(rows: list[str] = ROWS, header: str = HEADER) -> Path:
        folder = tmp_path / "FETAL_PLANES_ZENODO"
        (folder / "Images").mkdir(parents=True)
        (folder / "FETAL_PLANES_DB_data.csv").write_bytes("\r\n".join([header, *rows, ""]).encode("utf-8-sig"))
        for n, row in enumerate(ROWS[:-1]):
            pixels = np.random.default_rng(n).integers(0, 256, (30, 40), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / "Images" / f"{row.split(';')[0]}.png")
        return tmp_path

    return make


def test_planes_parts_and_machines_are_those_of_the_sheet(write: Write) -> None:
    rows = [row.replace("Patient00001_Plane1_1_of_2;1;", "Patient00001_Plane1_1_of_2;6;") for row in ROWS]
    table = fetal_planes.read(write(rows)).table
    assert table["plane"].tolist() == ["other", "brain", "thorax", "cervix", "abdomen", "femur"]
    assert table["part"].tolist() == ["train", "train", "test", "test", "train", "train"]
    assert table["site"].tolist() == ["Other", "Voluson_E6", "Voluson_E6", "Aloka", "Aloka", "Voluson_S10"]
    assert table["subject"].tolist() == ["6", "1", "2", "3", "4", "5"]
    assert table["brain_plane"].tolist()[:2] == ["Not A Brain", "Trans-thalamic"]
    assert table["image"].iloc[1] == "Images/Patient00001_Plane3_1_of_1.png"
    assert table.index.name == "line"
    assert table.index[0] == 2


def test_no_patient_is_of_two_machines(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    root = write()
    table = fetal_planes.read(root).table
    assert table.groupby("subject")["site"].nunique().max() == 1
    whole = fetal_planes.read(root, by_machine=False).table
    assert set(whole["subject"]) == set(table["subject"])
    assert f"{len(whole) - len(table)} images of patients seen with several machines" in capsys.readouterr().out
    assert len(table) < len(whole)
    assert set(fetal_planes.read(root, by_machine=False).table["site"]) == {"fetal_planes"}


def test_the_checked_manifest_leaves_out_what_was_not_downloaded(
    write: Write, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = check_manifest(fetal_planes.read(write(), by_machine=False))
    assert len(manifest.table) == 5
    assert "1 of 6 rows name images that are not there" in capsys.readouterr().out


def test_12400_rows_take_a_moment(write: Write) -> None:
    rows = [f"Patient{n:05d}_Plane1_1_of_1;{n};Fetal brain;Other;Op. 1;Aloka;1" for n in range(12_400)]
    assert len(fetal_planes.read(write(rows)).table) == 12_400


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        (["a;1;Fetal head;Other;Op. 1;Aloka;1"], HEADER, r"line 2: Plane = 'Fetal head' is not one of Fetal abdomen"),
        (
            ["a;1;Other;Other;Op. 1;Aloka;2", "b;1;Other;Other;Op. 1;Aloka;x"],
            HEADER,
            r"(?s)line 2: Train = '2'.*line 3: Train = 'x'",
        ),
        (["a;1;Other;Other;Op. 1;Aloka;1;9"], HEADER, "line 2: 8 cells, the header has 7"),
        (["a;1;Other;Other;Op. 1;Aloka"], HEADER.replace(";Train ", ""), "'Train'"),
        (["a,1,Other"], "Image_name,Patient_num,Plane", "'US_Machine'"),
    ],
)
def test_sheets_of_another_layout_are_refused_with_the_place(
    write: Write, rows: list[str], header: str, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        fetal_planes.read(write(rows, header))


def test_an_empty_plane_or_part_is_none(write: Write) -> None:
    table = fetal_planes.read(write(["a;1;;;Op. 1;Aloka;", "b;2;Other;Other;Op. 1;Aloka;1"])).table
    assert table[["plane", "part"]].to_numpy().tolist() == [["", ""], ["other", "train"]]


def test_what_is_not_unpacked_or_not_there_is_said_with_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such folder; download FETAL_PLANES_DB .*10.5281/zenodo.3904280"):
        fetal_planes.read(tmp_path / "nowhere")
    (tmp_path / "FETAL_PLANES_ZENODO.zip").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"unpack FETAL_PLANES_ZENODO.zip first"):
        fetal_planes.read(tmp_path)
    with pytest.raises(UserError, match="is an archive; unpack it first"):
        fetal_planes.read(tmp_path / "FETAL_PLANES_ZENODO.zip")


def test_two_copies_below_the_root_are_not_guessed_between(write: Write) -> None:
    root = write()
    (root / "copy").mkdir()
    (root / "copy" / "FETAL_PLANES_DB_data.csv").write_text(HEADER)
    with pytest.raises(UserError, match=r"(?s)is here 2 times.*FETAL_PLANES_ZENODO"):
        fetal_planes.read(root)


def test_a_link_out_of_the_folder_is_a_problem_of_its_row(write: Write, tmp_path: Path) -> None:
    root = write()
    image = next((root / "FETAL_PLANES_ZENODO" / "Images").iterdir())
    image.rename(tmp_path / "outside.png")
    image.symlink_to(tmp_path / "outside.png")
    with pytest.raises(UserError, match="leads out of"):
        check_manifest(fetal_planes.read(root))


def test_the_machines_without_a_name_are_a_choice(write: Write, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write()
    assert "Other" in set(fetal_planes.read(folder, by_machine=False).table["us_machine"])
    table = fetal_planes.read(folder, other_machines=False).table
    assert "Other" not in set(table["us_machine"])
    assert "Patient00001_Plane3_1_of_1" in table["image"].str.cat()  # seen with a named machine too
    assert "1 images of the machine Other are left out (other_machines)" in capsys.readouterr().out
