from itertools import permutations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ushydra_lab.audit import landmarks
from ushydra_lab.audit.landmarks import LabelWeights, Shape
from ushydra_lab.data.vocabulary import ANNOTATIONS

COLUMNS = list(ANNOTATIONS["landmarks"].columns)
CSV = "hc18/landmarks/role_challenge_dataset_ground_truth.csv"
MULTICENTRE = "hc18/landmarks/multicentre_HC18/Head.csv"


def random_ends(rng: np.random.Generator, rows: int) -> np.ndarray:
    """(rows, 2 diameters, 2 ends, x and y) of plausible heads: any place, size and direction, 2 % annotators' error."""
    angle, length = rng.uniform(0, np.pi, rows), rng.uniform(200, 500, rows)
    along = np.stack([np.cos(angle), np.sin(angle)], axis=1) * length[:, None] / 2
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * rng.uniform(0.74, 0.86, rows)[:, None]
    centre = rng.uniform(300, 500, (rows, 2))
    ends = np.stack([centre - along, centre + along, centre - across, centre + across], axis=1)
    return (ends + rng.normal(0, 0.01, ends.shape) * length[:, None, None]).reshape(rows, 2, 2, 2)


def table_of(ends: np.ndarray) -> pd.DataFrame:
    table = pd.DataFrame(ends.reshape(-1, 8), columns=COLUMNS, index=pd.RangeIndex(2, len(ends) + 2, name="line"))
    return table.assign(image=[f"{k}.png" for k in range(len(ends))], site="a", subject="x")


def flagged(ends: np.ndarray) -> dict[int, str]:
    return {flag.rows[0]: flag.text for flag in landmarks.audit(table_of(ends))[0].flags}


def test_plausible_heads_of_any_place_size_and_direction_pass() -> None:
    assert len(flagged(random_ends(np.random.default_rng(0), 1000))) <= 4


def test_each_gross_error_is_named_with_its_line_image_and_reason() -> None:
    ends = random_ends(np.random.default_rng(1), 200)
    ends[3] = ends[3, ::-1]
    ends[5, 1] += 0.3 * (ends[5, 0, 1] - ends[5, 0, 0])
    ends[7, 1, 0] = ends[7, 0, 0]
    ends[9, 1] = ends[9, 1].mean(axis=0) + 0.5 * (ends[9, 1] - ends[9, 1].mean(axis=0))
    found = flagged(ends)
    assert {3, 5, 7, 9} <= set(found)
    assert found[3].startswith("line 5 (3.png): landmarks apart from")
    assert "BPD/OFD is 1." in found[3]
    assert "midpoints are 0.30 of OFD apart" in found[5]
    assert "OFD and BPD meet at" in found[7]
    assert "BPD/OFD is 0." in found[9]


@pytest.mark.parametrize(
    ("ratio", "degrees", "apart", "said"),
    [
        (0.61, 75.4, 0.14, ""),
        (0.99, 90, 0, ""),
        (0.59, 90, 0, "BPD/OFD is 0.59"),
        (1.01, 90, 0, "BPD/OFD is 1.01"),
        (0.8, 74.6, 0, "OFD and BPD meet at 75°"),
        (0.8, 105.4, 0, "OFD and BPD meet at 75°"),
        (0.8, 90, 0.16, "midpoints are 0.16 of OFD apart"),
    ],
)
def test_limits_of_ratio_angle_and_midpoints(ratio: float, degrees: float, apart: float, said: str) -> None:
    """Two of three heads are a textbook's, so that the longer diameter stays the OFD."""
    turned = np.array([np.cos(np.radians(degrees)), np.sin(np.radians(degrees))])
    usual = np.array([[[0.0, 0], [400, 0]], [[200, -160], [200, 160]]])
    ends = np.stack([usual, usual, usual])
    ends[1, 1] = np.array([200 + 400 * apart, 0]) + np.outer([-0.5, 0.5], 400 * ratio * turned)
    found = flagged(ends)
    assert found == ({1: f"line 3 (1.png): landmarks {said}"} if said else {})


