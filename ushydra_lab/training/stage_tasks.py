"""Building the task of a stage with new weights, and loading the weights of a checkpoint into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import lightning as L
import torch
from hydra.utils import get_object
from hydra.utils import instantiate as hydra_instantiate
from torch import nn

from ushydra_lab.config.instantiate import component_error
from ushydra_lab.config.schema import Experiment, Stage
from ushydra_lab.errors import UserError
from ushydra_lab.runs.checkpoint_io import read_checkpoint
from ushydra_lab.tasks.base import Task
from ushydra_lab.training.memory import keep_freed


def task_class(stage: Stage) -> type[Task]:
    """The class of a stage's task, for questions that need no instance."""
    found: type[Task] = get_object(stage.task["_target_"])
    return found


def build_task(experiment: Experiment, stage: str) -> Task:
    """A stage's task with freshly initialised weights, a function of the seed alone.

    Raises:
        UserError: a component refuses its settings.
    """
    keep_freed()
    L.seed_everything(experiment.seed, verbose=False)
    try:
        network: Any = hydra_instantiate(experiment.network, _convert_="all")
        if not isinstance(network, nn.Module):
            raise TypeError(f"{experiment.network['_target_']} is no network (torch.nn.Module)")
        network = cast(Any, network).to(memory_format=torch.channels_last)  # which torch's annotations lack
        task: Task = hydra_instantiate(experiment.stages[stage].task, _partial_=True, _convert_="all")(network=network)
    except Exception as error:
        what = f"stages.{stage} cannot be built"
        told = component_error(error, what)
        if isinstance(told, UserError) and not str(told).startswith(what):
            told = UserError(f"{what}: {told}")
        raise told from error
    return task


@dataclass(frozen=True)
class FreshTask:
    """A newly built task, and the state of torch's generators after building it."""

    task: Task
    seed: int
    generator: torch.Tensor

    def restore_generators(self) -> None:
        """Restore torch's generators to their state after building, whatever has drawn from them since."""
        L.seed_everything(self.seed, verbose=False)
        torch.set_rng_state(self.generator)


def fresh_task(experiment: Experiment, stage: str) -> FreshTask:
    """A stage's task with freshly initialised weights. Raises UserError as `build_task` does."""
    task = build_task(experiment, stage)
    return FreshTask(task, experiment.seed, torch.get_rng_state())


def load_network(task: Task, checkpoint: Path) -> None:
    """Load a checkpoint's network weights into a task, and nothing else that was fitted.

    Raises:
        UserError: the file is damaged, or holds another network.
    """
    state = read_checkpoint(checkpoint)["state_dict"]
    weights = {key.removeprefix("network."): value for key, value in state.items() if key.startswith("network.")}
    _load(task.network, weights, checkpoint)


def load_task(task: Task, checkpoint: Path) -> None:
    """Load everything that a stage has fitted into a task.

    Raises:
        UserError: the file is damaged, or holds another network.
    """
    _load(task, read_checkpoint(checkpoint)["state_dict"], checkpoint)


def _load(module: nn.Module, state: dict[str, Any], checkpoint: Path) -> None:
    try:
        module.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:  # the last two: keys or values that are no tensors
        raise UserError(f"{checkpoint} holds another network than the configured one: {error}") from error
    if lost := [name for name, weight in module.named_parameters() if not weight.isfinite().all()]:
        raise UserError(
            f"{checkpoint} holds weights that are not finite ({lost[0]}, {len(lost)} in all). It cannot be used: "
            "train again in another folder, with run_root=FOLDER"
        )
