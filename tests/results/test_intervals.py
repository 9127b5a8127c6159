"""Intervals of a finished run are calibrated by its own images and by runs that saw its training sites but one."""

from pathlib import Path

import pandas as pd
import pytest

from ushydra_lab.data.split import LeaveSitesOut
from ushydra_lab.results.conformal import conformal_quantile
from ushydra_lab.results.intervals import Calibration, Validity, calibration, inner_folds

from ..nested_runs import NEW, TRAINING, nested, write

WITHIN, ELSEWHERE = Validity.TRAINING_SITES, Validity.NEW_HOSPITAL


def half_widths(known: Calibration) -> list[float]:
    found = [known.interval(measure, validity) for measure in ("ofd", "bpd", "hc") for validity in Validity]
    return [one.half_width for one in found if one is not None]


def test_half_widths_are_the_bounds_of_validation_images_and_of_each_training_site_left_out(tmp_path: Path) -> None:
    outer, *inner = nested(tmp_path, TRAINING)
    known = calibration(outer, "train", [outer, *inner])
    within, new = known.interval("ofd", WITHIN), known.interval("ofd", ELSEWHERE)
    assert within
    assert new
    validation = outer.images.query("part == 'val'")["ofd_abs_error_mm"]
    assert within.half_width == conformal_quantile(validation, range(len(validation)), 0.1)
    left_out = pd.concat(run.images.query("part == 'test'") for run in inner)
    assert new.half_width == conformal_quantile(left_out["ofd_abs_error_mm"], left_out["site"], 0.1)
    assert (within.unit, within.images, within.sites) == ("mm", 40, 10)
    assert (new.unit, new.images, new.sites, new.alpha) == ("mm", 100, 10, 0.1)
    assert known.shortage() == ""


def test_a_subject_with_many_images_counts_as_one() -> None:
    """19 subjects of 20 are measured well; a hundred bad images of the last are no more than it alone."""
    subjects = [*map(str, range(19)), *["19"] * 100]
    images = pd.DataFrame({"site": "a", "subject": subjects, "ofd_abs_error_mm": [1.0] * 19 + [50.0] * 100})
    interval = Calibration(frozenset("a"), images, images[:0]).interval("ofd", WITHIN)
    assert interval
    assert interval.half_width == 1


def test_noise_at_the_new_sites_changes_no_interval(tmp_path: Path) -> None:
    plain, poisoned = (nested(tmp_path / str(noise), TRAINING, noise) for noise in (1.0, 1e6))
    first, second = (calibration(runs[0], "train", runs) for runs in (plain, poisoned))
    assert len(half_widths(first)) == 6
    assert half_widths(first) == half_widths(second)
    assert not {*first.validation["site"], *first.left_out["site"]} & {*NEW}


def test_a_run_that_was_trained_on_a_held_out_site_calibrates_nothing(tmp_path: Path) -> None:
    """Leave-one-site-out runs have all seen the site that another one holds out."""
    runs = [write(tmp_path, LeaveSitesOut([site]), TRAINING) for site in TRAINING]
    assert inner_folds(runs[0], runs) == []
    known = calibration(runs[0], "train", runs)
    assert known.interval("ofd", ELSEWHERE) is None
    assert "no finished run that leaves out site01, site02" in known.shortage()
    everything = write(tmp_path, LeaveSitesOut([]), TRAINING)
    assert [site for site, _ in inner_folds(everything, runs)] == TRAINING
    assert calibration(everything, "train", runs).interval("ofd", ELSEWHERE)


def test_other_seeds_settings_and_incomplete_folds_calibrate_nothing(tmp_path: Path) -> None:
    outer, *inner = nested(tmp_path, TRAINING)
    assert len(inner_folds(outer, inner)) == 10
    other_seed = write(tmp_path, LeaveSitesOut(NEW), [*TRAINING, *NEW], seed=2)
    other_canvas = write(tmp_path / "b", LeaveSitesOut(NEW), [*TRAINING, *NEW], canvas=[1, 1])
    assert inner_folds(other_seed, inner) == inner_folds(other_canvas, inner) == []
    known = calibration(outer, "train", inner[1:])
    assert known.interval("ofd", ELSEWHERE) is None
    assert "leaves out site00 as well" in known.shortage()
    assert known.interval("ofd", WITHIN)


@pytest.mark.parametrize(("sites", "some"), [(8, False), (9, True)])
def test_90_per_cent_take_nine_training_sites(tmp_path: Path, sites: int, some: bool) -> None:
    outer, *inner = nested(tmp_path, TRAINING[:sites])
    known = calibration(outer, "train", inner)
    assert (known.interval("hc", ELSEWHERE) is not None) == some
    assert known.interval("hc", WITHIN)
    assert known.shortage() == ("" if some else known.shortage())
    assert ("9 training sites" in known.shortage()) != some
    assert known.interval("hc", ELSEWHERE, alpha=0.2)
