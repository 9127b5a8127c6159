from itertools import combinations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ushydra_lab.audit import sites
from ushydra_lab.audit.site_names import ALIKE, MOST, nearly_same


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
    assert nearly_same([one, other]) == nearly_same([other, one]) == [sorted([one, other])]


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
    assert nearly_same([one, other]) == []


def remaining(one: str, other: str) -> int:
    """Length of the longest common subsequence."""
    row = [0] * (len(other) + 1)
    for letter in one:
        new = [0]
        for j, second in enumerate(other):
            new.append(row[j] + 1 if letter == second else max(row[j + 1], new[j]))
        row = new
    return row[-1]


@settings(deadline=None)
@given(st.sets(st.text("abc", min_size=1, max_size=16), min_size=2, max_size=6))
def test_the_same_are_found_as_by_comparing_all(letters: set[str]) -> None:
    alike = {
        (one, other)
        for one, other in combinations(sorted(letters), 2)
        if remaining(one, other) >= max(ALIKE * (len(one) + len(other)) / 2, max(len(one), len(other)) - MOST)
    }
    found = nearly_same(letters)
    assert {pair for group in found for pair in combinations(group, 2)} >= alike
    assert {site for group in found for site in group} == {site for pair in alike for site in pair}


def test_sites_that_are_counted_are_many_and_a_slip_among_them_is_noticed() -> None:
    counted = [f"hospital_{number}" for number in range(1600)]
    assert nearly_same(counted) == []
    (group,) = nearly_same([*counted, "hopsital_77"])
    assert {"hopsital_77", "hospital_77"} <= {*group}


def test_a_subject_of_two_sites_is_counted_per_pair() -> None:
    own = {"a": ["48211", "50377", "90113"], "b": ["50377", "90113", "12"], "c": ["7"]}
    (text,) = texts(own)
    assert text.startswith(
        "sites a and b share 2 subject IDs (50377, 90113): an ID at several sites counts as several subjects"
    )
    assert texts({**own, "b": ["x50377", "12"]}) == []
    (text,) = texts({**own, "b": ["50377", "12"], "c": ["50377", "7000"]})
    assert text.startswith("sites a, b and c share 1 subject ID (50377)")


def test_running_numbers_say_nothing_of_who_it_is() -> None:
    counted = [f"{k:03d}" for k in range(1, 40, 2)]
    assert texts({"a": counted, "b": counted, "c": ["007", "881234"]}) == []
    assert texts({"a": [f"p{k}" for k in range(9)], "b": [f"p{k}" for k in range(7)]}) == []


def people(*subjects: str, site: str = "a") -> list[str]:
    return texts({site: list(subjects)})


@pytest.mark.parametrize(
    ("one", "other"), [("12", "12.0"), ("P1", "p1"), ("001", "1"), ("P1", "P1\u200b"), ("P_1", "P1")]
)
def test_a_person_in_two_spellings_is_named_with_the_pair_and_the_rows(one: str, other: str) -> None:
    table = pd.DataFrame({"site": "a", "subject": ["x", one, "y", other, one]})
    (flag,) = sites.audit(table, table["site"]).flags
    assert (
        f"site a: 1 subject may be spelt in several ways: {' and '.join(map(ascii, sorted([one, other])))}" in flag.text
    )
    assert flag.rows == (1, 3, 4)


def test_letters_composed_or_not_are_one_name() -> None:
    (text,) = people("Zo\u00eb", "Zoe\u0308", "x")
    assert r"'Zoe\u0308' and 'Zo\xeb'" in text
    table = pd.DataFrame({"site": "Z\u00fcrich", "subject": ["1", "2"]})
    (flag,) = sites.audit(table, pd.Series(["Z\u00fcrich", "Zu\u0308rich"])).flags
    assert "are one name, its letters composed or not: read as one" in flag.text


def test_the_same_spellings_at_two_sites_are_two_people_unless_ids_are_shared() -> None:
    assert texts({"a": ["1", "2", "3"], "b": ["01", "02", "03"]}) == []
    (text,) = texts({"a": ["K-993-x", "K-17-y"], "b": ["k_993_X", "K-50-z"]})
    assert "sites a and b share 1 subject ID" in text


@pytest.mark.parametrize(("one", "other"), [("1", "01"), ("h1", "h01"), ("H_1", "H_01"), ("1", "1.0"), ("h-1", "H1")])
def test_a_hospital_in_two_spellings_is_named(one: str, other: str) -> None:
    (text,) = texts({one: ["1"], other: ["2"], "mitte": ["3"]})
    assert text.startswith(f"sites {', '.join(sorted([one, other]))} have nearly the same name")


def test_many_images_of_nobody_are_told_and_a_person_called_so_is_not() -> None:
    (text,) = people("ANONYMOUS", "ANONYMOUS", "1", "2")
    assert "2 images of subject 'ANONYMOUS', which looks like a word for no name" in text
    assert people("NA", "None", "null", "nan", "TRUE", "1e5", "001") == []
