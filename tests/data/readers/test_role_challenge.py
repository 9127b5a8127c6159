from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ushydra_lab.data.geometry import diameters
from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import hc18, role_challenge
from ushydra_lab.errors import UserError

HEADER = ",".join(["image_name", *hc18.LANDMARKS])


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two of HC18's images; the CSV's OFD is the shorter one."""
    (tmp_path / "training_set").mkdir()
    for number in (1, 2):
        noise = np.random.default_rng(number).integers(0, 256, (100, 150), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / "training_set" / f"00{number}_HC.png")
    (tmp_path / hc18.TRAIN).write_text(
        "filename,pixel size(mm),head circumference (mm)\n001_HC.png,0.1,30\n002_HC.png,0.2,60\n003_HC.png,0.3,90\n"
    )
    rows = ["002_HC.png,70,10,72,90,10,50,130,52", "003_HC.png,70,10,72,90,10,50,130,52"]
    (tmp_path / "labels.csv").write_text("\n".join([HEADER, *rows]))
    return tmp_path


def test_swapped_columns_are_refused_unless_the_swap_is_asked_for(root: Path) -> None:
    with pytest.raises(UserError, match=r"BPD is longer than OFD in 2 of 2 rows.*swap_columns=true"):
        check_manifest(role_challenge.read(root, root / "labels.csv"))
    table = check_manifest(role_challenge.read(root, root / "labels.csv", swap_columns=True)).table
    assert table.loc[0, hc18.LANDMARKS].tolist() == [10.5, 50.5, 130.5, 52.5, 70.5, 10.5, 72.5, 90.5]
    assert table.loc[0, ["subject", "pixel_mm", "hc_mm"]].tolist() == ["002", 0.2, 60]
    assert len(table) == 1


def test_images_that_hc18_does_not_have_are_listed(root: Path) -> None:
    (root / "labels.csv").write_text(f"{HEADER}\n009_HC.png,1,2,3,4,5,6,7,8\n")
    with pytest.raises(UserError, match=r"(?s)no training images of HC18.*line 2: 009_HC.png"):
        role_challenge.read(root, root / "labels.csv")
    with pytest.raises(UserError, match=r"set data.csv"):
        role_challenge.read(root, root / "none.csv")


@pytest.mark.real
def test_the_real_labels_are_the_swapped_ones(real_data: Path) -> None:
    csv = real_data / "hc18/landmarks/role_challenge_dataset_ground_truth.csv"
    source = role_challenge.read(real_data / "hc18", csv)
    ofd, bpd = diameters(source.table).T
    assert len(source.table) == 622
    assert (bpd > ofd).sum() == 522
    with pytest.raises(UserError, match="522 of 622"):
        check_manifest(source)
    table = check_manifest(role_challenge.read(real_data / "hc18", csv, swap_columns=True)).table
    named = {Path(path).name for path in source.table["image"]}
    assert len(table) == sum(path.name in named for path in (real_data / "hc18/training_set").glob("*_*HC.png")) > 0
