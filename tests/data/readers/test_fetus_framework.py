from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import fetus_framework
from ushydra_lab.data.split import Random
from ushydra_lab.errors import UserError

ROWS = [
    ("1.png", "NT", 20, 10, 29, 49),
    ("1.png", "thalami", 1, 2, 3, 4),
    ("2.png", "NT", 20, 10, 30, 50),
    ("2.png", "nasal bone", 5, 6, 7, 8),
    ("3.png", "NT", 21, 11, 31, 51),
    ("4.png", "NT", 22, 12, 32, 52),
    ("9.png", "NT", 20, 10, 30, 50),
    ("5.png", "thalami", 1, 2, 3, 4),
]
COLUMNS = ["fname", "structure", "h_min", "w_min", "h_max", "w_max"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small copy: one more level, other spellings; 2 in two sets, 3 with two contents, 4 the same as 1."""
    home = tmp_path / "unpacked" / "Dataset for Fetus Framework"
    home.mkdir(parents=True)
    table = pd.DataFrame(ROWS, columns=COLUMNS)
    table.to_excel(home / "ObjectDetection.xlsx", sheet_name="ObjectDetection", index=False)
    for place, content in {
        "Set1_Training-Validation_Sets_CNN/standard/1.png": 1,
        "Set1_Training-Validation_Sets_CNN/standard/2.png": 2,
        "External Test Set/Standard/2.png": 2,
        "Set1_Training-Validation_Sets_CNN/standard/3.png": 3,
        "External Test Set/Standard/3.png": 33,
        "External Test Set/Standard/4.png": 1,
        "External Test Set/Standard/5.png": 5,
        "Internal Test Set/Non-standard/9.png": 9,
    }.items():
        (home / place).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(content).integers(0, 256, (60, 80), dtype=np.uint8)
        Image.fromarray(noise).save(home / place)
    return tmp_path


def test_boxes_are_rows_before_columns_and_end_at_the_edge_of_the_last_pixel(root: Path) -> None:
    table = check_manifest(fetus_framework.read(root)).table.set_index("subject")
    assert table.loc["2.png", ["nt_x1", "nt_y1", "nt_x2", "nt_y2"]].tolist() == [10, 20, 51, 31]
    assert set(table["site"]) == {"fetus_framework"}
    assert "pixel_mm" not in table


def test_every_structure_is_a_box_of_its_own_and_images_without_one_are_kept(root: Path) -> None:
    table = check_manifest(fetus_framework.read(root)).table.set_index("subject")
    assert table.loc["2.png", ["nasal_bone_x1", "nasal_bone_y1", "nasal_bone_x2", "nasal_bone_y2"]].tolist() == [
        6,
        5,
        9,
        8,
    ]
    assert table.loc["5.png", ["nt_x1", "thalami_x1"]].isna().tolist() == [True, False]


def test_images_are_found_in_standard_folders_counted_and_told_apart(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = check_manifest(fetus_framework.read(root)).table
    assert [Path(path).name for path in table["image"]] == ["1.png", "2.png", "4.png", "5.png"]
    assert table["subject"].tolist() == ["1.png", "2.png", "1.png", "5.png"]
    printed = capsys.readouterr().out
    assert "2 of 6 rows name images that are not there" in printed
    assert "1 names of several images are left out: 3.png" in printed


def test_boxes_of_images_that_are_not_there_are_kept_for_the_audit(root: Path) -> None:
    table = fetus_framework.read(root).table
    assert table.loc[8, ["image", "nt_x1"]].tolist() == ["9.png", "10"]
    assert table.index.tolist() == [2, 4, 6, 7, 8, 9]


def test_two_boxes_of_one_structure_and_rows_that_name_nothing_are_listed(root: Path) -> None:
    sheet = next(root.rglob("*.xlsx"))
    extra = [("1.png", "NT", 1, 1, 9, 9), ("2.png", None, 1, 1, 9, 9), ("2.png", "nasal bone", 1, 1, 9, 9)]
    pd.DataFrame([*ROWS, *extra], columns=COLUMNS).to_excel(sheet, index=False)
    with pytest.raises(UserError, match=r"(?s)line 10: 1.png has a second box of NT.*line 12: .*line 11: '' is no"):
        fetus_framework.read(root)
    pd.DataFrame([(None, "NT", 1, 1, 9, 9), ("a/b.png", "NT", 1, 1, 9, 9)], columns=COLUMNS).to_excel(
        sheet, index=False
    )
    with pytest.raises(UserError, match=r"(?s)line 2: '' is not the name of a file.*line 3: 'a/b.png'"):
        fetus_framework.read(root)


def test_what_is_not_there_is_said_with_where_to_get_it(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"10.17632/n2rbrb9t4f.*data.root"):
        fetus_framework.read(tmp_path / "nowhere")
    for image in root.rglob("*.png"):
        image.unlink()
    with pytest.raises(UserError, match="holds no image"):
        check_manifest(fetus_framework.read(root))
    sheet = next(root.rglob("*.xlsx"))
    pd.DataFrame([ROWS[0][:5]], columns=COLUMNS[:5]).to_excel(sheet, index=False)
    with pytest.raises(UserError, match=r"(?s)columns are missing.*'w_max'"):
        fetus_framework.read(root)
    sheet.write_bytes(sheet.read_bytes()[:100])
    with pytest.raises(UserError, match="cannot be read as a spreadsheet"):
        fetus_framework.read(root)


@pytest.mark.real
def test_the_real_sample_goes_all_the_way_to_batches(real_data: Path, tmp_path: Path) -> None:
    manifest = check_manifest(fetus_framework.read(real_data / "nt_fetus_framework"))
    assert len(manifest.table) == 51
    data = UltrasoundData(manifest, Random(), 0, (176, 256), 8, ["nt_box"], tmp_path)
    data.setup()
    box, content = data.fields["nt_box"], data.fields["content"]
    assert not box.isnan().any()
    assert (box[:, :2] >= content[:, :2] - 1e-4).all()
    assert (box[:, 2:] <= content[:, 2:] + 1e-4).all()
    assert sum(len(batch["record"]) for batch in data.train_dataloader()) == 41
