"""What the probes of a finished run take from its table of images."""

from types import SimpleNamespace

import pandas as pd

from ushydra_lab.probes.finished import _caliper


def test_the_caliper_s_answers_are_those_of_the_unseen_images_in_the_probed_stage() -> None:
    images = pd.DataFrame({"stage": ["a", "a", "b", "b"], "part": ["val", "test"] * 2, "record": [0, 1, 0, 1]})
    images = images.assign(nt_abs_drift_px=[1.0, 2, 3, 4], nt_lost=0.0)
    found = _caliper(SimpleNamespace(images=images), "b")  # type: ignore[arg-type]
    assert found is not None
    assert found.to_dict() == {"nt_abs_drift_px": {1: 4.0}, "nt_lost": {1: 0.0}}
    assert _caliper(SimpleNamespace(images=images.drop(columns="nt_lost")), "b") is None  # type: ignore[arg-type]
