"""The distance of codes from the training codes, by its definition and whatever the units of its dimensions."""

import numpy as np
import pytest
from scipy.spatial.distance import mahalanobis

from ushydra_lab.errors import UserError
from ushydra_lab.triage.distance import Mahalanobis

CODES = np.random.default_rng(0).normal(3.0, [1.0, 5.0, 0.2], (60, 3))


def test_the_empirical_distance_is_scipy_s_and_takes_more_images_than_dimensions() -> None:
    found = Mahalanobis.fit(CODES, "empirical")(CODES[:5])
    inverse = np.linalg.inv(np.cov(CODES.T, ddof=0))
    assert found == pytest.approx([mahalanobis(code, CODES.mean(0), inverse) for code in CODES[:5]])
    with pytest.raises(UserError, match="3 training codes of 3 dimensions has rank 2 and no inverse"):
        Mahalanobis.fit(CODES[:3], "empirical")
    assert np.isfinite(Mahalanobis.fit(CODES[:3])(CODES)).all()


def test_units_of_the_dimensions_do_not_matter_to_the_standardised_distance() -> None:
    units, shift = np.array([100.0, 0.01, 7.0]), np.array([-4.0, 2.0, 9.0])
    plain, scaled = Mahalanobis.standardised(CODES), Mahalanobis.standardised(CODES * units + shift)
    assert scaled(CODES * units + shift) == pytest.approx(plain(CODES))
    assert plain.mean == pytest.approx(CODES.mean(0))
    constant = np.c_[CODES, np.full(60, 7.0)]
    assert Mahalanobis.standardised(constant)(constant[:5]).max() < 1e3


def test_squares_of_independent_parts_add_up() -> None:
    parts = CODES[:, :1], CODES[:, 1:], np.empty((60, 0))
    each = [Mahalanobis.standardised(part)(part) for part in parts[:2]]
    assert Mahalanobis.independent(*parts)(CODES) == pytest.approx(np.hypot(*each))
