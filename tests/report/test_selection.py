"""Each rule of model selection chooses by its own images, and the gap is what it costs at the unseen site."""

import numpy as np
import pandas as pd

from ushydra_lab.report.sections.selection import choices

NO_FOLDS = pd.DataFrame(columns=["held_out", "site"])


def images(val: dict[str, float], test: dict[str, float]) -> pd.DataFrame:
    rng, rows = np.random.default_rng(0), []
    for part, means in (("val", val), ("test", test)):
        for method, mean in means.items():
            for seed in (1, 2, 3):
                noise = rng.normal(0, 0.01, 10)
                rows += [
                    {"held_out": "c", "method_name": method, "seed": seed, "part": part, "record": record,
                     "psnr_content": mean + noise[record], "roi_mae": 1 / (mean + noise[record])}
                    for record in range(10)
                ]  # fmt: skip
    return pd.DataFrame(rows)


def test_validation_chooses_on_the_seen_sites_and_the_oracle_on_the_unseen_one() -> None:
    rows = choices(images({"a": 30, "b": 31, "c": 29}, {"a": 28, "b": 27, "c": 26}), NO_FOLDS)
    found = pd.DataFrame(rows).set_index("metric")
    assert found.loc["PSNR (dB) ↑", "training-domain validation"].startswith("b: 27.0")
    assert found.loc["PSNR (dB) ↑", "oracle"].startswith("a: 28.0")
    assert abs(float(found.loc["PSNR (dB) ↑", "gap"]) - 1) < 0.05
    assert found.loc["ROI-MAE ↓", "training-domain validation"].startswith("b: ")
    assert found.loc["ROI-MAE ↓", "oracle"].startswith("a: ")


def left_out(**of_methods: dict[str, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"held_out": "c", "site": site, "method_name": method, "seed": seed, "psnr_content": mean + seed / 100}
            for method, means in of_methods.items()
            for site, mean in means.items()
            for seed in (1, 2)
        ]
    )


def test_training_sites_left_out_in_turn_choose_each_counting_alike() -> None:
    own = images({"a": 30, "b": 31}, {"a": 28, "b": 27})
    inner = left_out(a={"x": 20, "y": 30}, b={"x": 24, "y": 25})
    for table, chosen in (
        (inner, "a: 28.0"),
        (inner.replace({"y": "x"}).assign(psnr_content=-inner["psnr_content"]), "b: 27.0"),
        (inner[(inner["method_name"] == "a") | (inner["site"] == "x")], "not run"),
        (inner.iloc[:0], "not run"),
    ):
        (row, *_) = choices(own, table)
        assert row["metric"].startswith("PSNR")
        assert row["leave one training site out"].startswith(chosen)


def test_where_both_choose_the_same_there_is_no_gap_and_one_method_is_no_choice() -> None:
    (row, *_) = choices(images({"a": 30, "b": 29}, {"a": 28, "b": 27}), NO_FOLDS)
    assert row["gap"] == "0.00"
    assert choices(images({"a": 30}, {"a": 28}), NO_FOLDS) == []
