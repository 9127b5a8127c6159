"""The report answers the claim that was planned, first of all and with its margin, at one hospital and over several."""

import json
import re
import shutil
from collections.abc import Callable
from itertools import zip_longest
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ushydra_lab.config.schema import Claim, Kind
from ushydra_lab.files import write_json
from ushydra_lab.report.build import report
from ushydra_lab.results.collect import collect
from ushydra_lab.results.hospitals import across_hospitals
from ushydra_lab.runs.plan import PLAN, Plan, plan_to_json

from .. import fake_runs
from .small_experiments import reconstructions, write
from .test_same_tables import fast

CLAIM = Claim("roi_edge_mae", "global", "roi", 5.0, Kind.superiority, "the protocol of a study")
SITES = ("anna", "berta", "clara", "doris")


def experiment(folder: Path, held_out: tuple[str, ...], seeds: tuple[int, ...], *gains: float) -> Path:
    """Runs of two variants whose Phase 2 has these gains: of the control and of the method."""
    root = folder / "nt_phase2"
    for site in held_out:
        for seed in seeds:
            for variant, gain in zip(("global", "roi"), gains, strict=True):
                stages = {"phase1": reconstructions(0), "phase2": reconstructions(gain)}
                write(root, site, seed, variant, stages, sites=SITES)
    for file in root.rglob("split.csv"):  # a subject of each image, nine of them unseen
        split = pd.read_csv(file, dtype=str)
        file.write_text(split.assign(subject=split["record"]).to_csv(index=False))
    return root


def planned(root: Path, *plans: tuple[Claim | None, int], seeds: tuple[tuple[int, ...], ...] = ()) -> None:
    """Plans with a claim each, how many jobs had finished before, and what seeds each has."""
    content = [
        plan_to_json(Plan("2026-01-02T03:04:05+0000", claim, ["global", "roi"], ["anna"], list(own), finished))
        for (claim, finished), own in zip_longest(plans, seeds, fillvalue=(1,))
    ]
    write_json(root / PLAN, {"plans": content})


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    fast(monkeypatch)


