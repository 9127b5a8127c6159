"""What has to be seen on a GPU: `make test-gpu`. USHYDRA_TEST_ACCELERATOR=cpu tries the tests themselves on a CPU."""

import functools
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from ushydra_lab.files import read_json
from ushydra_lab.runs.checkpoint_io import read_checkpoint

from ..small_systems import SMALL, train, words, write_images

ACCELERATOR = os.environ.get("USHYDRA_TEST_ACCELERATOR", "gpu")
WITHOUT = "torch sees no CUDA GPU; USHYDRA_TEST_ACCELERATOR=cpu tries the tests themselves on a CPU"
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.slow,
    pytest.mark.skipif(ACCELERATOR == "gpu" and not torch.cuda.is_available(), reason=WITHOUT),
]
systems = pytest.mark.parametrize("system", SMALL)


Runs = Callable[[str], Path]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Runs:
    """A system -> the manifest of its phantom."""
    return functools.cache(lambda system: write_images(system, tmp_path_factory.mktemp(system)))


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory, images: Runs) -> Runs:
    """A system -> a run of it, trained when first asked for; it must have used the accelerator."""

    @functools.cache
    def run(system: str) -> Path:
        if ACCELERATOR == "gpu":
            torch.cuda.reset_peak_memory_stats()
        found = train(typed(system, images(system), tmp_path_factory.mktemp("once")))
        assert ACCELERATOR != "gpu" or torch.cuda.max_memory_allocated() > 2**20
        return found

    return run


def typed(system: str, manifest: Path, root: Path, *more: str, epochs: int = 2) -> list[str]:
    return words(system, manifest, root, epochs, f"trainer.accelerator={ACCELERATOR}", *more)


def assert_same(one: Path, other: Path) -> None:
    """The same bits in every checkpoint, curve and table."""
    for file in sorted((one / "checkpoints").glob("*.ckpt")):
        first, second = (read_checkpoint(run / "checkpoints" / file.name)["state_dict"] for run in (one, other))
        assert first.keys() == second.keys()
        for key, value in first.items():
            assert torch.equal(value.nan_to_num(), second[key].nan_to_num()), f"{file.name}: {key}"
    for table in ("per_image.csv", *(f"history/{file.name}" for file in (one / "history").iterdir())):
        pd.testing.assert_frame_equal(pd.read_csv(one / table), pd.read_csv(other / table), check_exact=True)


@systems
def test_a_system_trained_twice_has_the_same_bits(system: str, images: Runs, once: Runs, tmp_path: Path) -> None:
    assert_same(once(system), train(typed(system, images(system), tmp_path)))


def test_a_training_that_is_killed_and_continued_has_the_same_bits(images: Runs, once: Runs, tmp_path: Path) -> None:
    line = typed("nt_phase2", images("nt_phase2"), tmp_path)
    started = subprocess.Popen([sys.executable, "-m", "ushydra_lab", *line])
    while not list(tmp_path.glob("*/.stages/*/last.ckpt")):
        assert started.poll() is None, "it ended by itself"
        time.sleep(0.05)
    started.kill()
    started.wait()
    assert not list(tmp_path.rglob("per_image.csv"))
    assert_same(once("nt_phase2"), train(line))


def test_two_jobs_at_a_time_share_the_device(images: Runs, once: Runs, tmp_path: Path) -> None:
    both = ["seed=1000,1001", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    line = [word for word in typed("nt_phase2", images("nt_phase2"), tmp_path, *both) if word != "seed=1000"]
    done = subprocess.run([sys.executable, "-m", "ushydra_lab", *line], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = sorted(tmp_path.glob("nt_phase2/*/seed*/roi"))
    assert [read_json(run / "run.json")["status"] for run in runs] == ["finished"] * 2
    assert_same(once("nt_phase2"), runs[0])


@systems
def test_half_precision_trains_and_measures_finite_numbers(
    system: str, images: Runs, once: Runs, tmp_path: Path
) -> None:
    half = train(typed(system, images(system), tmp_path, "trainer.precision=bf16-mixed"))
    for file in (half / "history").iterdir():
        losses, full = (pd.read_csv(run / "history" / file.name)["val/loss"] for run in (half, once(system)))
        assert losses.tolist() == pytest.approx(full.tolist(), rel=0.2)
    halved, whole = (pd.read_csv(run / "per_image.csv") for run in (half, once(system)))
    assert halved.notna().sum().sum() >= 0.9 * whole.notna().sum().sum()
    for file in (half / "checkpoints").glob("*.ckpt"):
        assert all(value.dtype != torch.bfloat16 for value in read_checkpoint(file)["state_dict"].values())
