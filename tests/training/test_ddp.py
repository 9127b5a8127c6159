"""Training on several devices: the same numbers as one process', every image once, and the next job starts clean."""

import contextlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch.utils.data import DataLoader, SequentialSampler

from ushydra_lab import phantom
from ushydra_lab.data.sampler import EpochSampler, RankShare
from ushydra_lab.errors import UserError
from ushydra_lab.files import read_json
from ushydra_lab.training.assembly import build_trainer
from ushydra_lab.training.ddp import RankDDP

from ..cli import call

TINY = [
    "scale=laptop", "network.widths=[2,4,4,8]", "canvas=[168,176]", "batch_size=2", "stages.phase1.max_epochs=2",
    "stages.phase2.max_epochs=1", "logger.mode=offline", "panel_images=1", "held_out=hospital_c", "augment=null",
    "trainer.accelerator=cpu", "data=manifest", "data.path=images/manifest.csv", "seed=1000",
]  # fmt: skip
"""16 training images, 3 of validation (a batch and a half), two stages."""
DDP = ["trainer.devices=2", "trainer.strategy=ddp", "loss=roi,global"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job in one process below `single`; the same, and one more after it, in two below `ddp`.

    One of the slowest: of two processes that train together each starts anew and imports all libraries.
    """
    root = tmp_path_factory.mktemp("ddp")
    phantom.write(root / "images", "nt", 0, {"hospital_a": 9, "hospital_b": 10, "hospital_c": 3})
    words = ["+experiment=nt_phase2", *TINY]
    with contextlib.chdir(root):
        call("train", *words, "loss=roi", "run_root=single")
    line = [sys.executable, "-m", "ushydra_lab", *words, *DDP, "run_root=ddp"]
    done = subprocess.run(line, cwd=root, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return root


def test_two_processes_give_the_validation_metrics_of_one(folder: Path) -> None:
    run = Path("nt_phase2/hospital_c/seed1000/roi")
    for stage in ("phase1", "phase2"):
        one, two = (pd.read_csv(folder / root / run / "history" / f"{stage}.csv") for root in ("single", "ddp"))
        assert {"val/psnr", "val/mae", "val/roi_mae"} <= set(two)
        for curve in one.filter(like="val/"):
            np.testing.assert_allclose(two[curve], one[curve], atol=1e-4, rtol=1e-3)
    one, two = (read_json(folder / root / run / "run.json")["metrics"] for root in ("single", "ddp"))
    for stage in one:
        for metric, value in one[stage]["val"].items():
            assert two[stage]["val"][metric] == pytest.approx(value, abs=1e-4, rel=1e-4), (stage, metric)


def test_every_image_is_measured_once_and_written_by_one_process(folder: Path) -> None:
    for run in (folder / "ddp" / "nt_phase2" / "hospital_c" / "seed1000").iterdir():
        images, split = pd.read_csv(run / "per_image.csv"), pd.read_csv(run / "split.csv")
        for _, rows in images.groupby("stage"):
            assert sorted(rows["record"]) == sorted(split.loc[split["part"] != "train", "record"])
        assert len(list(run.glob("wandb/offline-run-*"))) == 1
        assert not list(run.rglob("lightning_logs"))


@pytest.mark.parametrize(("images", "ranks"), [(12, 2), (13, 2), (17, 4), (5, 4)])
def test_ranks_share_every_training_batch_equally(images: int, ranks: int) -> None:
    order = EpochSampler(images, 3)
    shares = [RankShare(order, 4, rank, ranks, training=True) for rank in range(ranks)]
    for share in shares:
        share.set_epoch(2)
    drawn = [list(share) for share in shares]
    assert len({len(share) for share in drawn}) == 1
    assert [len(share) for share in shares] == [len(share) for share in drawn]
    times = Counter(index for share in drawn for index in share)
    assert set(times) == set(range(images))
    assert sum(times.values()) - images == -images % ranks
    part = 4 // ranks
    assert sorted(index for share in drawn for index in share[:part]) == sorted(list(order)[:4])


@pytest.mark.parametrize(("images", "ranks"), [(9, 2), (16, 3), (4, 1)])
def test_ranks_take_whole_validation_batches_and_no_image_twice(images: int, ranks: int) -> None:
    order = SequentialSampler(range(images))
    shares = [RankShare(order, 4, rank, ranks, training=False) for rank in range(ranks)]
    assert sorted(index for share in shares for index in share) == list(range(images))
    assert list(shares[-1])[:4] == list(range(images))[(ranks - 1) * 4 : ranks * 4]
    assert [len(share) for share in shares] == [len(list(share)) for share in shares]


def test_a_strategy_that_starts_the_sweep_again_is_refused() -> None:
    trainer = {"_target_": "lightning.pytorch.Trainer", "accelerator": "cpu", "devices": 2, "strategy": "ddp_spawn"}
    with pytest.raises(UserError, match=r"ddp_spawn.*choose ddp"):
        build_trainer(trainer, [], max_epochs=1)


def test_batches_that_the_devices_cannot_share_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RankDDP, "num_processes", 3)
    strategy, images = RankDDP(), list(range(12))
    training, validation = (DataLoader(images, 4, sampler=s) for s in (EpochSampler(12, 0), SequentialSampler(images)))
    with pytest.raises(UserError, match=r"batch_size=4 cannot be shared equally by trainer\.devices=3"):
        strategy.process_dataloader(training)
    monkeypatch.setattr(RankDDP, "num_processes", 4)
    with pytest.raises(
        UserError, match=r"3 validation batches cannot .* trainer\.devices=4; a smaller batch_size makes"
    ):
        strategy.process_dataloader(validation)
    monkeypatch.setattr(RankDDP, "global_rank", 1)
    monkeypatch.setattr(RankDDP, "num_processes", 2)
    shares = [strategy.process_dataloader(loader) for loader in (training, validation)]
    assert [share.batch_size for share in shares] == [2, 4]
    monkeypatch.setattr(RankDDP, "num_processes", 3)
    assert strategy.process_dataloader(validation).batch_size == 4, "as many batches as devices are enough"


def test_nothing_of_a_process_group_is_left_for_the_next_job(folder: Path) -> None:
    assert not torch.distributed.is_initialized()
    assert not {"MASTER_PORT", "WORLD_SIZE", "LOCAL_RANK"} & set(os.environ)
    runs = sorted(path.parent.name for path in folder.glob("ddp/nt_phase2/*/*/*/run.json"))
    assert runs == ["global", "roi"]
