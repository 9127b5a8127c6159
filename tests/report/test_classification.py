"""Planes: scores are scikit-learn's, of each site and seed; every image stands in one confusion matrix."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, brier_score_loss, f1_score, roc_auc_score

from ushydra_lab.report.sections import class_calibration
from ushydra_lab.report.sections.classification import draw, scores, scores_table, section

PLANES = ("abdomen", "brain", "femur")


@pytest.fixture
def images() -> pd.DataFrame:
    """Two sites and seeds of 40 images, one method right more often than chance."""
    rng = np.random.default_rng(0)
    tables = []
    for seed in (1, 2):
        true = np.arange(80) % 3
        chances = rng.dirichlet(np.ones(3), 80) + 0.4 * np.eye(3)[true]
        chances /= chances.sum(1, keepdims=True)
        table = pd.DataFrame({f"prob_{plane}": chances[:, k] for k, plane in enumerate(PLANES)})
        site = np.repeat(["a", "b"], 40)
        tables.append(
            table.assign(
                true=true,
                predicted=chances.argmax(1),
                site=site,
                seed=seed,
                method="net",
                stage="s",
                subject=np.arange(80) // 2,
            )
        )
    return pd.concat(tables, ignore_index=True)


def test_scores_are_those_of_scikit_learn_for_every_site_and_seed(images: pd.DataFrame) -> None:
    found = scores(images)
    assert list(zip(found["site"], found["seed"], strict=True)) == [
        (site, seed) for seed in (1, 2) for site in ("a", "b", "all")
    ]
    own = images.query("site == 'b' and seed == 2")
    chances = own[[f"prob_{plane}" for plane in PLANES]]
    row = found.query("site == 'b' and seed == 2").iloc[0]
    assert row["accuracy"] == accuracy_score(own["true"], own["predicted"])
    assert row["f1_weighted"] == pytest.approx(f1_score(own["true"], own["predicted"], average="weighted"))
    assert row["auc_macro"] == pytest.approx(roc_auc_score(own["true"], chances, multi_class="ovr"))
    shown = scores_table(found).query("site == 'b'")["accuracy"].iloc[0]
    both = found.query("site == 'b'")["accuracy"]
    assert shown == f"{both.mean():.3f} ± {both.std(ddof=1):.3f}"


def test_every_image_stands_in_the_confusion_matrix_of_its_site(images: pd.DataFrame) -> None:
    for axis, site in zip(draw(images).axes, ("a", "b"), strict=True):
        assert axis.get_title() == site
        own = images[images["site"] == site]
        expected = pd.crosstab(own["true"], own["predicted"]).to_numpy()
        assert [int(text.get_text()) for text in axis.texts] == expected.ravel().tolist()


def test_images_of_other_planes_count_nowhere_and_other_systems_have_no_section(
    images: pd.DataFrame, tmp_path: Path
) -> None:
    other = images.assign(true=images["true"].where(images.index % 2 == 0, -1))
    section(other, tmp_path / "a")
    written = pd.read_csv(tmp_path / "a_classification.csv")
    pd.testing.assert_frame_equal(written, scores(images[images.index % 2 == 0]), rtol=1e-6)
    assert section(images[["true", "predicted", "site", "seed", "method", "stage", "subject"]], tmp_path / "b") == []
    assert section(images.assign(true=-1), tmp_path / "b") == []


def test_the_brier_score_is_scikit_learns_and_the_calibration_error_that_of_ten_bins(images: pd.DataFrame) -> None:
    found = class_calibration.calibration(images).set_index(["site", "seed"]).loc[("b", 2)]
    own = images.query("site == 'b' and seed == 2")
    chances = own[[f"prob_{plane}" for plane in PLANES]].to_numpy()
    assert found["brier"] == pytest.approx(brier_score_loss(own["true"], chances, scale_by_half=False))
    assert found["brier_low"] < found["brier"] < found["brier_high"]
    tenths = pd.qcut(chances.max(1), 10, labels=False)
    gaps = (own["predicted"] == own["true"]).astype(float).to_numpy() - chances.max(1)
    assert found["calibration"] == pytest.approx(np.abs(pd.Series(gaps).groupby(tenths).sum()).sum() / 40)
    assert (found["images"], found["subjects"]) == (40, 20)


def test_images_of_one_subject_are_no_new_evidence_of_calibration(images: pd.DataFrame) -> None:
    again = pd.concat([images] * 3, ignore_index=True)
    once, thrice = (class_calibration.calibration(table) for table in (images, again))
    assert thrice["brier"].tolist() == pytest.approx(once["brier"].tolist())
    width = [table["brier_high"] - table["brier_low"] for table in (once, thrice)]
    assert width[1].tolist() == pytest.approx(width[0].tolist())


def test_a_reliability_diagram_has_a_panel_a_site_and_points_where_the_shares_are(images: pd.DataFrame) -> None:
    axes = class_calibration.draw(images).axes
    assert [axis.get_title() for axis in axes] == ["a", "b"]
    own = images[images["site"] == "b"]
    chances = own[[f"prob_{plane}" for plane in PLANES]].max(axis=1)
    tenths = pd.qcut(chances, 10, labels=False)
    line = next(line for line in axes[1].lines if line.get_label() == "net")
    assert line.get_xdata() == pytest.approx(chances.groupby(tenths).mean().to_numpy())
    assert line.get_ydata() == pytest.approx((own["predicted"] == own["true"]).groupby(tenths).mean().to_numpy())
