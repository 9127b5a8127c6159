"""Reading spreadsheets as numbered lines of text: CSV of any program and encoding, or an Excel workbook."""

import csv
import io
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, time
from pathlib import Path
from typing import TYPE_CHECKING

from ushydra_lab.data.io.files import spelt
from ushydra_lab.errors import UserError

if TYPE_CHECKING:
    from openpyxl.cell import Cell
    from openpyxl.workbook import Workbook

NOT_TEXT = "is not text; save it as 'CSV UTF-8' or as .xlsx in the spreadsheet"
NOT_EXCEL = "cannot be read as a spreadsheet (.xlsx); save it again, or download it again"
NOT_TABLE = (
    "is JSON, XML or HTML; list the images in a CSV or Excel file, or bring what LabelMe, COCO or CVAT have saved into "
    "one: python -m ushydra_lab import"
)
ZIP, OLE = b"PK\x03\x04", b"\xd0\xcf\x11\xe0"
MAX_BYTES = 500_000_000  # of a workbook when unpacked
ENCODINGS = {
    b"\xef\xbb\xbf": "utf-8",
    b"\xff\xfe\0\0": "utf-32",
    b"\0\0\xfe\xff": "utf-32",
    b"\xff\xfe": "utf-16",
    b"\xfe\xff": "utf-16",
}
SEPARATORS = ",;\t|"
DECLARED = re.compile(r'"?sep=(?P<separator>[,;\t|])"?[,;\t]*', re.IGNORECASE)
COMMENT = re.compile(r"""[\s,;]*$|[ "]*#(?![,;\t])""")  # or an empty line, above the header


@dataclass(frozen=True)
class Sheet:
    """lines: number in the file -> cells, header first, without empty lines and comments; separator: '' of Excel."""

    lines: dict[int, list[str]]
    separator: str = ""


def read_sheet(path: Path, absent: str, separator: str = "", columns: Sequence[str] = ()) -> Sheet:
    """columns: the header's, which tell the sheet of a workbook that is meant.

    Raises UserError: no such file (`absent` says what to do), neither text nor a workbook, JSON or XML, quotes that do
    not close, a header that was made a comment.
    """
    try:
        content = spelt(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: {absent}") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror})") from error
    if content.startswith(OLE):
        raise UserError(
            f"{path}: is an old .xls or a workbook with a password; save it as .xlsx without one, or as CSV"
        )
    if content.startswith(ZIP) or path.suffix.lower() in (".xlsx", ".xlsm"):
        return Sheet(_workbook(path, content, columns))
    text = _decoded(path, content)
    if text.lstrip().startswith(("{", "<")):
        raise UserError(f"{path}: {NOT_TABLE}")
    return _text_sheet(path, text, separator, columns)


def _decoded(path: Path, content: bytes) -> str:
    """By its byte order mark; else UTF-8, UTF-16 where every other byte is zero, Windows-1252 (said aloud)."""
    encoding = next((name for mark, name in ENCODINGS.items() if content.startswith(mark)), "")
    if not encoding and len(content) > 1 and 0 in content[:2] and content[:2] != b"\0\0":
        encoding = "utf-16-be" if content[0] == 0 else "utf-16-le"
    tried = [encoding] if encoding else ["utf-8", "cp1252"]
    for name in tried:
        try:
            text = content.decode(name).removeprefix("\ufeff")
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        if name == "cp1252":
            print(f"{path}: is not UTF-8: read as Windows-1252; look whether names with accents are right")
        return text
    raise UserError(f"{path}: {NOT_TEXT}")


def _text_sheet(path: Path, text: str, separator: str, columns: Sequence[str]) -> Sheet:
    """Comments begin with #: lines before the header, and later ones that have another count of cells, or only one."""
    rows = list(io.StringIO(text, newline=""))
    declared = DECLARED.fullmatch(rows[0].strip()) if rows else None
    above = 1 if declared else 0
    while above < len(rows) and COMMENT.match(rows[above]):
        above += 1
    found = separator or (
        declared["separator"] if declared else max(SEPARATORS, key="".join(rows[above : above + 1]).count)
    )
    lines = csv.reader(rows[above:], delimiter=found, strict=True)
    try:
        numbered = [(above + lines.line_num, [_plain(cell) for cell in row]) for row in lines]
    except csv.Error as error:
        raise UserError(f"{path}: line {above + lines.line_num}: {error}; check the quotes") from error
    filled = {line: row for line, row in numbered if any(cell.strip() for cell in row)}
    header = next(iter(filled.values()), [])
    _refuse_hidden_header(path, rows[:above], header, columns)
    width = len(header)
    return Sheet({line: row for line, row in filled.items() if not _is_comment(row, width)}, found)


