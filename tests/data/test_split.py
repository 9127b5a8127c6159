from collections import Counter

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ushydra_lab.data import subject_draw
from ushydra_lab.data.split import KFold, LeaveOneSiteOut, LeaveSitesOut, Official, Random, Split, Stratified
from ushydra_lab.data.subject_draw import closest_subset
from ushydra_lab.errors import UserError


def rows(**images: list[int]) -> pd.DataFrame:
    """Images per subject of every site: rows(a=[1, 2]) is three images of two subjects."""
    return pd.DataFrame(
        [
            {"image": f"{site}/{subject}_{i}", "site": site, "subject": str(subject)}
            for site, counts in images.items()
            for subject, count in enumerate(counts)
            for i in range(count)
        ]
    )


PAPER = rows(h1=[1] * 766, h2=[1] * 759, h3=[1] * 503)


@pytest.mark.parametrize(
    ("held_out", "train", "val", "test"),
    [("h3", 1296, 229, 503), ("h2", 1079, 190, 759), ("h1", 1073, 189, 766)],
)
def test_table_1_of_the_paper(held_out: str, train: int, val: int, test: int) -> None:
    split = LeaveOneSiteOut(held_out)
    part = split.assign(PAPER, seed=1000)
    assert part.value_counts().to_dict() == {"train": train, "val": val, "test": test}
    assert set(part[PAPER["site"] == held_out]) == {"test"}
    assert split.name == held_out


def test_the_seed_draws_the_validation_images_anew_and_repeatably() -> None:
    split = LeaveOneSiteOut("h3")
    first, again, other = (split.assign(PAPER, seed) for seed in (0, 0, 1))
    assert first.equals(again)
    both = ((first == "val") & (other == "val")).sum()
    assert 10 < both < 60  # by chance 229 * 229 / 1525 = 34


def test_validation_images_come_from_all_sites_in_proportion() -> None:
    part = LeaveOneSiteOut("h3").assign(PAPER, seed=3)
    assert 85 < (part[PAPER["site"] == "h1"] == "val").sum() < 145  # 115 expected, SD 7


def test_the_held_out_site_does_not_influence_the_draw() -> None:
    other = rows(h1=[1] * 766, h2=[1] * 759, h3=[5, 7, 1]).sample(frac=1, random_state=0)
    split = LeaveOneSiteOut("h3")
    before, after = (
        table.assign(part=split.assign(table, seed=5)).query("site != 'h3'").set_index(["site", "subject"])["part"]
        for table in (PAPER, other)
    )
    assert before.sort_index().equals(after.sort_index())


sizes = st.lists(st.integers(1, 6), min_size=2, max_size=12)


@given(sizes, sizes, sizes, st.integers(0, 10**6), st.floats(0.1, 0.9))
def test_no_subject_is_in_two_parts_and_no_training_site_is_emptied(
    a: list[int], b: list[int], c: list[int], seed: int, fraction: float
) -> None:
    table = rows(a=a, b=b, c=c)
    seen = len(table) - sum(c)
    if round(fraction * seen) == 0:
        return
    table["part"] = LeaveOneSiteOut("c", fraction).assign(table, seed)
    assert (table.groupby(["site", "subject"])["part"].nunique() == 1).all()
    assert set(table[table["part"] == "train"]["site"]) == {"a", "b"}
    assert (table["part"] == "val").any()


def test_the_largest_subject_of_a_site_is_trained_on() -> None:
    table = rows(a=[9, 1])
    assert all(Random().assign(table, seed).tolist() == ["train"] * 9 + ["val"] for seed in range(8))


@given(st.lists(st.integers(1, 9), min_size=1, max_size=9), st.integers(1, 40))
def test_no_other_choice_of_subjects_comes_closer_to_the_target(counts: list[int], target: int) -> None:
    subjects = {("a", str(i)): count for i, count in enumerate(counts)}
    chosen = closest_subset(subjects, target)
    reached = {0}
    for count in counts:
        reached |= {total + count for total in reached}
    assert chosen
    assert abs(sum(subjects[s] for s in chosen) - target) == min(abs(t - target) for t in reached - {0})


