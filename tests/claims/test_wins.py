"""The probability that a win is false is what sampling and Student's paired test say."""

from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from ushydra_lab.claims.audit import false_wins
from ushydra_lab.claims.wins import ALIKE, of_accuracies, of_means


def test_of_means_is_the_paired_test_of_the_images_themselves() -> None:
    rng = np.random.default_rng(0)
    shared = rng.normal(0.85, 0.08, 40)
    one, other = shared + rng.normal(0.01, 0.03, 40), shared + rng.normal(0, 0.03, 40)
    correlation = np.corrcoef(one, other)[0, 1]
    found = of_means(one.mean(), other.mean(), one.std(ddof=1), other.std(ddof=1), 40, correlation)
    assert found == pytest.approx(stats.ttest_rel(one, other, alternative="greater").pvalue, rel=1e-9)


@pytest.mark.parametrize("correlation", [0.0, 0.6])
def test_of_accuracies_is_the_share_of_dirichlet_samples_in_which_the_winner_loses(correlation: float) -> None:
    winner, other, n = 0.84, 0.80, 100
    both = winner * other + correlation * np.sqrt(winner * (1 - winner) * other * (1 - other))
    counts = n * np.array([winner - both, other - both, 1 - winner - other + 2 * both])
    samples = np.random.default_rng(0).dirichlet([counts[0] + 1, counts[1] + 1, counts[2] + 2], 400_000)
    lost = float((samples[:, 0] <= samples[:, 1]).mean())
    assert of_accuracies(winner, other, n, correlation) == pytest.approx(lost, abs=4 * np.sqrt(0.25 / 400_000))


def test_a_draw_is_even_and_a_win_becomes_surer_with_images_and_likeness() -> None:
    assert of_means(0.9, 0.9, 0.1, 0.1, 30, 0.5) == pytest.approx(0.5)
    assert of_accuracies(0.9, 0.9, 30, 0.5) == pytest.approx(0.5)
    by_size = [of_means(0.91, 0.9, 0.1, 0.1, n, 0.5) for n in (10, 100, 1000)]
    by_likeness = [of_accuracies(0.85, 0.8, 100, correlation) for correlation in ALIKE]
    assert by_size == sorted(by_size, reverse=True)
    assert by_likeness == sorted(by_likeness, reverse=True)


def wins_of(tmp_path: Path, text: str) -> list[tuple[str, str, str]]:
    path = tmp_path / "results.csv"
    path.write_text(text)
    return [(win.winner, win.other, win.verdict) for win in false_wins(path)]


def test_the_best_method_is_compared_with_the_second_best(tmp_path: Path) -> None:
    table = "method,Dice,HD95,n\nA,0.90 ± 0.05,4.0 ± 1.0,200\nB,0.80 ± 0.05,3.9 ± 4.0,200\nC,0.70 ± 0.05,9.0 ± 1.0,200"
    founded, unfounded = wins_of(tmp_path, table)
    assert founded == ("A", "B", "founded")
    assert unfounded == ("B", "A", "not founded")


def test_likeness_decides_where_the_difference_is_small(tmp_path: Path) -> None:
    (win,) = wins_of(tmp_path, "method,Dice,n\nA,0.890 ± 0.10,100\nB,0.875 ± 0.10,100")
    assert win == ("A", "B", "founded only if the two methods answer much alike")


@pytest.mark.parametrize(
    "table",
    [
        "method,Dice\nA,0.90 ± 0.05\nB,0.80 ± 0.05",
        "method,Dice,n\nA,0.90,20\nB,0.80,20",
        "method,Dice,n\nA,0.90 ± 0.05,20\nB,0.80 ± 0.05,30",
        "method,Dice,n\nA,0.90 ± 0.05,2 x 10\nB,0.80 ± 0.05,2 x 10",
        "method,Dice over 5 seeds,n\nA,0.90 ± 0.05,20\nB,0.80 ± 0.05,20",
    ],
)
def test_nothing_is_said_without_n_and_the_spread_over_images(table: str, tmp_path: Path) -> None:
    assert wins_of(tmp_path, table) == []
