import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ushydra_lab.data.seen_split import SeenAndUnseen
from ushydra_lab.errors import UserError

from .test_split import rows

sizes = st.lists(st.integers(1, 6), min_size=3, max_size=12)


def parts(table: pd.DataFrame, split: SeenAndUnseen, seed: int = 0) -> pd.DataFrame:
    return table.assign(part=split.assign(table, seed))


def test_sixty_twenty_twenty_within_each_seen_site_and_the_unseen_one_is_tested_whole() -> None:
    table = parts(rows(a=[1] * 100, b=[1] * 50, c=[2] * 10), SeenAndUnseen("c"))
    counts = table.groupby("site")["part"].value_counts().to_dict()
    assert counts == {
        ("a", "train"): 60, ("a", "val"): 20, ("a", "seen_test"): 20,
        ("b", "train"): 30, ("b", "val"): 10, ("b", "seen_test"): 10, ("c", "test"): 20,
    }  # fmt: skip
    assert "test" not in set(parts(rows(a=[1] * 10, b=[1] * 9), SeenAndUnseen(None))["part"])


@settings(deadline=None)
@given(sizes, sizes, sizes, st.integers(0, 10**6), st.floats(0.05, 0.45), st.floats(0.05, 0.45))
def test_no_subject_is_in_two_parts_and_fractions_are_met_within_the_largest_subject(
    a: list[int], b: list[int], c: list[int], seed: int, val: float, test: float
) -> None:
    table = parts(rows(a=a, b=b, c=c), SeenAndUnseen("c", None, val, test), seed)
    assert (table.groupby(["site", "subject"])["part"].nunique() == 1).all()
    for site, counts in (("a", a), ("b", b)):
        own = table[table["site"] == site]["part"].value_counts()
        assert set(own.index) == {"train", "val", "seen_test"}
        most = max(counts)
        assert own["seen_test"] <= max(round(test * sum(counts)) + most, most)
        assert own["val"] <= max(round(val * sum(counts)) + most, most)
    assert set(table[table["site"] == "c"]["part"]) == {"test"}


@settings(deadline=None)
@given(sizes, sizes, sizes, st.integers(0, 10**6))
def test_what_an_inner_fold_tests_or_learns_from_is_never_reported(
    a: list[int], b: list[int], c: list[int], seed: int
) -> None:
    table = rows(a=a, b=b, c=c)
    outer, inner = (parts(table, SeenAndUnseen("c", left_out), seed)["part"] for left_out in (None, "b"))
    reported = outer.isin(["seen_test", "test"])
    assert not inner[reported].isin(["train", "val", "test"]).any()
    assert set(inner[table["site"] == "c"]) == {"unused"}
    assert inner[table["site"] == "a"].equals(outer[table["site"] == "a"])
    assert (inner[(table["site"] == "b") & ~reported] == "test").all()


def test_the_order_of_rows_and_other_sites_change_no_part() -> None:
    table = rows(a=[2, 1, 3, 1, 1, 2], b=[1] * 9, c=[1] * 5)
    split = SeenAndUnseen("c")
    shuffled = table[table["site"] != "b"].sample(frac=1, random_state=0)
    both = parts(table, split), parts(shuffled, split)
    first, second = (t[t["site"] == "a"].drop_duplicates("subject").set_index("subject")["part"] for t in both)
    assert first.sort_index().equals(second.sort_index())


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (SeenAndUnseen("d"), "held_out=d is no site"),
        (SeenAndUnseen("c", "c"), "name each once"),
        (SeenAndUnseen(None, "a"), "hold this one out, held_out=a"),
        (SeenAndUnseen("c", "zz"), "zz is no site"),
        (SeenAndUnseen("c", None, 0.6, 0.5), "both must be above 0, together below 1"),
        (SeenAndUnseen("a"), "fewer than 3 subjects.*: b: 2; add subjects"),
    ],
)
def test_what_cannot_be_split_is_refused_with_the_remedy(split: SeenAndUnseen, message: str) -> None:
    with pytest.raises(UserError, match=message):
        split.assign(rows(a=[1] * 5, b=[1, 1], c=[1] * 5), 0)