def _refuse_hidden_header(path: Path, comments: list[str], header: list[str], columns: Sequence[str]) -> None:
    """Raises UserError where a comment has the columns that the header lacks."""
    if {*columns} <= {cell.strip() for cell in header}:
        return
    for line, comment in enumerate(comments, 1):
        if {*columns} <= {cell.strip(' "#\r\n') for cell in re.split("[,;\t]", comment)}:
            raise UserError(f"{path}: line {line} has the header's columns behind a '#', as a comment: remove the '#'")


def _is_comment(row: list[str], width: int) -> bool:
    return row[0].startswith("#") and (len(row) != width or (width > 1 and not any(row[1:])))


def _plain(cell: str) -> str:
    """Without what makes a spreadsheet take a number for text: '001 and ="001" are 001."""
    forced = re.fullmatch(r'="([^"]*)"', cell) or re.fullmatch(r"'([^']+)", cell)
    return forced[1] if forced else cell


def _workbook(path: Path, content: bytes, columns: Sequence[str]) -> dict[int, list[str]]:
    """Of the only sheet that is not empty; of several the one with all of these columns."""
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(io.BytesIO(content)) as packed:
            size = sum(entry.file_size for entry in packed.infolist())
            inner = [packed.read(n) for n in packed.namelist() if n.startswith("xl/worksheets/") and size < MAX_BYTES]
        if size >= MAX_BYTES:
            raise UserError(f"{path}: unpacks to {size:,} bytes; save the table alone, as CSV UTF-8")
        sheets = _sheets(load_workbook(io.BytesIO(content), read_only=True, data_only=True))
        formulas = any(b"<f" in xml for xml in inner)
        written = _sheets(load_workbook(io.BytesIO(content), read_only=True)) if formulas else sheets
    except UserError:
        raise
    except Exception as error:  # openpyxl raises whatever a damaged archive or workbook leads to
        raise UserError(f"{path}: {NOT_EXCEL} ({error})") from error
    filled = {name: lines for name, lines in sheets.items() if lines}
    fitting = {n: lines for n, lines in filled.items() if {*columns} <= {_text(c) for c in next(iter(lines.values()))}}
    chosen = fitting if len(filled) > 1 else filled
    if len(chosen) != 1 and filled:
        wanted = f"; one of them must have the columns {', '.join(columns)}" if columns else ""
        raise UserError(f"{path}: has several sheets ({', '.join(filled)}){wanted}; delete the others")
    name = next(iter(chosen), "")
    _refuse_uncalculated(path, chosen.get(name, {}), written.get(name, {}))
    return {line: [_text(cell) for cell in row] for line, row in chosen.get(name, {}).items()}


def _sheets(workbook: "Workbook") -> dict[str, dict[int, list["Cell"]]]:
    """Name -> number of the row -> cells, of rows that are not empty."""
    found = {}
    for sheet in workbook.worksheets:
        sheet.reset_dimensions()  # some programs state a wrong size
        rows = ((n, list(row)) for n, row in enumerate(sheet.iter_rows(), 1))
        found[sheet.title] = {n: row for n, row in rows if any(_text(cell).strip() for cell in row)}
    return found


def _refuse_uncalculated(path: Path, values: dict[int, list["Cell"]], written: dict[int, list["Cell"]]) -> None:
    """Raises UserError listing cells that hold an error of Excel, or a formula whose value was never calculated."""
    problems = [f"line {n}: {c.value}" for n, row in values.items() for c in row if c.data_type == "e"]
    for line, row in written.items():
        known = values.get(line, [])
        for column, cell in enumerate(row):
            if cell.data_type == "f" and (column >= len(known) or known[column].value is None):
                problems.append(
                    f"line {line}: the formula {cell.value} has no value; open and save it in the spreadsheet"
                )
    if problems:
        raise UserError.listing(f"{path}: cells without a value; write it out, or leave the cell empty", problems)


def _text(cell: "Cell") -> str:
    """What the spreadsheet shows: 12 of 12.0, 001 of 1 in the format 000, TRUE, dates as 2024-02-01."""
    value = cell.value
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).upper()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    if isinstance(value, int) and re.fullmatch("0+", str(cell.number_format)):
        return str(value).zfill(len(cell.number_format))
    if isinstance(value, date | time):
        return value.isoformat().removesuffix("T00:00:00")
    return _plain(value) if isinstance(value, str) else str(value)