def test_implausible_labels_weigh_nothing_in_training_and_others_all_or_what_is_asked_for() -> None:
    ends = random_ends(np.random.default_rng(1), 600)
    ends[3] = ends[3, ::-1]
    ends[7, 1, 0] = ends[7, 0, 0]
    ends[9] = np.nan
    middle = ends[20:80, 1].mean(axis=1, keepdims=True)
    ends[20:80, 1] = middle + np.linspace(1, 1.4, 60)[:, None, None] * (ends[20:80, 1] - middle)
    weights = LabelWeights()(table_of(ends))
    assert weights[[3, 7]].tolist() == [0, 0]
    assert weights[9] == 1
    doubted = LabelWeights(flagged=0.2, doubtful=0.5)(table_of(ends))
    assert doubted[[3, 7]].tolist() == [0.2, 0.2]
    assert set(doubted[20:80]) == {0.2, 0.5, 1.0}
    assert ((doubted == 1) <= (weights == 1)).all()
    with pytest.raises(ValueError, match="flagged=2"):
        LabelWeights(flagged=2)


@given(st.integers(0, 2**32 - 1), st.floats(0, 2 * np.pi), st.floats(0.2, 5), st.booleans(), st.booleans())
def test_the_shape_does_not_depend_on_position_rotation_size_or_the_order_of_ends(
    seed: int, angle: float, scale: float, first: bool, second: bool
) -> None:
    ends = random_ends(np.random.default_rng(seed), 5)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = ends @ turn.T + 100.0
    moved = np.stack(
        [moved[:, 0, ::-1] if first else moved[:, 0], moved[:, 1, ::-1] if second else moved[:, 1]], axis=1
    )
    before, after = Shape.of(ends, swappable=False), Shape.of(moved, swappable=False)
    np.testing.assert_allclose(np.abs(after.seen), np.abs(before.seen), atol=1e-9)
    np.testing.assert_allclose(after.length, scale * before.length)


def test_a_data_set_with_swapped_columns_is_judged_with_the_two_exchanged() -> None:
    ends = random_ends(np.random.default_rng(2), 100)[:, ::-1]
    finding = landmarks.audit(table_of(ends))[0]
    assert "BPD is longer than OFD in 100 rows" in finding.summary
    assert len(finding.flags) <= 1


def test_few_rows_get_fixed_limits_only_and_the_reason_is_stated() -> None:
    ends = random_ends(np.random.default_rng(3), 10)
    ends[4, 1] = ends[4, 0] + 5
    finding = landmarks.audit(table_of(ends))[0]
    assert "10 rows: the robust distance needs 20" in finding.skipped
    assert [flag.rows for flag in finding.flags] == [(4,)]


def test_rows_without_landmarks_and_collapsed_ones_are_no_error() -> None:
    ends = random_ends(np.random.default_rng(4), 30)
    ends[0], ends[1, 0, 1] = np.nan, ends[1, 0, 0]
    assert not {0, 1} & set(flagged(ends))
    assert landmarks.audit(table_of(np.full((3, 2, 2, 2), np.nan)))[0].flags == []


@pytest.fixture
def role(real_data: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """The report's rows, and how far (px, mean of four points, best pairing) each is off the multicentre labels."""
    table = pd.read_csv(real_data / CSV).rename(columns={"image_name": "image"})
    truth = pd.read_csv(real_data / MULTICENTRE).set_index("image_name").loc[table["image"], COLUMNS]
    ours, theirs = (frame[COLUMNS].to_numpy(float).reshape(-1, 4, 2) for frame in (table, truth))
    pairings = [list(p) for p in permutations(range(4)) if {p[0], p[1]} in ({0, 1}, {2, 3})]
    off = np.min([np.linalg.norm(ours[:, p] - theirs, axis=2).mean(axis=1) for p in pairings], axis=0)
    return table.assign(site="HC18", subject="x"), off


@pytest.mark.real
def test_the_grossly_wrong_rows_of_the_reports_csv_are_flagged(role: tuple[pd.DataFrame, np.ndarray]) -> None:
    table, off = role
    finding = landmarks.audit(table)[0]
    found = np.isin(np.arange(len(table)), [flag.rows[0] for flag in finding.flags])
    gross = off > 80
    assert gross.sum() == 183
    assert found[gross].mean() > 0.98  # recall
    assert gross[found].mean() > 0.7  # precision; those flagged beyond it are wrong, too:
    assert (off > 40)[found].mean() > 0.93
    assert "longer than OFD in 522 rows" in finding.summary
