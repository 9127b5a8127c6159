"""Predictions have the interval for a new hospital where their runs have one, and the widest of all members."""

from pathlib import Path

from ushydra_lab.data.split import LeaveSitesOut
from ushydra_lab.prediction.intervals import intervals, told, too_wide
from ushydra_lab.results.intervals import Validity, calibration

from ..nested_runs import NEW, TRAINING, nested, write


def test_a_run_whose_training_sites_were_left_out_in_turn_has_the_interval_for_a_new_hospital(tmp_path: Path) -> None:
    outer, *inner = nested(tmp_path, TRAINING)
    found = intervals([outer])
    assert found == {
        measure: calibration(outer, "train", inner).interval(measure, Validity.NEW_HOSPITAL)
        for measure in ("ofd", "bpd", "hc")
    }
    assert told(found["ofd"])["of_images_of"] == "a new hospital"
    assert told(found["ofd"])["coverage"] == 0.9


def test_members_share_the_validity_that_all_of_them_have_and_take_the_widest(tmp_path: Path) -> None:
    outer, *_ = nested(tmp_path, TRAINING)
    alone = write(tmp_path, LeaveSitesOut(NEW), [*TRAINING, *NEW], seed=2)
    found = intervals([outer, alone])["ofd"]
    each = [calibration(run, "train", []).interval("ofd", Validity.TRAINING_SITES) for run in (outer, alone)]
    assert found in each
    assert found.half_width == max(one.half_width for one in each if one)
    assert intervals([alone])["ofd"].validity is Validity.TRAINING_SITES


def test_an_answer_is_doubtful_where_the_interval_of_any_of_its_lengths_reaches_down_to_0(tmp_path: Path) -> None:
    known = intervals(nested(tmp_path, TRAINING)[:1])
    fine = {f"{measure}_mm": interval.half_width + 1 for measure, interval in known.items()}
    assert not too_wide(known, fine)
    assert too_wide(known, fine | {"bpd_mm": known["bpd"].half_width})
    assert not too_wide(known, dict.fromkeys(fine, None)), "without spacing there are no mm"
