"""Spreadsheets of all programs, as a manifest."""

import io
import unicodedata
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from openpyxl import Workbook, load_workbook
from PIL import Image

from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import manifest_csv
from ushydra_lab.errors import UserError

TEXTS = (
    "NA",
    "None",
    "null",
    "nan",
    "NaN",
    "N/A",
    "#N/A",
    "-nan",
    "inf",
    "001",
    "1e5",
    "TRUE",
    "1_000",
    "<NA>",
    "1.50",
)
COLUMNS = ["image", "site", "subject", "pixel_mm", "nt_x1", "nt_y1", "nt_x2", "nt_y2"]
ROWS = [[f"{k}.png", "Zürich", text, "0.25", "2", "3", "30.5", "20"] for k, text in enumerate(TEXTS)]
Lines = list[list[str]]


@pytest.fixture(autouse=True)
def images(tmp_path: Path) -> None:
    for k in range(len(TEXTS)):
        noise = np.random.default_rng(k).integers(0, 256, (30, 40), dtype=np.uint8)
        Image.fromarray(noise).save(tmp_path / f"{k}.png")


def joined(rows: Lines, separator: str = ",", newline: str = "\n") -> str:
    return "".join(separator.join(row) + newline for row in rows)


def commas(rows: Lines) -> Lines:
    return [[*row[:3], *(cell.replace(".", ",") for cell in row[3:])] for row in rows]


ALL = [COLUMNS, *ROWS]
CSV: dict[str, bytes] = {
    "plain": joined(ALL).encode(),
    "utf-8 with a mark": joined(ALL, ";").encode("utf-8-sig"),
    "german excel": joined([COLUMNS, *commas(ROWS)], ";", "\r\n").encode("cp1252"),
    "bars": joined(ALL, "|").encode(),
    "sep line": ("sep=;\r\n" + joined(ALL, ";", "\r\n")).encode(),
    "quoted sep line": ('"sep=\t"\n' + joined(ALL, "\t")).encode(),
    "unicode text of excel": joined(ALL, "\t", "\r\n").encode("utf-16"),
    "utf-16 without a mark": joined(ALL, ";").encode("utf-16-le"),
    "utf-16 big-endian": joined(ALL).encode("utf-16-be"),
    "CR alone": joined(ALL, newline="\r").encode(),
    "nameless empty columns": joined([[*row, "", "", ""] for row in ALL]).encode(),
    "nameless columns between": joined([[*row[:2], "", *row[2:]] for row in ALL]).encode(),
    "empty cells beyond the header": joined([COLUMNS, *([*row, "", ""] for row in ROWS)]).encode(),
    "comments": ("# exported 2024, by us\n\n# twice\n" + joined(ALL[:4]) + "# half\n" + joined(ALL[4:])).encode(),
    "comments that excel filled up": joined(
        [["# note", *[""] * 7], *ALL[:3], ["# note", *[""] * 7], *ALL[3:]]
    ).encode(),
    "apostrophes": joined([COLUMNS, *([row[0], row[1], f"'{row[2]}", *row[3:]] for row in ROWS)]).encode(),
    "formulas for text": joined([COLUMNS, *([*row[:2], f'="{row[2]}"', *row[3:]] for row in ROWS)]).encode(),
    "header with hidden characters": joined([["\ufeffimage", " site ", "subject\u200b", *COLUMNS[3:]], *ROWS]).encode(),
    "decomposed": unicodedata.normalize("NFD", joined(ALL)).encode(),
    "semicolons, points": joined(ALL, ";").encode(),
}


def judge(path: Path) -> None:
    table = check_manifest(manifest_csv.read(path)).table
    assert table["subject"].tolist() == list(TEXTS)
    assert set(table["site"]) == {"Zürich"}
    assert (table[["pixel_mm", "nt_x1", "nt_x2"]] == [0.25, 2.0, 30.5]).all(axis=None)


@pytest.mark.parametrize("kind", CSV)
def test_every_program_writes_the_same_table(tmp_path: Path, kind: str) -> None:
    (tmp_path / "m.csv").write_bytes(CSV[kind])
    judge(tmp_path / "m.csv")


def workbook(change: Callable[[Workbook], None] = lambda book: None, rows: Lines = ALL) -> bytes:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append([float(c) if i > 2 and row is not rows[0] else c for i, c in enumerate(row)])
        for cell in sheet[sheet.max_row][2:3]:
            cell.data_type = "s"  # else #N/A is an error
    change(book)
    book.save(content := io.BytesIO())
    return content.getvalue()


def test_a_workbook_is_read_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "m.xlsx").write_bytes(workbook())
    judge(tmp_path / "m.xlsx")
    (tmp_path / "renamed.csv").write_bytes(workbook())
    judge(tmp_path / "renamed.csv")


def test_other_sheets_that_are_empty_or_other_tables_do_not_matter(tmp_path: Path) -> None:
    def change(book: Workbook) -> None:
        book.create_sheet("empty", 0)
        book.create_sheet("legend", 0).append(["what", "means"])

    (tmp_path / "m.xlsx").write_bytes(workbook(change))
    judge(tmp_path / "m.xlsx")