def page(root: Path) -> str:
    report(root)
    text = re.sub(r"<style>.*?</style>|<img[^>]*>", "", (root / "report" / "index.html").read_text(), flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def test_the_page_begins_with_the_answer_its_margin_and_its_interval(tmp_path: Path) -> None:
    root = experiment(tmp_path, ("anna",), (1, 2, 3, 4, 5), 0.0, 0.3)
    planned(root, (CLAIM, 0))
    text = page(root)
    said = re.search(
        r"On anna, a site that no method had been trained on: it is shown that phase2 roi is better than phase2 global "
        r"in ROI Edge-MAE: ([\d.]+) % better \(95 % interval ([\d.]+) % to ([\d.]+) % better\)",
        text,
    )
    assert said, text[:600]
    assert f"{said[0]}, by more than the margin of 5.0 %." in text
    assert text.index(said[0]) < 400
    assert text.index(said[0]) < text.index("Secondary comparisons")
    assert "Stated on 2026-01-02, before any job had finished." in text
    assert "Source of the claim: the protocol of a study." in text
    images = collect(root).images
    test = images[(images["part"] == "test")].groupby("method")["roi_edge_mae"].mean()
    assert float(said[1]) == pytest.approx(100 * (1 - test["phase2 roi"] / test["phase2 global"]), abs=0.06)


def test_several_hospitals_are_answered_together_with_a_forest_plot(tmp_path: Path) -> None:
    root = experiment(tmp_path, SITES, (1, 2, 3), 0.0, 0.3)
    planned(root, (CLAIM, 0))
    text = page(root)
    assert "Over 4 hospitals, each tested by networks that had not been trained on it: it is shown" in text
    assert "At a new hospital like these, expect a change in ROI Edge-MAE between -" in text
    assert re.search(r"Of the variance of the changes \d+ % lies between hospitals \(I²; .*: p = [\d.e-]+\)", text)
    table = pd.read_csv(root / "report" / "claim_hospitals.csv").set_index("held out")
    sites = table.loc[list(SITES), "change"]
    expected = across_hospitals(sites, [1.0] * 4)
    assert table.loc["mean", "change"] == pytest.approx(sites.mean(), abs=1e-3)
    assert tuple(table.loc["a new hospital", ["low", "high"]]) == pytest.approx(expected.prediction, abs=2e-3)
    html = (root / "report" / "index.html").read_text()
    assert html.index("it is shown") < html.index("Change at each hospital") < html.index("Secondary comparisons")


def test_a_changed_claim_shows_both_and_the_later_one_is_no_test(tmp_path: Path) -> None:
    root = experiment(tmp_path, ("anna",), (1, 2, 3), 0.0, 0.3)
    planned(root, (CLAIM, 0), (Claim("roi_mae", "global", "roi", 1.0, Kind.equivalence), 6))
    text = page(root)
    assert "better than phase2 global in ROI Edge-MAE" in text
    assert "differs from phase2 global by less than 1.0 % in ROI-MAE" in text
    assert "when 6 jobs had finished: no test of it. This is claim 2 of 2: it was changed." in text


def test_without_a_claim_everything_is_exploratory(tmp_path: Path) -> None:
    text = page(experiment(tmp_path, ("anna",), (1, 2), 0.0, 0.3))
    assert "No claim was stated before these results" in text


def test_a_claim_that_the_runs_cannot_answer_says_why(tmp_path: Path) -> None:
    root = experiment(tmp_path, ("anna",), (1, 2), 0.0, 0.3)
    planned(root, (Claim("roi_edge_mae", "global", "dino"), 0))
    assert "has no answer: no finished run of dino." in page(root)


def test_one_seed_answers_nothing(tmp_path: Path) -> None:
    root = experiment(tmp_path, ("anna",), (1,), 0.0, 0.3)
    planned(root, (CLAIM, 0))
    text = page(root)
    assert "it could not be tested whether phase2 roi is better than phase2 global" in text
    assert "*" not in (root / "report" / "anna_test_changes.csv").read_text()
    tables = (root / "report" / "tables.md").read_text()
    assert "[no interval]" in tables
    assert not re.search(r"[\d]\*", tables)


def test_one_seed_of_each_of_several_hospitals_answers_nothing_either(tmp_path: Path) -> None:
    root = experiment(tmp_path, ("anna", "berta", "clara"), (1,), 0.0, 0.3)
    planned(root, (CLAIM, 0))
    text = page(root)
    assert "it could not be tested whether phase2 roi is better than phase2 global" in text
    assert "n/a" in (root / "report" / "tables.md").read_text()


def test_five_subjects_answer_nothing(tmp_path: Path) -> None:
    root = experiment(tmp_path, ("anna",), (1, 2, 3, 4, 5), 0.0, 0.3)
    planned(root, (CLAIM, 0))
    for file in root.rglob("split.csv"):
        split = pd.read_csv(file, dtype=str)
        file.write_text(split.assign(subject=[f"s{number % 5}" for number in range(len(split))]).to_csv(index=False))
    assert "it could not be tested whether" in page(root)


def test_seeds_that_were_added_after_looking_are_named(tmp_path: Path) -> None:
    root = experiment(tmp_path, ("anna",), (1, 2, 3), 0.0, 0.3)
    planned(root, (CLAIM, 0), (CLAIM, 4), seeds=((1, 2), (1, 2, 3)))
    text = page(root)
    assert "Added when 4 jobs had finished: seeds 3. To look before adding makes a false claim likelier." in text
    assert 'class="verdict dim"' in (root / "report" / "index.html").read_text()


def test_a_plan_that_is_younger_than_its_runs_is_no_test_whatever_it_says(tmp_path: Path) -> None:
    root = experiment(tmp_path, ("anna",), (1, 2), 0.0, 0.3)
    for file in root.rglob("run.json"):
        content = {key: value for key, value in json.loads(file.read_text()).items() if key != "checksum"}
        write_json(file, content | {"ended": "2026-01-01T00:00:00+0000"})
    planned(root, (CLAIM, 0))
    assert "when 4 jobs had finished: no test of it." in page(root)


def test_gross_failures_that_were_rescued_while_most_images_got_worse_are_told_in_the_headline(tmp_path: Path) -> None:
    root = experiment(tmp_path, ("anna",), (1, 2, 3, 4, 5), 0.0, 0.0)
    planned(root, (CLAIM, 0))
    for file in root.rglob("per_image.csv"):
        images = pd.read_csv(file)
        phase2, image = images["stage"] == "phase2", images["record"] % 9
        if file.parent.name == "global":
            images.loc[phase2 & (image < 2), "roi_edge_mae"] *= 50
        else:
            images.loc[phase2 & (image >= 2), "roi_edge_mae"] *= 1.05
        file.write_text(images.to_csv(index=False))
    text = page(root)
    assert re.search(r"in ROI Edge-MAE: \d+\.\d % better \([^)]*\); yet [5-9] of 9 images are higher", text)


def changed(root: Path, variant: str, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    for file in root.rglob(f"{variant}/per_image.csv"):
        file.write_text(change(pd.read_csv(file)).to_csv(index=False))


def test_images_that_only_one_method_lost_are_told_with_the_worst_value_for_them(tmp_path: Path) -> None:
    root = experiment(tmp_path, ("anna",), (1, 2, 3, 4, 5), 0.0, 0.3)
    planned(root, (CLAIM, 0))

    def lose(images: pd.DataFrame) -> pd.DataFrame:
        images.loc[(images["stage"] == "phase2") & (images["record"] % 9 == 0), "roi_edge_mae"] = np.nan
        return images

    changed(root, "roi", lose)
    lost = r"; phase2 roi lost \d+ values that phase2 global has, and phase2 global 0 of phase2 roi: "
    imputed = r"\d+\.\d % \w+ if those count as the worst"
    assert re.search(rf"better than phase2 global in ROI Edge-MAE: .*{lost}{imputed}", page(root))


def test_a_method_that_lacks_seeds_is_compared_on_the_seeds_of_both_and_says_so(tmp_path: Path) -> None:
    root = experiment(tmp_path, ("anna",), (1, 2, 3, 4, 5), 0.0, 0.3)
    planned(root, (CLAIM, 0))
    for seed in (4, 5):
        shutil.rmtree(root / "anna" / f"seed{seed}" / "roi")
    text = page(root)
    assert "it is shown that phase2 roi is better than phase2 global" in text
    assert "3 seeds detect" in text
    assert "phase2 roi (3 of 5 seeds)" in text
    changes = pd.read_csv(root / "report" / "anna_test_changes.csv").set_index(["method", "against", "metric"])
    assert changes.loc[("phase2 roi (3 of 5 seeds)", "phase2 global", "roi_edge_mae"), "seeds"] == 3


def test_a_gain_of_one_subject_s_many_images_is_no_gain_of_the_subjects(tmp_path: Path) -> None:
    """50 of 60 images are one person's; they alone are better."""
    rng, root = np.random.default_rng(0), tmp_path / "exp"
    subjects = ["one"] * 50 + [f"s{number}" for number in range(10)]
    split = pd.DataFrame({"site": "anna", "part": "test", "subject": subjects, "record": range(60)})
    easy = np.where(np.array(subjects) == "one", 1.0, 0.0)
    for seed in (1, 2, 3, 4, 5):
        for variant, gain in (("global", 0.0), ("roi", 2.0)):
            values = 30 + gain * easy + rng.normal(0, 0.5, 60)
            images = split.drop(columns="subject").assign(stage="train", psnr_content=values)
            fake_runs.write(root / "anna" / f"seed{seed}" / variant, {"train": f"{variant}{seed}"}, images, split)
    planned(root, (Claim("psnr_content", "global", "roi", 0.1), 0))
    text = page(root)
    assert "it is not shown that train roi is better than train global in PSNR (dB): 1." in text
    assert "train roi was better" not in text
