"""What the user states of images: for all, by their names, in a table."""

from pathlib import Path

import pytest

from ushydra_lab.data.importers import codes, facts
from ushydra_lab.data.importers.codes import AtLeast
from ushydra_lab.data.importers.problem import ExportProblem
from ushydra_lab.errors import UserError


def test_a_template_fits_the_end_of_a_path() -> None:
    stated = facts.stated(["pixel_mm=0.1"], "{site}/{subject}_*.png", None)
    assert stated.of("export/st_anna/p_1_left_2.png") == {"pixel_mm": "0.1", "site": "st_anna", "subject": "p"}
    with pytest.raises(ExportProblem, match="does not fit the template"):
        stated.of("p1_a.png")


def test_what_a_template_has_besides_columns_is_taken_as_it_is() -> None:
    stated = facts.stated([], "{subject}(a).b+.png", None)
    assert stated.of("p1(a).b+.png") == {"subject": "p1"}
    with pytest.raises(ExportProblem):
        stated.of("p1(a)xb+.png")


def test_a_table_is_joined_by_path_or_file_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "patients.csv"
    table.write_text("image,site,subject,patient_name,quality\na/1.png,a,7,Mary,low\n2.png,b,8,Jane,\n")
    stated = facts.stated([], None, table)
    assert stated.of("a/1.png") == {"site": "a", "subject": "7", "quality": "low"}
    assert stated.of("b/2.png") == {"site": "b", "subject": "8"}
    with pytest.raises(ExportProblem, match=r"no row with 'b/1\.png'"):
        stated.of("b/1.png")
    assert "not taken over: patient_name" in capsys.readouterr().out


def test_a_row_of_a_file_name_that_several_images_have_is_told(tmp_path: Path) -> None:
    table = tmp_path / "patients.csv"
    table.write_text("image,subject\n1.png,7\na/2.png,8\n2.png,9\n")
    stated = facts.stated([], None, table)
    assert stated.shared(["a/1.png", "b/1.png", "a/2.png", "b/2.png", "b/2.png"]) == ["1.png"]


def test_what_is_stated_twice_must_agree(tmp_path: Path) -> None:
    stated = facts.stated(["site=a"], "{site}/{subject}.png", None)
    assert stated.of("a/1.png") == {"site": "a", "subject": "1"}
    with pytest.raises(ExportProblem, match="two values of site: 'a' and 'b'"):
        stated.of("b/1.png")


def test_all_that_cannot_be_stated_is_told_at_once() -> None:
    with pytest.raises(UserError) as told:
        facts.stated(["site", "sit=a", "mask=a.png"], "{subject}_{subject}_{name}.png", None)
    for text in (
        "--set site: write",
        "'sit' is no column that can be stated (did you mean 'site'?)",
        "'mask' is no",
        "'name' is no",
        "one column twice",
    ):
        assert text in str(told.value)


def test_a_table_with_an_image_twice_is_refused(tmp_path: Path) -> None:
    table = tmp_path / "patients.csv"
    table.write_text("image,site,subject\na\\1.png,a,7\na/1.png,b,8\n")
    with pytest.raises(UserError, match="more than one row"):
        facts.stated([], None, table)


def test_colours_of_all_sites_and_of_one() -> None:
    found = codes.parse(["csp=1", "lv=0,0,255", "mercy:csp=128+"])
    assert found.of("a") == {"csp": 1, "lv": [0, 0, 255]}
    assert found.of("mercy") == {"csp": AtLeast(128)}
    with pytest.raises(ExportProblem, match="site 'b' has no colours"):
        codes.parse(["a:csp=1"]).of("b")


def test_colours_that_mean_nothing_are_told_at_once() -> None:
    with pytest.raises(UserError) as told:
        codes.parse(["csp", "csp=256", "csp=1,2", "lv=1", "lv=2", "a:x=9+", "a:y=1", "b=0,0,0", "h=0+"])
    for text in (
        "csp: write",
        "csp=256: write",
        "csp=1,2: write",
        "lv is stated twice",
        "a:x, y: with a value",
        "b=0,0,0: black",
        "h=0+: black",
    ):
        assert text in str(told.value)