def test_a_large_data_set_is_split_as_exactly_without_a_table_of_all_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    table = rows(a=[3] * 400, b=[2, 5] * 200, c=[1])
    whole = LeaveOneSiteOut("c").assign(table, seed=3)
    monkeypatch.setattr(subject_draw, "EXACT", 64)
    assert LeaveOneSiteOut("c").assign(table, seed=3).equals(whole)
    assert (whole == "val").sum() == round(0.15 * 2600)
    assert (Random(0.999).assign(rows(a=[1] * 500), seed=0) == "val").sum() == 499


def test_a_number_reused_by_two_sites_is_two_subjects() -> None:
    table = rows(a=[1] * 20, b=[1] * 20, c=[1])
    draws = [LeaveOneSiteOut("c").assign(table, seed) for seed in range(20)]
    differing = Counter(bool((d[:20].to_numpy() != d[20:40].to_numpy()).any()) for d in draws)
    assert differing[True] > 15


def test_official_parts_are_kept_and_a_missing_val_is_drawn_from_train() -> None:
    table = rows(a=[2] * 20).assign(part=["train"] * 30 + ["test"] * 8 + [""] * 2)
    part = Official(val_fraction=0.2).assign(table, seed=0)
    assert part.value_counts().to_dict() == {"train": 24, "val": 6, "test": 8, "unused": 2}
    table.loc[:3, "part"] = "val"
    assert Official().assign(table, seed=0)[:30].equals(table["part"][:30])


def test_random_has_no_test_part() -> None:
    assert Random(0.2).assign(rows(a=[1] * 51), seed=0).value_counts().to_dict() == {"train": 41, "val": 10}


@pytest.mark.parametrize(
    ("split", "table", "message"),
    [
        (LeaveOneSiteOut("H3"), PAPER, "did you mean 'h3'.*sites: h1, h2, h3"),
        (LeaveOneSiteOut("a"), rows(a=[1, 1]), "needs two sites"),
        (LeaveOneSiteOut("c"), rows(a=[9], b=[1] * 9, c=[1]), "single subject: a"),
        (LeaveOneSiteOut("b"), rows(a=[1, 1], b=[1]), "leave nothing to validate on"),
        (LeaveOneSiteOut("h1", 15), PAPER, "between 0 and 1"),
        (LeaveSitesOut(["h1", "h4"]), PAPER, "held_out=h4 is no site .*sites: h1, h2, h3"),
        (LeaveSitesOut(["h1"], inner="h1"), PAPER, "leave out: h1, h1; name each once"),
        (LeaveSitesOut(["h1", "h2"], inner="h3"), PAPER, "keep some to train on"),
        (LeaveSitesOut([]), PAPER, "leave out: none"),
        (Official(), PAPER, "column 'part'"),
        (Official(), PAPER.assign(part="test"), "no row has the part 'train'"),
        (Random(), rows(a=[30]), "of 1 subjects leave nothing"),
    ],
)
def test_impossible_splits_are_refused_with_the_remedy(split: Split, table: pd.DataFrame, message: str) -> None:
    with pytest.raises(UserError, match=message):
        split.assign(table, seed=0)


def test_leaving_out_one_of_several_sites_is_leave_one_site_out() -> None:
    one, several = LeaveOneSiteOut("h2"), LeaveSitesOut(["h2"])
    pd.testing.assert_series_equal(one.assign(PAPER, 3), several.assign(PAPER, 3))
    assert several.name == one.name == LeaveSitesOut("h2").name == "h2"


def test_an_inner_fold_tests_one_site_and_neither_trains_on_nor_tests_the_held_out_ones() -> None:
    table = rows(a=[1] * 20, b=[1] * 20, c=[1] * 5, d=[1] * 5)
    outer, inner = LeaveSitesOut(["c", "d"]), LeaveSitesOut(["d", "c"], inner="a")
    part = inner.assign(table, seed=0)
    assert part.groupby(table["site"]).agg(set).to_dict() == {
        "a": {"test"}, "b": {"train", "val"}, "c": {"unused"}, "d": {"unused"}
    }  # fmt: skip
    assert outer.assign(table, seed=0).groupby(table["site"]).agg(set)["c"] == {"test"}
    assert inner.name == f"{outer.name}+a"
    assert outer.name == LeaveSitesOut(("d", "c")).name != LeaveSitesOut(["a", "d"]).name


