"""The script beside whole experiments does what they do."""

import runpy
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from ushydra_lab.__main__ import VERBS
from ushydra_lab.benchmark import endtoend, script, startup
from ushydra_lab.benchmark.lab import Lab, composed
from ushydra_lab.benchmark.script_results import evaluate
from ushydra_lab.runs.checkpoint_io import read_checkpoint
from ushydra_lab.runs.run import runs_below
from ushydra_lab.training.assembly import build_data
from ushydra_lab.training.stage_tasks import build_task

from ..cli import call

TINY = ("seed=1000", *endtoend.SHORT)
SWEEP = endtoend.Sweep("nt_ablation", ("loss=global,roi",), TINY)


def here(module: str, *words: str) -> None:
    """A command in this process."""
    if module == "ushydra_lab":
        call("train", *words)
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [module, *words])
        runpy.run_module(module, run_name="__main__")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[endtoend.Row]]:
    """The folder and the rows of a sweep of two jobs.

    One of the slowest: the lab trains them, then the script does twice, and a finished sweep is typed again.
    """
    folder = tmp_path_factory.mktemp("lab")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(endtoend, "command", here)
        patch.setattr(endtoend, "SWEEPS", (SWEEP,))
        rows = list(endtoend.rows(Lab("tiny", 1, torch.device("cpu"), folder, folder / "cache")))
    return folder / "nt_ablation0", rows


@pytest.mark.slow
def test_a_sweep_is_compared_with_the_script_whose_jobs_share_and_with_that_whose_jobs_do_not(
    measured: tuple[Path, list[endtoend.Row]],
) -> None:
    rows = measured[1]
    assert [(row.against, row.at_most) for row in rows] == [
        (endtoend.SHARING, 1.1), (endtoend.SEPARATE, None), ("", None), ("", 20)
    ]  # fmt: skip
    assert {row.size for row in rows} == {"2 jobs"}


@pytest.mark.slow
def test_the_script_trains_as_long_evaluates_the_same_images_and_draws_the_same_figures(
    measured: tuple[Path, list[endtoend.Row]],
) -> None:
    root = measured[0]
    for run in runs_below(root / "nt_ablation"):
        for folder in ("script", "script_separate"):
            theirs = root / folder / "seed1000" / run.summary.variant
            for stage in ("phase1", "phase2"):
                assert len(pd.read_csv(theirs / f"{stage}_curves.csv")) == len(run.curves[stage])
            table, place = pd.read_csv(theirs / "per_image.csv"), ["stage", "part", "record", "site"]
            assert set(map(tuple, table[place].to_numpy())) == set(map(tuple, run.images[place].to_numpy()))
            figures = {file.name for file in (run.path / "figures").iterdir()}
            assert {file.name for file in theirs.glob("*.png")} == figures


@pytest.mark.slow
def test_the_script_s_losses_and_metrics_are_the_experiment_s(measured: tuple[Path, list[endtoend.Row]]) -> None:
    root = measured[0]
    runs = runs_below(root / "nt_ablation")
    words = ["+experiment=nt_ablation", "scale=laptop", f"data.root='{root.parent}/cache/phantom'", "loss=roi"]
    experiment = composed([*words, *TINY])
    plan = endtoend.plan_of(runs, build_data(experiment).manifest.table, root / "none")
    images, network = script.Images(plan), script.new_network(plan)
    states = {}
    for stage in runs[1].summary.stages:
        state = read_checkpoint(runs[1].weights(stage))["state_dict"]
        states[stage] = {key[8:]: value for key, value in state.items() if key.startswith("network.")}
    theirs, ours = evaluate(network, states, images, plan.batch_size), runs[1].images
    order = ["stage", "part", "record"]
    theirs, ours = (table.sort_values(order, ignore_index=True) for table in (theirs, ours))
    pd.testing.assert_frame_equal(theirs, ours[list(theirs)], check_dtype=False, rtol=1e-3, atol=1e-4)
    task, batch = build_task(experiment, "phase2"), images.batch(images.rows("train")[:4])
    found, auxiliary = script.losses(task.network, batch, plan.variants["roi"])
    expected = task.losses({**batch, "label_weight": torch.ones(4)})
    for term, loss in expected.items():
        torch.testing.assert_close(auxiliary if term == "thumbnail" else found[term], loss, rtol=1e-4, atol=1e-6)


def test_every_verb_is_started() -> None:
    assert set(startup.VERBS) == set(VERBS)
