"""Subgroups of the unseen images: their values, the interaction with each, and nobody who could be known by them."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ushydra_lab.report.render import markdown
from ushydra_lab.report.sections.subgroups import section
from ushydra_lab.results.collect import collect
from ushydra_lab.results.subgroups import interaction

from .. import fake_runs


@pytest.fixture
def images() -> pd.DataFrame:
    """Two methods, three seeds and 40 subjects of an image each; the second gains on machine A alone."""
    rng = np.random.default_rng(0)
    machine = np.array(["A"] * 18 + ["B"] * 20 + ["Dr. X's own"] * 2)
    base = rng.normal(0.02, 0.002, 40)
    tables = [
        pd.DataFrame({"record": range(40), "site": "c", "subject": [f"s{k}" for k in range(40)]}).assign(
            roi_mae=base + gain * (machine == "A") + rng.normal(0, 0.0005, 40),
            group_machine=machine,
            group_empty=np.nan,
            method=method,
            stage="train",
            seed=seed,
            part="test",
        )
        for seed in (1, 2, 3)
        for method, gain in (("control", 0.0), ("roi", -0.01))
    ]
    return pd.concat(tables, ignore_index=True)


def test_each_group_has_its_values_and_the_gain_of_one_is_an_interaction(images: pd.DataFrame, tmp_path: Path) -> None:
    text = markdown.render(section(images, tmp_path / "c_test"))
    shown = fake_runs.read_texts(tmp_path / "c_test_group_machine.csv").set_index(["machine", "method"])
    own = images.query("group_machine == 'B' and method == 'roi'").groupby("seed")["roi_mae"].mean()
    assert shown.loc[("B", "roi"), "ROI-MAE ↓"] == f"{own.mean():.5f} ± {own.std(ddof=1):.5f}"
    assert shown.loc[("A", "roi"), ["images", "subjects"]].tolist() == ["3 x 18", "18"]
    written = pd.read_csv(tmp_path / "c_test_group_machine_interaction.csv").iloc[0]
    inside = (images.drop_duplicates("record").set_index("record")["group_machine"] == "A").iloc[:38]
    a, b = (images[(images["method"] == m) & (images["record"] < 38)] for m in ("control", "roi"))
    found = interaction(a, b, "roi_mae", inside)
    assert (written["group"], written["low"], written["p"]) == ("A", pytest.approx(found.low), pytest.approx(found.p))
    assert f"| roi vs control | A | {found.difference:+.5f}*" in text


def test_nobody_who_could_be_known_by_a_rare_value_is_in_any_file(images: pd.DataFrame, tmp_path: Path) -> None:
    text = markdown.render(section(images, tmp_path / "c_test"))
    assert "Not shown: 2 images of groups of fewer than 5 subjects by machine." in text
    files = [file.read_text() for file in tmp_path.iterdir()]
    assert len(files) == 2
    assert not any("Dr. X" in one for one in [text, *files])


def test_validation_images_and_data_without_groups_have_no_section(images: pd.DataFrame, tmp_path: Path) -> None:
    assert section(images.assign(part="val"), tmp_path / "a") == []
    assert section(images.drop(columns="group_machine"), tmp_path / "a") == []
    assert list(tmp_path.iterdir()) == []


def test_groups_of_runs_are_texts_as_the_manifest_had_them(tmp_path: Path) -> None:
    images = pd.DataFrame({"record": [0, 1], "part": "test", "site": "c", "roi_mae": [0.1, 0.2]})
    split = images[["record", "part", "site"]].assign(subject=["1", "2"], group_machine=["001", ""])
    fake_runs.write(tmp_path / "nt" / "c" / "seed1" / "roi", {"train": "k"}, images, split)
    fake_runs.write(tmp_path / "nt" / "c" / "seed2" / "roi", {"train": "k2"}, images)
    found = collect(tmp_path / "nt").images
    assert found.loc[found["seed"] == 1, "group_machine"].tolist() == ["001", ""]
    assert found.loc[found["seed"] == 2, "group_machine"].isna().all()
