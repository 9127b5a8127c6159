"""Which spellings are one name."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ushydra_lab.data import names

ONE = [
    *(
        ("12", "12.0"),
        ("12", "12,00"),
        ("P1", "p1"),
        ("001", "1"),
        ("P1", "P1\u200b"),
        ("P1", "\ufeffP1"),
        ("P1", "P\u00ad1"),
    ),
    *(
        ("P_1", "P-01"),
        ("P 1", "P1"),
        ("P\u00a01", "P 1"),
        ("P\N{EN DASH}1", "P-1"),
        ("h1", "h01"),
        ("H_1", "H_01"),
        ("1", "1.0"),
    ),
    *(("100000", "1e5"), ("1E+05", "100000"), ("P１２", "P12"), ("\u0420\u0031", "P1"), ("M\u00fcller", "Muller")),
    *(
        ("P1", "'P1"),
        ("Stra\N{LATIN SMALL LETTER SHARP S}e", "STRASSE"),
        ("a/01", "a/1"),
        ("P1", "P\u200d1"),
        ("1\u202f2", "1 2"),
    ),
    *(("\u0967\u0968", "12"), ("P\u0663", "P3"), ("1O1", "101"), ("\u0141ukasz 1", "Lukasz 1"), ("\u00d8re", "ore")),
    *((unicodedata.normalize("NFC", "Zoë 3"), unicodedata.normalize("NFD", "Zoë 3")), ("0", "000"), ("0.0", "0")),
]
TWO = [
    *(("12", "120"), ("1-11", "11-1"), ("1.5", "15"), ("P1", "P2"), ("P1", "Q1"), ("P1-2", "P12"), ("1.1", "1.10")),
    *(
        ("NA", "None"),
        ("null", "nan"),
        ("TRUE", "1"),
        ("1_000", "1000"),
        ("--", "?"),
        ("1e99999", "1"),
        ("P1a", "P1b"),
        ("1O", "10"),
        ("O1", "01"),
    ),
]


@pytest.mark.parametrize(("one", "other"), ONE)
def test_spellings_of_one_name_have_one_key(one: str, other: str) -> None:
    assert names.key(one) == names.key(other)
    assert names.spellings([one, other, "somebody else"]) == [sorted([one, other])]


@pytest.mark.parametrize(("one", "other"), TWO)
def test_different_names_do_not(one: str, other: str) -> None:
    assert names.key(one) != names.key(other)


@given(st.text(max_size=12))
def test_a_key_is_the_same_for_every_case_and_coding_of_the_letters(name: str) -> None:
    assert names.key(unicodedata.normalize("NFD", name)) == names.key(unicodedata.normalize("NFC", name))
    if name.isascii():
        assert names.key(name) == names.key(name.upper()) == names.key(name.lower())


@given(st.integers(0, 10**9), st.integers(1, 6), st.sampled_from(("", "P", "Fall ")))
def test_zeros_before_a_number_do_not_count(number: int, zeros: int, prefix: str) -> None:
    assert names.key(f"{prefix}{number}") == names.key(f"{prefix}{'0' * zeros}{number}")
    assert names.key(f"{prefix}{number}") != names.key(f"{prefix}{number + 1}")


def test_names_that_look_the_same_are_quoted_with_escapes() -> None:
    assert names.quoted(["P1", "p1"]) == "'P1' and 'p1'"
    assert names.quoted(["P1", "P1\u200b"]) == r"'P1' and 'P1\u200b'"
    assert names.quoted(["P1", "\u04201"]) == r"'P1' and '\u04201'"


@pytest.mark.parametrize(
    "name", ["ANONYMOUS", "anonymized", "--", "?", "Unknown", "XXXX", "N/A", "No Name", "", "^^^", "Removed"]
)
def test_words_for_no_name_are_told(name: str) -> None:
    assert names.is_placeholder(name)


@pytest.mark.parametrize("name", ["4711", "P1", "Anonymous12", "x1", "0", "Nathan"])
def test_names_are_not(name: str) -> None:
    assert not names.is_placeholder(name)
