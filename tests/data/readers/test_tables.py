from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ushydra_lab.data.readers.tables import read_table
from ushydra_lab.errors import UserError

CELL = st.text(st.characters(codec="utf-8", exclude_characters="\"\0\r\n'="), max_size=8)


@given(st.lists(st.lists(CELL.filter(str.strip), min_size=2, max_size=2), max_size=5), st.sampled_from(",;\t"))
def test_every_cell_comes_back_as_the_text_it_was_but_for_excels_marks_of_text(
    tmp_path_factory: pytest.TempPathFactory, rows: list[list[str]], separator: str
) -> None:
    path = tmp_path_factory.mktemp("tables") / "t.csv"
    lines = [["one", "two"], *rows]
    text = "".join(separator.join(f'"{cell}"' for cell in line) + "\r\n" for line in lines)
    path.write_bytes(text.encode("utf-8-sig"))
    table = read_table(path, ["two"], separator)
    assert table.to_numpy().tolist() == rows
    assert table.index.tolist() == list(range(2, len(rows) + 2))


def test_names_of_columns_are_compared_without_surplus_spaces(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Label, Pixel  in mm ,Train \na,0.1,1\n")
    assert list(read_table(tmp_path / "t.csv", ["Pixel in mm", "Train"])) == ["Label", "Pixel in mm", "Train"]


def test_every_missing_column_is_named_with_its_likely_misspelling(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("Label,pixel in mm\na,0.1\n")
    with pytest.raises(UserError, match=r"(?s)t.csv: columns are missing.*'Pixel in mm' \(did you mean.*- 'Plane'"):
        read_table(tmp_path / "t.csv", ["Label", "Pixel in mm", "Plane"])


def test_an_absent_file_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"t.csv: download it from here"):
        read_table(tmp_path / "t.csv", absent="download it from here")
