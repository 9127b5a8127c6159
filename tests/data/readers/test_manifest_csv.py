from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import manifest_csv
from ushydra_lab.errors import UserError

Write = Callable[..., pd.DataFrame]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_spreadsheets_of_all_kinds_say_the_same(
    write_images: Write, tmp_path: Path, encoding: str, newline: str, separator: str
) -> None:
    table = write_images({"Zürich": 2}).assign(subject=["007", "1e3"])
    table.to_csv(tmp_path / "m.csv", index=False, sep=separator, encoding=encoding, lineterminator=newline)
    manifest = check_manifest(manifest_csv.read(tmp_path / "m.csv"))
    assert manifest.table["subject"].tolist() == ["007", "1e3"]
    assert manifest.sites == ["Zürich"]
    assert manifest.table["nt_x2"].tolist() == [34.0, 34.0]


def test_problems_name_the_line_of_the_file_despite_blank_lines_and_quotes(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"a": 3}).astype(object)
    table.loc[2, "pixel_mm"] = "x"
    header, *lines = table.assign(note="one").to_csv(index=False).splitlines()
    lines[0] = lines[0].replace("one", '"two\nlines"')
    text = "\n".join([header, lines[0], "", ",,,,,,,,,", *lines[1:]])
    (tmp_path / "m.csv").write_text(text)
    with pytest.raises(UserError, match=r"line 7 \(a/2.png\): pixel_mm = 'x'"):
        check_manifest(manifest_csv.read(str(tmp_path / "m.csv")))
    assert text.splitlines()[6].startswith("a/2.png")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"image,site,subject\na.png,A\nb.png,A,1,2\n",
            r"(?s)line 2: 2 cells, the header has 3.*line 3: 4 cells",
        ),
        (b"image,site,site\na.png,A,1\n", "column 'site' occurs 2 times"),
        (b"", "column 'image' is missing"),
        (b"image,site,subject\n", "no rows"),
        (b"image,site,subject\na\x81.png,A,1\n", "is not text"),
        ("image,site,subject\n".encode("utf-16")[:-1], "is not text"),
        (b"image,site,subject\na\0.png,A,1\n", "is not text"),
        (b'image,site,subject\n"a.png,A,1\n', "check the quotes"),
    ],
)
def test_what_is_no_table_is_refused_with_the_reason(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "m.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        check_manifest(manifest_csv.read(tmp_path / "m.csv"))


def test_a_missing_manifest_names_the_key(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere.csv: no such manifest.*data.path"):
        manifest_csv.read(tmp_path / "nowhere.csv")
    with pytest.raises(UserError, match="is a folder; give a CSV or Excel file"):
        manifest_csv.read(tmp_path)


def test_masks_are_read_by_the_colours_that_are_given(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"a": 2}, size=(30, 40)).assign(mask=["a/mask.png", ""])
    pixels = np.zeros((30, 40), np.uint8)
    pixels[3:9], pixels[12:15] = 200, 100
    Image.fromarray(pixels).save(tmp_path / "a/mask.png")
    table.to_csv(tmp_path / "m.csv", index=False)
    manifest = check_manifest(manifest_csv.read(tmp_path / "m.csv", {"head": 200, "csp": [100, 100, 100]}))
    assert manifest.masks is not None
    assert manifest.masks.structures == ("head", "csp")
    assert Path(manifest.table["mask"][0]) == tmp_path / "a/mask.png"
    with pytest.raises(UserError, match=r"unknown colours \(100: 120 px\)"):
        check_manifest(manifest_csv.read(tmp_path / "m.csv", {"head": 200}))


def test_masks_and_their_colours_are_needed_together(write_images: Write, tmp_path: Path) -> None:
    table = write_images({"a": 1})
    table.assign(mask="a/0.png").to_csv(tmp_path / "m.csv", index=False)
    with pytest.raises(UserError, match=r"m.csv: has masks.*data.structures=\{head: 255\}"):
        manifest_csv.read(tmp_path / "m.csv")
    with pytest.raises(UserError, match=r"data.structures: head: 0 is the background"):
        manifest_csv.read(tmp_path / "m.csv", {"head": 0})


def test_columns_without_any_value_count_as_absent(tmp_path: Path) -> None:
    Image.fromarray(np.eye(9, dtype=np.uint8)).save(tmp_path / "a.png")
    header = "image,site,subject,mask,ofd_1_x,pixelmm,part,nt_x1,nt_y1,nt_x2,nt_y2,width"
    (tmp_path / "m.csv").write_text(f"{header}\na.png,x,1,, ,,,,,,,\n")
    manifest = check_manifest(manifest_csv.read(tmp_path / "m.csv"))
    assert manifest.masks is None
    assert not manifest.annotations