def test_the_held_out_sites_images_move_no_part_of_an_inner_fold() -> None:
    table = rows(a=[1] * 20, b=[1, 2] * 10, c=[1] * 20, d=[1] * 5)
    other = pd.concat([table[table["site"] != "d"], rows(d=[3] * 9)], ignore_index=True)
    parts = [LeaveSitesOut("d", inner="a").assign(each, seed=1)[each["site"] != "d"] for each in (table, other)]
    pd.testing.assert_series_equal(*parts)


def test_no_held_out_site_lists_the_sites() -> None:
    with pytest.raises(UserError, match=r"add held_out=SITE; sites: h1, h2, h3"):
        LeaveOneSiteOut(None).assign(PAPER, seed=0)


@given(st.lists(st.integers(1, 5), min_size=8, max_size=40), st.integers(2, 5), st.integers(0, 5))
def test_every_subject_is_tested_in_one_fold_and_folds_are_of_nearly_one_size(
    sizes: list[int], folds: int, seed: int
) -> None:
    table = rows(a=sizes)
    parts = [KFold(fold, folds, 0.3).assign(table, seed) for fold in range(folds)]
    tested = pd.concat([(part == "test").astype(int) for part in parts], axis=1)
    assert (tested.sum(axis=1) == 1).all()
    assert tested.groupby(table["subject"]).nunique().eq(1).all(axis=None)
    assert tested.sum().max() - tested.sum().min() <= max(sizes)
    for fold, part in enumerate(parts):
        assert set(part) == {"train", "val", "test"}
        assert (KFold(fold, folds, 0.3).assign(table, seed + 1) == "test").equals(part == "test")


def test_folds_that_do_not_exist_are_refused() -> None:
    for folds in (KFold(5, 5), KFold(-1, 5), KFold(0, 30)):
        with pytest.raises(UserError, match=r"fold is 0 to folds - 1.*20"):
            folds.assign(rows(a=[1] * 20), seed=0)


def test_stratified_parts_are_alike_in_what_masks_show_and_share_no_subject() -> None:
    table = rows(a=[1, 2, 1, 3] * 60, b=[2] * 100).assign(
        shows=lambda t: ["", "csp", "csp+lv"] * (len(t) // 3) + [""] * (len(t) % 3)
    )
    part = Stratified().assign(table, seed=0)
    kinds = table.groupby(["site", "subject"])["shows"].transform(lambda s: "+".join(sorted(set(s))))
    for _, of_kind in part.groupby(kinds):
        expected = {"val": round(0.15 * len(of_kind)), "test": round(0.15 * len(of_kind))}
        assert {name: abs((of_kind == name).sum() - n) <= 1 for name, n in expected.items()} == {
            "val": True,
            "test": True,
        }
    assert part.groupby([table["site"], table["subject"]]).nunique().max() == 1
    assert not part.equals(Stratified().assign(table, seed=1))


def test_a_kind_of_few_subjects_is_trained_on() -> None:
    table = rows(a=[1] * 40).assign(plane=["brain"] * 38 + ["femur"] * 2)
    part = Stratified(by="plane").assign(table, seed=0)
    assert set(part[table["plane"] == "femur"]) == {"train"}
    assert (part == "test").sum() == (part == "val").sum() == 6


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (Stratified(by="plan"), r"split.by=plan is no column of the data \(did you mean 'plane'\?\)"),
        (Stratified(by="plane", val_fraction=0.6, test_fraction=0.5), r"together below 1"),
        (Stratified(by="plane", val_fraction=0.01), r"no image for val"),
    ],
)
def test_an_impossible_stratified_split_is_refused(split: Stratified, message: str) -> None:
    with pytest.raises(UserError, match=message):
        split.assign(rows(a=[1] * 10).assign(plane="brain"), seed=0)
