"""Triage is fixed by the training sites alone, lies in the run, and judges a new image as it judged the run's own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from ushydra_lab import experiment
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.validation import check
from ushydra_lab.errors import UserError
from ushydra_lab.evaluation.finished import own_images
from ushydra_lab.files import DamagedFile, read_json, write_json
from ushydra_lab.report.document import Figure, Heading, Table
from ushydra_lab.report.sections.triage import section
from ushydra_lab.results.collect import collect
from ushydra_lab.results.conformal import conformal_quantile
from ushydra_lab.runs.run import Run
from ushydra_lab.runs.stored_experiment import check_stored
from ushydra_lab.runs.triage_files import judged_images
from ushydra_lab.training import assembly
from ushydra_lab.training.stages import finished_tasks
from ushydra_lab.triage.damage import DAMAGES
from ushydra_lab.triage.files import read_triage
from ushydra_lab.triage.fit import alpha_of, fit_triage
from ushydra_lab.triage.scores import rows, scored, scores_of

END_POINTS = [f"{end}_{axis}" for end in ("ofd_1", "ofd_2", "bpd_1", "bpd_2") for axis in "xy"]
ENDS = np.array([10.0, 40, 80, 40, 45, 10, 45, 70])


@pytest.fixture
def train(
    write_images: Callable[..., pd.DataFrame], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], Run]:
    """train(NAME): a run with 20 validation images of sites a and b; c is held out."""
    table = write_images({"a": 40, "b": 40, "c": 3}, size=(80, 96))[["image", "site", "subject"]]
    jitter = np.random.default_rng(0).normal(0, 0.3, (len(table), len(ENDS)))
    table.join(pd.DataFrame(ENDS + jitter, columns=END_POINTS)).to_csv(tmp_path / "images.csv", index=False)
    register_resolvers()
    small = ["scale=laptop", "logger.mode=disabled", "panel_images=1", "held_out=c", "canvas=[32,32]"]
    small += ["network.widths=[2,4,4]", "stages.train.max_epochs=1", "data=manifest", "split.val_fraction=0.25"]

    def run(name: str) -> Run:
        monkeypatch.setattr(assembly, "_manifests", {})
        places = [f"run_root='{tmp_path}/{name}'", f"cache_dir='{tmp_path}/{name}/cache'"]
        with initialize_config_dir(str(CONF), version_base="1.3"):
            chosen = ["+experiment=biometry_stage3", "arm=biometry/stage2", *small, *places]
            cfg = compose("config", overrides=[*chosen, f"data.path='{tmp_path}/images.csv'"])
        experiment.run(check(cfg), run_path(cfg))
        return Run(run_path(cfg))

    return run


def test_noise_in_place_of_the_held_out_site_changes_no_bit(train: Callable[[str], Run], tmp_path: Path) -> None:
    before = train("one").path
    noise = np.random.default_rng(9)
    for file in (tmp_path / "c").iterdir():
        Image.fromarray(noise.integers(0, 50, (80, 96), dtype=np.uint8)).save(file)
    after = train("other").path
    assert (before / "split.csv").read_bytes() == (after / "split.csv").read_bytes()
    for name in ("triage.json", "triage.npz"):
        assert (before / name).read_bytes() == (after / name).read_bytes()
    tested = [judged_images(Run(run)).query("part == 'test'")["ood_score"].tolist() for run in (before, after)]
    assert tested[0] != tested[1], "the poison was seen where it may be"


def test_stored_rules_judge_as_those_at_the_end_of_training(train: Callable[[str], Run]) -> None:
    run = train("run")
    trained = check_stored(run)
    task, data = finished_tasks(run, trained)["train"], own_images(run, trained)
    stored, fitted = read_triage(run), fit_triage(task, data)
    assert stored.rules == fitted.rules
    assert [(rule.code, rule.n_images, rule.n_subjects, rule.n_sites) for rule in stored.rules] == [
        ("ood", 20, 20, 2), ("uncertain", 20, 20, 2),
    ]  # fmt: skip
    judged = judged_images(run).query("kind == 'as_is'")
    assert judged["record"].tolist() == run.images["record"].tolist()
    scores = rows(scored(task, data.part_loader("val"), stored.known), 20)
    np.testing.assert_allclose(judged.query("part == 'val'")["ood_score"], [one["ood"] for one in scores], rtol=1e-6)
    highest = max(one["ood"] for one in scores)
    assert stored.rules[0].threshold == pytest.approx(highest), "19 of 20 are needed for 5 %: the largest of 20"
    damaged = judged_images(run).query("kind != 'as_is'")
    tested = judged.query("part == 'test'")["record"].tolist()
    assert damaged.groupby("kind")["record"].agg(list).to_dict() == dict.fromkeys(DAMAGES, tested), "of so few, all"


@pytest.mark.parametrize("subjects", range(1, 60))
def test_a_threshold_is_as_strict_as_so_few_subjects_allow(subjects: int) -> None:
    alpha, scores = alpha_of(subjects), np.arange(subjects)
    assert 0.05 <= alpha <= 0.1
    assert np.isfinite(conformal_quantile(scores, scores, alpha)) == (subjects >= 9)
    if subjects >= 9 and alpha > 0.05:
        assert not np.isfinite(conformal_quantile(scores, scores, round(alpha - 0.01, 2)))


def test_the_code_comes_with_the_answer(train: Callable[[str], Run]) -> None:
    run = train("run")
    trained = check_stored(run)
    task, data = finished_tasks(run, trained)["train"], own_images(run, trained)
    batch = next(iter(data.part_loader("val")))
    with torch.inference_mode():
        answer, code = task.answer_with_code(batch["image"], batch["content"])
        again, alone = (task.answer_with_code(batch["image"][k], batch["content"][k])[1] for k in (slice(None), [1]))
        torch.testing.assert_close(code, again, rtol=0, atol=0)
        torch.testing.assert_close(code[[1]], alone)
        torch.testing.assert_close(answer, task.answer(batch["image"], batch["content"]), rtol=0, atol=0)


def test_a_shifted_or_shrunk_answer_is_farther_whichever_end_comes_first(train: Callable[[str], Run]) -> None:
    run = train("run")
    trained = check_stored(run)
    task, data = finished_tasks(run, trained)["train"], own_images(run, trained)
    batch, known = next(iter(data.part_loader("val"))), read_triage(run).known
    with torch.inference_mode():
        answer, code = task.answer_with_code(batch["image"], batch["content"])

    def distances(points: torch.Tensor) -> np.ndarray:
        return scores_of(task, answer | {"points": points}, code, batch, known)["ood"]

    points = answer["points"]
    usual = distances(points)
    np.testing.assert_allclose(distances(points[:, [1, 0, 3, 2]]), usual)
    assert (distances(points + 32) > usual).all()
    assert (distances(points.mean(1, keepdim=True).expand_as(points)) > usual).mean() > 0.5


def test_a_run_of_a_version_without_triage_says_so(train: Callable[[str], Run]) -> None:
    path = train("run").path
    content = read_json(path / "run.json")
    content["files"] = {name: total for name, total in content["files"].items() if "triage" not in name}
    write_json(path / "run.json", content)
    with pytest.raises(UserError, match=r"has no triage .*run_root=FOLDER"):
        read_triage(Run(path))


@pytest.mark.parametrize("name", ["triage.json", "triage.npz"])
def test_changed_rules_are_not_used(train: Callable[[str], Run], name: str) -> None:
    path = train("run").path
    (path / name).write_bytes((path / name).read_bytes()[:-7])
    with pytest.raises(DamagedFile, match=name):
        read_triage(Run(path))


def test_the_report_tells_what_triage_does(train: Callable[[str], Run], tmp_path: Path) -> None:
    heading, table, figure = section(collect(train("run").experiment), tmp_path)
    assert heading == Heading("Triage, held out c", 3)
    assert isinstance(table, Table)
    refused = table.frame.set_index("of")["refused"]
    assert refused["damaged: black"] == refused["damaged: dark"] == "100.0%"
    assert isinstance(figure, Figure)
    assert (tmp_path / "c_referral.png").exists()
