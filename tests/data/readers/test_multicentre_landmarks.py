from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ushydra_lab.data.geometry import diameters
from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import hc18, multicentre_landmarks
from ushydra_lab.data.readers.tables import read_table
from ushydra_lab.errors import UserError
from ushydra_lab.geometry.ellipse import Ellipse

SIZE = "image_name,scale,center_w,center_h"
HEAD = f"{SIZE},ofd_1_x,ofd_1_y,ofd_2_x,ofd_2_y,bpd_1_x,bpd_1_y,bpd_2_x,bpd_2_y,SubjectID,px_to_mm_rate,Algo,Split"
AXES = "tad_1_x,tad_1_y,tad_2_x,tad_2_y,apad_1_x,apad_1_y,apad_2_x,apad_2_y"
ABDOMEN = f"{SIZE},{AXES},px_to_mm_rate,mm_dist,Algo,SubjectID,Split"
FEMUR = f"{SIZE},fl_1_x,fl_1_y,fl_2_x,fl_2_y,px_to_mm_rate,mm_dist,Patient,Split,Algo"
ENDS = "10,20,110,40,60,5,50,70"


def image(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (80, 120), dtype=np.uint8)).save(path)


def csv(path: Path, header: str, *rows: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The published layout with HC18's images elsewhere; UCL and HC18 share a file name; UCL 005 is in both parts."""
    hc = [f"001_HC.png,1,60,40,{ENDS},,0.1,,Train", f"001_2HC.png,1,60,40,{ENDS},,0.1,,Train"]
    csv(tmp_path / "multicentre_HC18" / "Head.csv", HEAD, *hc, f"002_HC.png,1,60,40,{ENDS},,0.2,,Test")
    csv(tmp_path / "multicentre_HC18" / "Head_Train.csv", HEAD, *hc)
    fp = f"Patient00168_Plane3_1_of_2.png,1,60,40,{ENDS},168,0.15,AlokaFit,Train"
    csv(tmp_path / "FP" / "annotations" / "Head.csv", HEAD, fp)
    ucl = [f"001_HC.png,1,60,40,{ENDS},,,,Test", f"005_HC.jpeg,1,60,40,{ENDS},,,,Train"]
    csv(tmp_path / "UCL" / "annotations" / "Head_Test.csv", HEAD, ucl[0], f"005_3HC.jpeg,1,60,40,{ENDS},,,,Test")
    csv(tmp_path / "UCL" / "annotations" / "Head_Train.csv", HEAD, ucl[1])
    csv(tmp_path / "UCL" / "annotations" / "px_to_mm" / "Head_Train.csv", HEAD, ucl[1])
    csv(tmp_path / "MULTICENTRE" / "Head.csv", HEAD, fp)
    csv(tmp_path / "FP" / "Abdomen.csv", ABDOMEN, f"Patient00168_Plane2_1_of_1.png,1,60,40,{ENDS},0.1,0,,168,Train")
    csv(tmp_path / "FP" / "Femur.csv", FEMUR, "Patient00170_Plane5_1_of_1.png,1,60,40,10,20,110,40,0.1,0,170,Test,")
    for seed, name in enumerate(("hc18/training_set/001_HC.png", "hc18/test_set/001_HC.png", "UCL/data/001_HC.png")):
        image(tmp_path / name, seed)
    image(tmp_path / "Images" / "Patient00168_Plane3_1_of_2.png", 3)
    image(tmp_path / "Images" / "Patient00168_Plane2_1_of_1.png", 4)
    image(tmp_path / "Images" / "Patient00170_Plane5_1_of_1.png", 5)
    return tmp_path


def test_every_site_is_read_once_with_its_own_images(root: Path) -> None:
    source = multicentre_landmarks.read(root)
    found = {(row.site, row.subject): row.image for row in source.table.itertuples() if "/" in row.image}
    assert found == {
        ("HC18", "001"): "hc18/training_set/001_HC.png",
        ("UCL", "001"): "UCL/data/001_HC.png",
        ("FP", "168"): "Images/Patient00168_Plane3_1_of_2.png",
    }
    assert source.table["site"].value_counts().to_dict() == {"HC18": 3, "UCL": 3, "FP": 1}
    assert "2 of multicentre_HC18/Head.csv" in source.table.index
    manifest = check_manifest(source)
    assert manifest.sites == ["FP", "HC18", "UCL"]
    assert manifest.table["pixel_mm"].isna().tolist() == [row.site == "UCL" for row in manifest.table.itertuples()]


def test_points_are_the_centres_of_pixels(root: Path) -> None:
    table = check_manifest(multicentre_landmarks.read(root)).table
    assert table.loc[0, hc18.LANDMARKS].tolist() == [10.5, 20.5, 110.5, 40.5, 60.5, 5.5, 50.5, 70.5]


def test_repeats_are_one_subject_and_subjects_of_both_parts_do_not_train(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = multicentre_landmarks.read(root).table
    assert table.groupby("site")["subject"].nunique().to_dict() == {"HC18": 2, "UCL": 2, "FP": 1}
    parts = table.assign(name=table["image"].map(lambda path: Path(path).name)).set_index("name")["part"]
    assert parts["005_HC.jpeg"] == ""
    assert parts["005_3HC.jpeg"] == "test"
    assert parts["001_2HC.png"] == "train"
    assert "1 subjects are in the published train and test part (UCL 005)" in capsys.readouterr().out


@pytest.mark.parametrize(("anatomy", "annotation"), [("abdomen", "abdomen_landmarks"), ("femur", "femur_landmarks")])
def test_the_other_anatomies_have_points_of_their_own(root: Path, anatomy: str, annotation: str) -> None:
    manifest = check_manifest(multicentre_landmarks.read(root, anatomy))
    assert set(manifest.annotations) == {annotation, "pixel_mm"}
    assert manifest.table["subject"].tolist() == ["168" if anatomy == "abdomen" else "170"]


def test_rows_with_a_point_outside_the_image_are_kept_without_landmarks(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outside = f"Patient00168_Plane3_1_of_2.png,1,60,40,{ENDS.replace('60,5', '60,-7')},168,0.15,,Train"
    csv(root / "FP" / "annotations" / "Head.csv", HEAD, outside)
    row = check_manifest(multicentre_landmarks.read(root)).table.set_index("site").loc["FP"]
    assert row[hc18.LANDMARKS].isna().all()
    assert "1 rows have a point outside the image" in capsys.readouterr().out


def test_two_pictures_of_one_name_are_refused_unless_their_folder_is_given(root: Path, tmp_path: Path) -> None:
    image(root / "more" / "Patient00168_Plane3_1_of_2.png", 77)
    with pytest.raises(UserError, match=r"(?s)data.images=.*2 of FP/.*Patient00168.*more"):
        multicentre_landmarks.read(root)
    for folder in ("more", str(root / "more")):
        table = multicentre_landmarks.read(root, images={"FP": folder}).table.set_index("site")
        assert table.loc["FP", "image"] == "more/Patient00168_Plane3_1_of_2.png"


def machines(root: Path, *rows: str) -> None:
    """FETAL_PLANES_DB's table, where the whole data set was unpacked."""
    header = "Image_name;Patient_num;Plane;Brain_plane;Operator;US_Machine;Train "
    planes = "Fetal brain;Trans-thalamic;Op. 1"
    csv(root / "Planes" / "FETAL_PLANES_DB_data.csv", header, *(row.replace("*", planes) for row in rows))


def test_the_machine_of_an_fp_image_may_be_its_site(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = ["Patient001_Plane3_1_of_1.png", *(f"Patient168_Plane3_{k}_of_3.png" for k in (1, 2, 3))]
    subjects = ["1", "168", "168", "168"]
    rows = [f"{name},1,60,40,{ENDS},{subject},0.15,,Train" for name, subject in zip(names, subjects, strict=True)]
    csv(root / "FP" / "annotations" / "Head.csv", HEAD, *rows)
    of = dict(zip(names, ("Aloka", "Voluson E6", "Aloka", "Voluson E6"), strict=True))
    machines(root, *(f"{name.removesuffix('.png')};{name[7:10]};*;{of[name]};1" for name in names))
    plain = multicentre_landmarks.read(root).table
    table = multicentre_landmarks.read(root, fp_by_machine=True).table
    fp = table[table["image"].isin(names)].set_index("image")
    assert fp["site"].to_dict() == {names[0]: "Aloka", names[1]: "Voluson_E6", names[3]: "Voluson_E6"}
    assert "1 images of subjects seen with several machines are left out" in capsys.readouterr().out
    others = plain[plain["site"] != "FP"]  # of which HC18 has a subject 001, too
    assert table.loc[others.index].equals(others)
    assert "FP" not in set(table["site"])


def test_a_machine_with_images_of_a_single_subject_is_left_out_and_named(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [f"Patient00{subject}_Plane3_1_of_1.png" for subject in (1, 2, 3, 4)]
    rows = [f"{name},1,60,40,{ENDS},{name[9]},0.15,,Train" for name in names]
    csv(root / "FP" / "annotations" / "Head.csv", HEAD, *rows)
    for level, name in enumerate(names[:3]):  # the image of the other's second subject is not there
        image(root / "FP" / "images" / name, level)
    of = zip(names, ("Aloka", "Aloka", "Other", "Other"), strict=True)
    machines(root, *(f"{name.removesuffix('.png')};{name[9]};*;{machine};1" for name, machine in of))
    table = multicentre_landmarks.read(root, fp_by_machine=True).table
    assert {"Aloka"} == set(table["site"]) - set(multicentre_landmarks.SITES.values())
    assert "machines with images of a single subject are left out: Other" in capsys.readouterr().out


def test_an_image_without_a_machine_is_named(root: Path) -> None:
    with pytest.raises(UserError, match=r"fp_by_machine=true takes one FETAL_PLANES_DB_data.csv .* not there"):
        multicentre_landmarks.read(root, fp_by_machine=True)
    machines(root, "Patient00001_Plane3_1_of_1;1;*;Aloka;1")
    with pytest.raises(UserError, match=r"(?s)no machine of .*fp_by_machine=false.*2 of FP/.*Patient00168_Plane3"):
        multicentre_landmarks.read(root, fp_by_machine=True)
    machines(root, "Patient00168_Plane3_1_of_2;168;*;;1")
    with pytest.raises(UserError, match="Patient00168_Plane3_1_of_2"):
        multicentre_landmarks.read(root, fp_by_machine=True)
    machines(root, *["Patient00168_Plane3_1_of_2;168;*;Aloka;1"] * 2)
    with pytest.raises(UserError, match=r"(?s)one row.*line 3: Patient00168_Plane3_1_of_2"):
        multicentre_landmarks.read(root, fp_by_machine=True)


def test_what_is_not_there_is_said_with_the_remedy(root: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"no Head.csv in a folder named HC18.*data.root"):
        multicentre_landmarks.read(tmp_path / "empty")
    with pytest.raises(UserError, match=r"nowhere: no such folder; download.*data.root"):
        multicentre_landmarks.read(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"anatomy=heads .*did you mean 'head'"):
        multicentre_landmarks.read(root, "heads")
    with pytest.raises(UserError, match=r"no site 'hc18' \(did you mean 'HC18'"):
        multicentre_landmarks.read(root, images={"hc18": "x"})
    csv(root / "FP" / "Femur.csv", FEMUR.replace("fl_1_x", "fl1_x"), "a.png,1,60,40,10,20,110,40,0.1,0,170,Test,")
    with pytest.raises(UserError, match=r"'fl_1_x' \(did you mean 'fl1_x'"):
        multicentre_landmarks.read(root, "femur")


@pytest.mark.real
def test_real_ellipses_of_ofd_and_bpd_have_hc18s_circumference(real_data: Path) -> None:
    heads = multicentre_landmarks.read(real_data).table
    assert heads["site"].value_counts().to_dict() == {"FP": 1637, "HC18": 999, "UCL": 159}
    table = heads[heads["site"] == "HC18"]
    published = read_table(real_data / "hc18" / hc18.TRAIN).set_index(hc18.NAME).astype(float)
    published = published.loc[table["image"].map(lambda path: Path(path).name)]
    semi = np.sort(diameters(table), axis=1) / 2
    perimeters = np.array([Ellipse(0, 0, major, minor, 0).perimeter for minor, major in semi])
    error = np.abs(perimeters * table["pixel_mm"].to_numpy(float) - published[hc18.HC].to_numpy())
    assert error.mean() == pytest.approx(0.12, abs=0.005)
    assert table["pixel_mm"].astype(float).to_numpy() == pytest.approx(published[hc18.PIXEL].to_numpy(), rel=1e-9)


@pytest.mark.real
@pytest.mark.parametrize(("anatomy", "rows"), [("head", 2795), ("abdomen", 823), ("femur", 895)])
def test_every_real_table_is_read_whole(real_data: Path, anatomy: str, rows: int) -> None:
    table = multicentre_landmarks.read(real_data, anatomy).table
    assert len(table) == rows
    assert (table["subject"] != "").all()
    used = table[table["part"] != ""]
    assert used.groupby(["site", "subject"])["part"].nunique().max() == 1
