"""Training on several devices: rank 0 stays in this process, the others get processes of their own for one fit.

Lightning's own way starts the other ranks with the command line of this process; of a sweep that would be all its
jobs. Its other way, all ranks in new processes, leaves what the callbacks have seen behind in them.
"""

from __future__ import annotations

import functools
import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.strategies.launchers.launcher import _Launcher
from torch.utils.data import DataLoader, Sampler

from ushydra_lab.data.sampler import EpochSampler, RankShare
from ushydra_lab.errors import UserError
from ushydra_lab.training.calls import start

ENDS_WITHIN_S = 60


class RankDDP(DDPStrategy):
    """DDP on one machine; all ranks together see the batches that one process would."""

    def _configure_launcher(self) -> None:
        self._launcher = RankLauncher(self.num_processes)

    def process_dataloader(self, dataloader: object) -> object:
        """This rank's share.

        Raises:
            UserError: batch_size is no multiple of the devices, or there are fewer validation batches than devices.
        """
        assert isinstance(dataloader, DataLoader)
        assert isinstance(dataloader.sampler, Sampler)
        assert dataloader.batch_size
        training, size, ranks = isinstance(dataloader.sampler, EpochSampler), dataloader.batch_size, self.num_processes
        if training and size % ranks:
            raise UserError(f"batch_size={size} cannot be shared equally by trainer.devices={ranks}")
        if not training and len(dataloader) < ranks:
            few = f"{len(dataloader)} validation batches cannot be shared by trainer.devices={ranks}"
            raise UserError(f"{few}; a smaller batch_size makes more of them")
        return DataLoader(
            dataloader.dataset,
            size // ranks if training else size,
            sampler=RankShare(dataloader.sampler, size, self.global_rank, ranks, training),
            collate_fn=dataloader.collate_fn,
            generator=dataloader.generator,
        )

    def validation_step(self, *args: Any, **kwargs: Any) -> Any:
        """Validate without the DDP wrapper, which synchronises at every batch: ranks have unequal numbers of them."""
        assert self.lightning_module is not None
        with self.precision_plugin.val_step_context():
            return self.lightning_module.validation_step(*args, **kwargs)


class RankLauncher(_Launcher):
    """Runs a trainer's function as rank 0 here, and in `ranks - 1` further processes."""

    def __init__(self, ranks: int) -> None:
        self.ranks = ranks

    @property
    def is_interactive_compatible(self) -> bool:
        return False

    def launch(self, function: Callable[..., Any], *args: Any, trainer: Any = None, **kwargs: Any) -> Any:
        """function: of the trainer, called with the rest in every rank; what rank 0 returns is returned."""
        with tempfile.TemporaryDirectory() as folder:
            call = functools.partial(_as_rank, functools.partial(function, *args, **kwargs), _deterministic(), folder)
            address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(trainer.strategy.cluster_environment.main_port)}
            others = [
                start(call, Path(folder) / f"rank{rank}", LOCAL_RANK=str(rank), **address)
                for rank in range(1, self.ranks)
            ]
            try:
                _await(others, Path(folder))
                result = function(*args, **kwargs)
                for process in others:
                    process.wait(ENDS_WITHIN_S)
                return result
            finally:
                for process in others:
                    process.kill()
                    process.wait()
                _forget_group()

    def kill(self, signum: int) -> None:
        """`launch` ends the other ranks itself."""


def _await(others: Sequence[subprocess.Popen[bytes]], folder: Path) -> None:
    """Wait until every rank is ready; joining one that has died would take half an hour to fail."""
    while len(list(folder.glob("*.ready"))) < len(others):
        if any(process.poll() is not None for process in others):
            raise RuntimeError("One of the processes for the other devices could not be started; see above.")
        time.sleep(0.1)


def _as_rank(call: Callable[[], Any], deterministic: tuple[bool, bool], folder: str) -> None:
    torch.use_deterministic_algorithms(deterministic[0], warn_only=deterministic[1])
    torch.utils.deterministic.fill_uninitialized_memory = False  # as in `build_trainer`
    (Path(folder) / f"{os.environ['LOCAL_RANK']}.ready").touch()
    call()


def _deterministic() -> tuple[bool, bool]:
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _forget_group() -> None:
    """Else the next stage or job would find this one's group and wait for processes that are gone."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
    for name in ("MASTER_ADDR", "MASTER_PORT", "WORLD_SIZE"):
        os.environ.pop(name, None)
