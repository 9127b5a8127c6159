"""A stage begins with weights that the seed alone decides, or with those of a checkpoint, whole and finite."""

import functools
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from ushydra_lab.config.schema import Experiment
from ushydra_lab.config.validation import check
from ushydra_lab.errors import UserError
from ushydra_lab.runs.checkpoint_io import write_checkpoint
from ushydra_lab.tasks.base import Task
from ushydra_lab.tasks.reconstruction import Reconstruction
from ushydra_lab.training.stage_tasks import build_task, fresh_task, load_network, load_task, task_class

from ..small_systems import composed, words


@functools.cache
def composed_once() -> Experiment:
    return check(composed(words("nt_phase2", Path("m.csv"), Path("runs"), 1)))


def experiment(seed: int = 1000) -> Experiment:
    return replace(composed_once(), seed=seed)


def weights(task: Task) -> torch.Tensor:
    return torch.cat([weight.reshape(-1) for weight in task.network.parameters()])


@pytest.fixture(scope="module")
def task() -> Task:
    return build_task(experiment(), "phase1")


def test_weights_are_a_function_of_the_seed_alone(task: Task) -> None:
    torch.rand(7)
    assert task_class(experiment().stages["phase1"]) is Reconstruction is type(task)
    assert torch.equal(weights(build_task(experiment(), "phase1")), weights(task))
    assert not torch.equal(weights(build_task(experiment(1001), "phase1")), weights(task))


def test_training_draws_as_if_it_followed_the_building() -> None:
    fresh = fresh_task(experiment(), "phase1")
    first = torch.rand(3)
    torch.manual_seed(5)
    fresh.restore_generators()
    assert torch.equal(torch.rand(3), first)


def test_what_a_component_refuses_names_the_stage() -> None:
    stages = experiment().stages
    weighting = {"_target_": "ushydra_lab.losses.weighting.FixedWeights", "_partial_": True, "weights": [1, 2, 3, 4, 5]}
    task = stages["phase2"].task | {"weighting": weighting}
    with pytest.raises(UserError, match=r"stages\.phase2.*5 weights"):
        build_task(replace(experiment(), stages=stages | {"phase2": replace(stages["phase2"], task=task)}), "phase2")
    with pytest.raises(UserError, match=r"stages\.phase1 cannot be built: .*Counter is no network"):
        build_task(replace(experiment(), network={"_target_": "collections.Counter"}), "phase1")


def test_weights_of_a_checkpoint_are_loaded_whole_or_not_at_all(task: Task, tmp_path: Path) -> None:
    file, other = tmp_path / "x.ckpt", build_task(experiment(1001), "phase1")
    state = task.state_dict()
    write_checkpoint(file, {"state_dict": state, "epoch": 0})
    load_network(other, file)
    assert torch.equal(weights(other), weights(task))
    again = build_task(experiment(1001), "phase1")
    load_task(again, file)
    assert torch.equal(weights(again), weights(task))
    name = next(key for key in state if key.startswith("network."))
    for broken, said in (
        ({key: value for key, value in state.items() if key != name}, "holds another network"),
        (state | {"network.more": torch.zeros(1)}, "holds another network"),
        (state | {name: torch.zeros(7)}, "holds another network"),
        (state | {name: torch.full_like(state[name], torch.nan)}, rf"not finite \({name[8:]}, 1 in all\).*run_root="),
    ):
        write_checkpoint(file, {"state_dict": broken, "epoch": 0})
        with pytest.raises(UserError, match=said):
            load_network(build_task(experiment(), "phase1"), file)


def test_of_an_earlier_stage_the_network_alone_is_taken(tmp_path: Path) -> None:
    source, target = build_task(experiment(), "phase1"), build_task(experiment(1001), "phase1")
    assert isinstance(target, Reconstruction)
    state = {key: value + 1 for key, value in source.state_dict().items()}
    write_checkpoint(tmp_path / "x.ckpt", {"state_dict": state, "epoch": 0})
    before = target.weighting.present().clone()
    load_network(target, tmp_path / "x.ckpt")
    assert torch.equal(target.weighting.present(), before)
    load_task(target, tmp_path / "x.ckpt")
    assert torch.equal(target.weighting.present(), before + 1)
