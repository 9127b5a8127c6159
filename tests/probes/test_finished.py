"""What the probes of a finished run take from its table of images."""

from types import SimpleNamespace

import pandas as pd

from ushydra_lab.probes.finished import _caliper, _units


def test_the_caliper_s_answers_are_those_of_the_unseen_images_in_the_probed_stage() -> None:
    images = pd.DataFrame({"stage": ["a", "a", "b", "b"], "part": ["val", "test"] * 2, "record": [0, 1, 0, 1]})
    images = images.assign(nt_abs_drift_px=[1.0, 2, 3, 4], nt_lost=0.0)
    found = _caliper(SimpleNamespace(images=images), "b")  # type: ignore[arg-type]
    assert found is not None
    assert found.to_dict() == {"nt_abs_drift_px": {1: 4.0}, "nt_lost": {1: 0.0}}
    assert _caliper(SimpleNamespace(images=images.drop(columns="nt_lost")), "b") is None  # type: ignore[arg-type]


def test_images_of_one_subject_are_one_unit_and_the_same_name_elsewhere_is_another() -> None:
    def data(*rows: tuple[str, str]) -> SimpleNamespace:
        return SimpleNamespace(manifest=SimpleNamespace(table=pd.DataFrame(rows, columns=["site", "subject"])))

    own, other = data(("a", "1"), ("a", "1"), ("b", "1"), ("c", "1"), ("c", "1")), data(("a", "1"), ("a", "1"))
    table = pd.DataFrame({"part": ["train", "val", "val", "test", "test"], "record": [0, 1, 2, 3, 4]})
    assert _units(table, own, None).tolist() == [0, 0, 1, 2, 2]  # type: ignore[arg-type]
    table["record"] = [0, 1, 2, 0, 1]
    assert _units(table, own, other).tolist() == [0, 0, 1, 2, 2]  # type: ignore[arg-type]
