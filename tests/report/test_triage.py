"""The section on triage: shares and errors counted by hand."""

import pandas as pd
import pytest

from ushydra_lab.report.sections.triage import VALIDATION, draw, rates

JUDGED = pd.DataFrame(
    [
        ("as_is", "val", "a", "accept", -1.0, 1.0),
        ("as_is", "val", "a", "review", 0.5, 3.0),
        ("as_is", "test", "c", "accept", -2.0, 1.0),
        ("as_is", "test", "c", "accept", -1.0, 2.0),
        ("as_is", "test", "c", "review", 2.0, 6.0),
        ("as_is", "test", "c", "refuse", -3.0, 7.0),
        ("dark", "test", "c", "refuse", -1.0, float("nan")),
    ],
    columns=["kind", "part", "site", "status", "excess", "error"],
).assign(method="stage2", seed=1, run="c/seed1/stage2", measure="distance (mm)")


def test_shares_and_errors_of_each_site_and_kind_of_damage() -> None:
    table = rates(JUDGED).set_index("of")
    assert table.index.tolist() == [VALIDATION, "unseen: c", "damaged: dark"]
    unseen = table.loc["unseen: c"]
    assert unseen[["images", "refused", "reviewed", "accepted"]].tolist() == [4, 0.25, 0.25, 0.5]
    assert unseen[["error, accepted", "error, all"]].tolist() == [1.5, 4.0]
    assert table.loc["damaged: dark", "refused"] == 1.0
    assert table.loc[VALIDATION, "reviewed"] == 0.5


def test_the_curve_refers_the_refused_first_and_passes_through_the_deployed_point() -> None:
    axis = draw(JUDGED[(JUDGED["kind"] == "as_is") & (JUDGED["part"] == "test")]).axes[0]
    curve, dot = axis.lines[:2]
    assert dict(zip(curve.get_xdata(), curve.get_ydata(), strict=True)) == pytest.approx(
        {0.0: 4.0, 0.25: 3.0, 0.5: 1.5, 0.75: 1.0}
    )
    assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (0.5, 1.5)
