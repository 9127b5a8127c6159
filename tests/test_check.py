import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from .cli import status

Write = Callable[..., pd.DataFrame]
ENDS = tuple(f"{end}_{axis}" for end in ("ofd_1", "ofd_2", "bpd_1", "bpd_2") for axis in "xy")


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is written below the current directory."""
    monkeypatch.chdir(tmp_path)


def test_a_usable_manifest_is_summarised_by_site(
    write_images: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    table = write_images({"a": 3, "b": 2}, size=(30, 40))
    table.loc[:, "pixel_mm"] = 0.5
    table.loc[0, ["nt_mm", "pixel_mm"]] = [np.nan, 0.25]
    table.loc[3:, "pixel_mm"] = np.nan
    table.assign(plane=["brain", "femur", "", "brain", ""]).to_csv(tmp_path / "m.csv", index=False)
    assert status("check", str(tmp_path / "m.csv"), "--canvas", "30", "80") == 0
    lines = capsys.readouterr().out.splitlines()
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    shown = {name: values for name, *values in cells if values != ["0", "0"]}
    assert shown == {
        "images": ["3", "2"],
        "subjects": ["3", "2"],
        "with nt_box": ["3", "2"],
        "with nt_mm": ["2", "2"],
        "with pixel_mm": ["3", "0"],
        "plane brain": ["1", "1"],
        "plane femur": ["1", "0"],
        "mm per px": ["0.25 .. 0.5", "-"],
        "height, px": ["30", "30"],
        "width, px": ["40", "40"],
        "30 x 80 filled, %": ["50", "50"],
    }
    assert lines[-2].endswith("m.csv: usable")
    assert Path(lines[-1]) == Path("multirun/check/m/index.html")
    assert Path(lines[-1]).is_file()


def test_an_unusable_one_lists_its_problems_on_the_page_too_and_fails(
    write_images: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images({"a": 2}).assign(nt_x2=99, pixel_mm=9).to_csv(tmp_path / "m.csv", index=False)
    assert status("check", str(tmp_path / "m.csv")) == 1
    captured = capsys.readouterr()
    assert "4 problems" in captured.err
    assert "not usable: 4 problems" in captured.out
    page = (tmp_path / "multirun/check/m/index.html").read_text()
    assert "Not usable: 4 problems" in page
    assert "line 3 (a/1.png): nt_box leaves the image" in page


def test_flags_alone_do_not_fail(write_images: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_images({"a": 2, "b": 1}, size=(60, 80)).assign(pixel_mm=0.2)
    grey = np.array(Image.open(tmp_path / "a/0.png"))
    Image.fromarray((0.8 * grey).astype(np.uint8)).save(tmp_path / "b/0.png")
    table.to_csv(tmp_path / "m.csv", index=False)
    assert status("check", str(tmp_path / "m.csv"), "--out", "looked") == 0
    out = capsys.readouterr().out
    assert "line 2 (a/0.png) is nearly the same in line 4 (b/0.png): sites a and b" in out
    assert "m.csv: usable, 2 rows to look at" in out
    assert (tmp_path / "looked/index.html").is_file()


def test_a_data_set_is_chosen_as_in_training(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("check", "data=phantom_nt", "data.images_per_site=2", "data.root=phantoms") == 0
    assert "hospital_c" in capsys.readouterr().out
    assert Path("multirun/check/phantom_nt/index.html").is_file()


def test_masks_of_a_csv_are_read_with_the_structures_given(
    write_images: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_images({"a": 2}, size=(30, 40))
    for name, size in (("with, space = 'x'.png", (30, 40)), ("b.png", (30, 41))):
        Image.fromarray(np.full(size, 7, np.uint8)).save(tmp_path / name)
    table.assign(mask=["with, space = 'x'.png", "b.png"]).to_csv(tmp_path / "it's, a=b.csv", index=False)
    assert status("check", "it's, a=b.csv", "data.structures={head: 7}") == 1
    captured = capsys.readouterr()
    assert "1 problem" in captured.err
    assert "head in mask" in captured.out


def test_a_data_set_without_any_image_is_not_usable_and_one_with_some_is(
    write_images: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = write_images({"HC18": 3}).drop(columns=["site", "subject"]).assign(center_w=20, center_h=15, Split="train")
    (folder := tmp_path / "sets/HC18").mkdir(parents=True)
    ends = dict(zip(ENDS, (5, 15, 35, 15, 20, 5, 20, 25), strict=True))
    rows["image"] = [f"{k:03d}_HC.png" for k in range(3)]
    names = {"image": "image_name", "pixel_mm": "px_to_mm_rate"}
    rows.assign(**ends).rename(columns=names).to_csv(folder / "Head.csv", index=False)
    assert status("check", "data=multicentre_landmarks", f"data.root={tmp_path / 'sets'}") == 1
    captured = capsys.readouterr()
    assert "not usable: no image found" in captured.out
    assert f"download them below {tmp_path / 'sets'}" in captured.err
    assert "Not usable: no image found" in Path("multirun/check/multicentre_landmarks/index.html").read_text()
    (tmp_path / "HC18/0.png").rename(folder / "001_HC.png")
    assert status("check", "data=multicentre_landmarks", f"data.root={tmp_path / 'sets'}") == 0
    assert "multicentre_landmarks (head): usable" in capsys.readouterr().out


def test_columns_that_nothing_reads_are_named(
    write_images: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_images({"a": 2}).rename(columns={"pixel_mm": "pixel_size"}).assign(operator="x")
    table.to_csv(tmp_path / "m.csv", index=False)
    assert status("check", "m.csv") == 0
    assert "ignored columns: pixel_size, operator" in capsys.readouterr().out


def test_dim_16_bit_images_are_named_by_site(
    write_images: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_images({"a": 2, "b": 2}).drop(columns="pixel_mm")
    for name, white in (("a/0", 4080), ("a/1", 4000), ("b/0", 50_000)):
        pixels = np.random.default_rng(white).integers(0, white, (30, 40)).astype(np.uint16)
        pixels[0, 0] = white
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    table.to_csv(tmp_path / "m.csv", index=False)
    assert status("check", "m.csv") == 0
    out = capsys.readouterr().out
    assert "site a: 2 of 2 images with 16 bits have no value above 4080 of 65535" in out
    assert "scale their values to 16 bits before" in out
    assert "site b:" not in out
    assert "m.csv: usable, 2 rows to look at" in out


def test_label_maps_given_as_images_are_named_by_site(
    write_images: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_images({"a": 2, "b": 2})
    for name in ("a/0", "a/1"):
        labels = np.random.default_rng(int(name[-1])).integers(0, 10, (30, 40), dtype=np.uint8)
        Image.fromarray(labels).save(tmp_path / f"{name}.png")
    table.to_csv(tmp_path / "m.csv", index=False)
    assert status("check", "m.csv") == 0
    out = capsys.readouterr().out
    assert "site a: 2 of 2 images have no grey value above 9 of 255, so they are nearly black" in out
    assert "site b: 2 of 2 images have no grey" not in out


def test_options_may_stand_between_words(write_images: Write, tmp_path: Path) -> None:
    write_images({"a": 2}).to_csv(tmp_path / "m.csv", index=False)
    assert status("check", "m.csv", "--out", "page", f"cache_dir={tmp_path}") == 0
    assert (tmp_path / "page/index.html").exists()


def test_a_folder_is_told_from_its_table(
    write_images: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine").mkdir()
    write_images({"a": 1}).to_csv(tmp_path / "mine/rows.csv", index=False)
    assert status("check", "mine") == 1
    error = capsys.readouterr().err
    assert "mine: is a folder; give a CSV or Excel file in it (rows.csv)" in error
    assert "data=NAME data.root=mine" in error


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing.csv"], "no such manifest"),
        (["data=hc19"], "hc19"),
        (["data=hc18", "data.rooot=x"], "rooot"),
        (["data=hc18"], "data.root"),
        (["data=hc18", "data.root=nowhere"], "10.5281/zenodo.1327317"),
        (["data.root=x"], "Choose the data"),
        (["a.csv", "b.csv"], "a.csv b.csv: one table at a time; all hospitals' rows belong into one"),
        (["data=images", "data.root=x"], "data.site has no value; add data.site=..."),
        (["my", "images.csv"], "A name with spaces is typed so: 'my images.csv'"),
    ],
)
def test_what_cannot_be_checked_is_explained_without_a_traceback(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("check", *words) == 1
    assert said in capsys.readouterr().err
    assert not Path("multirun/check").exists()


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import ushydra_lab.commands.check as c; c.main(['--help'])", {"torch", "pandas"}),
        (
            "import ushydra_lab.commands.check as c; c.main(['data=phantom_nt', 'data.images_per_site=1'])",
            {"torch", "lightning"},
        ),
        ("import ushydra_lab.data.readers.manifest_csv", {"torch"}),
    ],
)
def test_the_command_does_not_wait_for_heavy_imports(statement: str, absent: set[str]) -> None:
    code = f"import sys\ntry: {statement}\nfinally: sys.exit(len({absent!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


@pytest.mark.real
def test_the_real_files_show_what_is_known_of_them(real_data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = f"data.root='{real_data / 'hc18'}'"
    csv = real_data / "hc18/landmarks/role_challenge_dataset_ground_truth.csv"
    assert status("check", "data=hc18", root) == 0
    page = Path("multirun/check/hc18/index.html").read_text()
    assert "1334 rows of" in page
    assert "with several rows: " in page
    assert "<td>train</td><td>999</td><td>806</td>" in " ".join(page.split()).replace("> <", "><")
    capsys.readouterr()
    assert status("check", "data=role_challenge", root, f"data.csv='{csv}'") == 1
    assert "BPD is longer than OFD in 522 of 622 rows" in capsys.readouterr().err
    assert status("check", "data=role_challenge", root, f"data.csv='{csv}'", "data.swap_columns=true") == 0
    flags = pd.read_csv("multirun/check/role_challenge/flags.csv")
    assert 200 < (flags["kind"] == "landmarks").sum() < 260
