from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.data.readers import fetus_framework
from ushydra_lab.data.split import Random
from ushydra_lab.errors import UserError

ROWS = [
    ("1.png", "NT", 20, 10, 29, 49),
    ("1.png", "thalami", 1, 2, 3, 4),
    ("2.png", "NT", 20, 10, 30, 50),
    ("3.png", "NT", 21, 11, 31, 51),
    ("4.png", "NT", 22, 12, 32, 52),
    ("9.png", "NT", 20, 10, 30, 50),
]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A small copy: one more level, other spellings; 2 in two sets, 3 with two contents, 4 the same as 1."""
    home = tmp_path / "unpacked" / "Dataset for Fetus Framework"
    home.mkdir(parents=True)
    table = pd.DataFrame(ROWS, columns=["fname", "structure", "h_min", "w_min", "h_max", "w_max"])
    table.to_excel(home / "ObjectDetection.xlsx", sheet_name="ObjectDetection", index=False)
    for place, content in {
        "Set1_Training-Validation_Sets_CNN/standard/1.png": 1,
        "Set1_Training-Validation_Sets_CNN/standard/2.png": 2,
        "External Test Set/Standard/2.png": 2,
        "Set1_Training-Validation_Sets_CNN/standard/3.png": 3,
        "External Test Set/Standard/3.png": 33,
        "External Test Set/Standard/4.png": 1,
        "Internal Test Set/Non-standard/9.png": 9,
    }.items():
        (home / place).parent.mkdir(parents=True, exist_ok=True)
        noise = np.random.default_rng(content).integers(0, 256, (60, 80), dtype=np.uint8)
        Image.fromarray(noise).save(home / place)
    return tmp_path


def test_boxes_are_rows_before_columns_and_end_at_the_edge_of_the_last_pixel(root: Path) -> None:
    table = fetus_framework.read(root).table.set_index("subject")
    assert table.loc["2.png", ["nt_x1", "nt_y1", "nt_x2", "nt_y2"]].tolist() == [10, 20, 51, 31]
    assert set(table["site"]) == {"fetus_framework"}
    assert "pixel_mm" not in table


def test_images_are_found_in_standard_folders_counted_and_told_apart(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = fetus_framework.read(root).table
    assert [Path(path).name for path in table["image"]] == ["1.png", "2.png", "4.png"]
    assert table["subject"].tolist() == ["1.png", "2.png", "1.png"]
    printed = capsys.readouterr().out
    assert "3 of 5 images with a box of NT" in printed
    assert "1 names of several images are left out: 3.png" in printed


def test_what_is_not_there_is_said_with_where_to_get_it(root: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"10.17632/n2rbrb9t4f.*data.root"):
        fetus_framework.read(tmp_path / "nowhere")
    with pytest.raises(UserError, match="no box of structure 'nt'; it has NT, thalami"):
        fetus_framework.read(root, structure="nt")
    for image in root.rglob("*.png"):
        image.unlink()
    with pytest.raises(UserError, match="holds no image"):
        fetus_framework.read(root)


@pytest.mark.real
def test_the_real_sample_goes_all_the_way_to_batches(real_data: Path, tmp_path: Path) -> None:
    manifest = fetus_framework.read(real_data / "nt_fetus_framework")
    assert len(manifest.table) == 51
    data = UltrasoundData(manifest, Random(), 0, (176, 256), 8, ["nt_box"], tmp_path)
    data.setup()
    box, content = data.fields["nt_box"], data.fields["content"]
    assert not box.isnan().any()
    assert (box[:, :2] >= content[:, :2] - 1e-4).all()
    assert (box[:, 2:] <= content[:, 2:] + 1e-4).all()
    assert sum(len(batch["record"]) for batch in data.train_dataloader()) == 41