def test_numbers_in_cells_are_what_the_spreadsheet_shows(tmp_path: Path) -> None:
    book = Workbook()
    sheet = book.active
    assert sheet is not None
    values = [12, 12.0, 1.5, True, date(2024, 2, 1), 7, 10**15]
    sheet.append(COLUMNS[:3])
    for k, value in enumerate(values):
        sheet.append([f"{k}.png", "A", value])
    sheet["C7"].number_format = "000"
    book.save(tmp_path / "m.xlsx")
    subjects = check_manifest(manifest_csv.read(tmp_path / "m.xlsx")).table["subject"].tolist()
    assert subjects == ["12", "12", "1.5", "TRUE", "2024-02-01", "007", "1000000000000000"]
    assert load_workbook(tmp_path / "m.xlsx").active is not None


def calculated(book: Workbook) -> None:
    book.worksheets[0]["E3"] = "=1+1"


def broken(book: Workbook) -> None:
    book.worksheets[0]["E3"] = "#REF!"


def twice(book: Workbook) -> None:
    book.copy_worksheet(book.worksheets[0])


def titled(book: Workbook) -> None:
    book.worksheets[0].insert_rows(1)
    book.worksheets[0]["A1"] = "Klinik A"


def rows(*numbers: list[str], separator: str = ";") -> bytes:
    """Of good images, with these cells of pixel_mm and nt_x1."""
    lines = [[*ROWS[k][:3], *cells, "3", "30", "20"] for k, cells in enumerate(numbers)]
    return joined([COLUMNS, *lines], separator).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (workbook(calculated), r"line 3: the formula =1\+1 has no value"),
        (workbook(broken), r"line 3: #REF!"),
        (workbook(twice), r"several sheets \(Sheet, Sheet Copy\)"),
        (workbook()[:500], "cannot be read as a spreadsheet"),
        (b"PK\x03\x04 no archive", "cannot be read as a spreadsheet"),
        (b"\xd0\xcf\x11\xe0" + bytes(500), "old .xls or a workbook with a password"),
        (rows(["0,25", "1.024"], ["0.25", "1"]), r"'pixel_mm': 0,25 in line 2 and 0.25 in line 3"),
        (rows(['"0,25"', "1"], separator=","), "write the decimal comma as a point"),
        (rows(["1.234,5", "1"]), "pixel_mm = '1.234,5' is not a"),
        (joined([COLUMNS, ["0.png", "A", "1"]]).encode(), "line 2: 3 cells, the header has 8"),
        (joined([COLUMNS, [*ROWS[0], "9"]]).encode(), "line 2: 9 cells"),
        (joined([["image", "site", "subject", "subject"], ["0.png", "A", "1", "2"]]).encode(), "'subject' occurs 2"),
        (joined([["Klinik A"], [], *ALL]).encode(), "'Klinik A', is no header of several columns"),
        (workbook(titled), "'Klinik A', is no header of several columns; delete titles above it"),
        (
            workbook(rows=[COLUMNS, [*ROWS[0], "9"]]),
            "line 2: 9 cells, the header has 8; name all columns in the header",
        ),
        (b'{"shapes": [{"points": [[1, 2], [3, 4]]}]}', "is JSON, XML or HTML; list the images in a CSV or Excel file"),
        (b'\n<?xml version="1.0"?>\n<annotations>', "is JSON, XML or HTML; .* ushydra_lab import"),
    ],
    ids=range(17),
)
def test_what_cannot_be_read_surely_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "m.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        check_manifest(manifest_csv.read(tmp_path / "m.csv"))


def test_another_coding_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "m.csv").write_bytes(CSV["german excel"])
    manifest_csv.read(tmp_path / "m.csv")
    assert "is not UTF-8: read as Windows-1252" in capsys.readouterr().out


def test_lines_are_counted_as_in_the_file(tmp_path: Path) -> None:
    rows = [COLUMNS, ROWS[0], [*ROWS[1][:3], "x", *ROWS[1][4:]]]
    (tmp_path / "m.csv").write_bytes(("sep=,\n# note\n\n" + joined(rows)).encode())
    with pytest.raises(UserError, match=r"line 6 \(1.png\): pixel_mm = 'x'"):
        check_manifest(manifest_csv.read(tmp_path / "m.csv"))


def test_a_nameless_column_with_content_is_named_by_its_place(tmp_path: Path) -> None:
    pd.DataFrame(ROWS, columns=COLUMNS).to_csv(tmp_path / "m.csv")  # with the index, as often
    table = check_manifest(manifest_csv.read(tmp_path / "m.csv")).table
    assert table["(column 1)"].tolist() == list(map(str, range(len(ROWS))))


HIDDEN = ("#image,site,subject", "# image;site; subject;nt_mm", "#image\tsite\tsubject", '"#image","site","subject"')


@pytest.mark.parametrize("header", HIDDEN)
def test_a_header_that_was_made_a_comment_is_told(tmp_path: Path, header: str) -> None:
    (tmp_path / "a.csv").write_text(f"# ours\n{header}\na.png,x,1\nb.png,y,2\n")
    with pytest.raises(UserError, match=r"a.csv: line 2 has the header's columns behind a '#', as a comment: remove"):
        manifest_csv.read(tmp_path / "a.csv")


def test_a_comment_may_repeat_the_header(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("#image,site,subject\nimage,site,subject\na.png,x,1\n")
    assert manifest_csv.read(tmp_path / "a.csv").table["subject"].tolist() == ["1"]
