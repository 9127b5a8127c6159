import pandas as pd
import pytest

from ushydra_lab.audit import sites


def texts(subjects: dict[str, list[str]]) -> list[str]:
    rows = [{"site": site, "subject": subject} for site, ids in subjects.items() for subject in ids]
    table = pd.DataFrame(rows)
    return [flag.text for flag in sites.audit(table, table["site"]).flags]


def test_spellings_of_one_hospital_are_one_remark() -> None:
    (text,) = texts({name: ["1"] for name in ("st_anna", "st-anna", "st._anna", "st_ana", "charite", "mitte")})
    assert text.startswith("sites st-anna, st._anna, st_ana, st_anna have nearly the same name")
    assert "spell them alike" in text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Charité", "Charite"),
        ("philips", "phillips"),
        ("site1", "site_1"),
        ("site1", "site01"),
        ("st_anna_1", "st_ana_1"),
    ],
)
def test_slips_are_noticed(one: str, other: str) -> None:
    assert sites.nearly_same(one, other)
    assert sites.nearly_same(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("hospital_a", "hospital_b"),
        ("hospitalA", "hospitalB"),
        ("hospital", "hospital_b"),
        ("site1", "site2"),
        ("site_09", "site_10"),
        ("site1_voluson", "site2_voluson"),
        ("Site_G", "Site_R"),
        ("st_anna", "st_josef"),
        ("HC18", "UCL"),
    ],
)
def test_names_that_are_told_apart_on_purpose_are_left_alone(one: str, other: str) -> None:
    assert not sites.nearly_same(one, other)
    assert not sites.nearly_same(other, one)


def test_a_subject_of_two_sites_is_counted_per_pair() -> None:
    own = {"a": ["48211", "50377", "90113"], "b": ["50377", "90113", "12"], "c": ["7"]}
    (text,) = texts(own)
    assert text.startswith(
        "sites a and b share 2 subject IDs (50377, 90113): an ID at two sites counts as two subjects"
    )
    assert texts({**own, "b": ["x50377", "12"]}) == []


def test_running_numbers_say_nothing_of_who_it_is() -> None:
    counted = [f"{k:03d}" for k in range(1, 40, 2)]
    assert texts({"a": counted, "b": counted, "c": ["007", "881234"]}) == []
    assert texts({"a": [f"p{k}" for k in range(9)], "b": [f"p{k}" for k in range(7)]}) == []
