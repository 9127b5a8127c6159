"""One training step on a given batch, without data loading and Lightning."""

from __future__ import annotations

import torch

from ushydra_lab.benchmark.lab import Lab
from ushydra_lab.config.schema import Experiment
from ushydra_lab.tasks.base import Batch


def random_batch(lab: Lab, experiment: Experiment, size: int | None = None) -> Batch:
    """Noise with a box a tenth of the canvas high and a third wide, for what depends on the shapes alone."""
    height, width = experiment.canvas
    assert experiment.main_roi
    size = size or experiment.batch_size
    image = torch.rand(size, 1, height, width, device=lab.device)
    edges = [width / 3, height * 0.45, 2 * width / 3, height * 0.55]
    boxes = {experiment.main_roi: edges, "content": [0.0, 0.0, width, height]}
    return {"image": image} | {
        name: torch.tensor([box], device=lab.device).expand(size, 4) for name, box in boxes.items()
    }


class Step:
    """Loss, backward and optimiser of a stage's task on one random batch."""

    def __init__(self, lab: Lab, experiment: Experiment, stage: str, size: int | None = None) -> None:
        self.task = lab.task(experiment, stage)
        self.batch = random_batch(lab, experiment, size)
        self.optimizer: torch.optim.Optimizer = self.task.configure_optimizers()

    def __call__(self) -> None:
        self.optimizer.zero_grad()
        self.task.trained_on(self.task.losses(self.batch)).backward()
        self.optimizer.step()

    def validate(self) -> None:
        """Run a validation step on the batch."""
        with torch.no_grad():
            self.task.losses(self.batch)

    def state_bytes(self) -> int:
        """Bytes of weights, buffers, gradients and the optimiser's moments."""
        weights = [*self.task.parameters(), *self.task.buffers()]
        gradients = [p.grad for p in self.task.parameters() if p.grad is not None]
        moments = [v for state in self.optimizer.state.values() for v in state.values() if torch.is_tensor(v)]
        return sum(t.numel() * t.element_size() for t in (*weights, *gradients, *moments))
