import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ushydra_lab import check

Write = Callable[..., pd.DataFrame]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The page is written below the current directory."""
    monkeypatch.chdir(tmp_path)


def test_a_usable_manifest_is_summarised_by_site(
    write_images: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    table = write_images({"a": 3, "b": 2}, size=(30, 40))
    table.loc[0, ["nt_mm", "pixel_mm"]] = [np.nan, 0.25]
    table.loc[3:, "pixel_mm"] = np.nan
    table.assign(plane=["brain", "femur", "", "brain", ""]).to_csv(tmp_path / "m.csv", index=False)
    assert check.main([str(tmp_path / "m.csv"), "--canvas", "30", "80"]) == 0
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
        "mm per px": ["0.1 .. 0.25", "-"],
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
    assert check.main([str(tmp_path / "m.csv")]) == 1
    captured = capsys.readouterr()
    assert "4 problems" in captured.err
    assert "not usable: 4 problems" in captured.out
    page = (tmp_path / "multirun/check/m/index.html").read_text()
    assert "Not usable: 4 problems" in page
    assert "line 3 (a/1.png): nt_box leaves the image" in page


def test_flags_alone_do_not_fail(write_images: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = write_images({"a": 2, "b": 1}, size=(60, 80))
    grey = np.array(Image.open(tmp_path / "a/0.png"))
    Image.fromarray((0.8 * grey).astype(np.uint8)).save(tmp_path / "b/0.png")
    table.to_csv(tmp_path / "m.csv", index=False)
    assert check.main([str(tmp_path / "m.csv"), "--out", "looked"]) == 0
    out = capsys.readouterr().out
    assert "line 2 (a/0.png) is nearly the same in line 4 (b/0.png): sites a and b" in out
    assert "m.csv: usable, 2 rows to look at" in out
    assert (tmp_path / "looked/index.html").is_file()


def test_a_data_set_is_chosen_as_in_training(capsys: pytest.CaptureFixture[str]) -> None:
    assert check.main(["data=phantom_nt", "data.images_per_site=2", "data.root=phantoms"]) == 0
    assert "hospital_c" in capsys.readouterr().out
    assert Path("multirun/check/phantom_nt/index.html").is_file()


def test_masks_of_a_csv_are_read_with_the_structures_given(
    write_images: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_images({"a": 2}, size=(30, 40))
    for name, size in (("with, space = 'x'.png", (30, 40)), ("b.png", (30, 41))):
        Image.fromarray(np.full(size, 7, np.uint8)).save(tmp_path / name)
    table.assign(mask=["with, space = 'x'.png", "b.png"]).to_csv(tmp_path / "it's, a=b.csv", index=False)
    assert check.main(["it's, a=b.csv", "data.structures={head: 7}"]) == 1
    captured = capsys.readouterr()
    assert "1 problem" in captured.err
    assert "head in mask" in captured.out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["missing.csv"], "no such manifest"),
        (["data=hc19"], "hc19"),
        (["data=hc18", "data.rooot=x"], "rooot"),
        (["data=hc18"], "data.root"),
        (["data=hc18", "data.root=nowhere"], "10.5281/zenodo.1327317"),
        (["data.root=x"], "Choose the data"),
    ],
)
def test_what_cannot_be_checked_is_explained_without_a_traceback(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert check.main(words) == 1
    assert said in capsys.readouterr().err
    assert not Path("multirun/check").exists()


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import ushydra_lab.check as c; c.main(['--help'])", {"torch", "pandas"}),
        (
            "import ushydra_lab.check as c; c.main(['data=phantom_nt', 'data.images_per_site=1'])",
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
    assert check.main(["data=hc18", root]) == 0
    page = Path("multirun/check/hc18/index.html").read_text()
    assert "1334 rows of" in page
    assert "with several rows: " in page
    assert "<td>train</td><td>999</td><td>806</td>" in " ".join(page.split()).replace("> <", "><")
    capsys.readouterr()
    assert check.main(["data=role_challenge", root, f"data.csv='{csv}'"]) == 1
    assert "BPD is longer than OFD in 522 of 622 rows" in capsys.readouterr().err
    assert check.main(["data=role_challenge", root, f"data.csv='{csv}'", "data.swap_columns=true"]) == 0
    flags = pd.read_csv("multirun/check/role_challenge/flags.csv")
    assert 200 < (flags["kind"] == "landmarks").sum() < 260
