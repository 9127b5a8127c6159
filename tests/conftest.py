"""What several test modules share: tiny image folders with their tables, and the real samples."""

import gc
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: the test processes share the cores
os.environ.setdefault("WANDB_X_TRANSACTION_LOG_FLUSH_INTERVAL", "0.2")  # s, for tests that wait for its file
ROOT = Path(__file__).parents[1]
"""The checkout, which processes that tests start import, whichever package is installed."""
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from .forked import ForkServer, served
from .little import WHOLE, draw_little

REAL = Path(os.environ.get("USHYDRA_REAL_DATA", ROOT.parent / "shared" / "data"))


def pytest_collection_finish() -> None:
    gc.freeze()  # what is imported by now lives as long as the process
    gc.set_threshold(50_000)  # seventy times as rarely as Python's own: looking for cycles is 5 % of the time
    draw_little()
    if phantom := sys.modules.get("ushydra_lab.phantom"):  # many tests have the first images of the same sites
        vars(phantom)["render"] = lru_cache(300)(vars(phantom)["render"])


@pytest.fixture
def whole_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Panels and figures that this process draws are those that users get, but for the number of images in a panel."""
    for module, with_these in WHOLE.items():
        for name, drawn in with_these.items():
            monkeypatch.setattr(f"{module}.{name}", drawn)


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """Starts commands without waiting for imports."""
    with served() as server:
        yield server


@pytest.fixture(scope="module", autouse=True)
def _operations_of_modules() -> None:
    """A module's fixtures, too, start with PyTorch's own mode, whichever tests ran before."""
    any_operation()


@pytest.fixture(autouse=True)
def _operations() -> None:
    """Every test starts with PyTorch's own mode: a training leaves the deterministic one on."""
    any_operation()


def any_operation() -> None:
    if torch := sys.modules.get("torch"):
        torch.use_deterministic_algorithms(False)


@pytest.fixture
def real_data() -> Path:
    """The folder of real samples; a test that asks for it carries the mark `real`."""
    if not REAL.is_dir():
        pytest.skip(f"no real samples at {REAL} (USHYDRA_REAL_DATA names their folder)")
    return REAL


@pytest.fixture
def write_images(tmp_path: Path) -> Callable[..., pd.DataFrame]:
    """write_images({"a": 3, "b": 2}, size=(rows, columns)) -> a table for a manifest, one subject per image.

    Noise of (seed, site, index) under tmp_path/<site>/; the NT box is [4, 5, columns - 6, rows - 7].
    """

    def write(counts: dict[str, int], size: tuple[int, int] = (30, 40), seed: int = 0) -> pd.DataFrame:
        rows = []
        for site, count in counts.items():
            (tmp_path / site).mkdir(exist_ok=True)
            for index in range(count):
                rng = np.random.default_rng([seed, *site.encode(), index])
                name = f"{site}/{index}.png"
                Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(tmp_path / name)
                rows.append({"image": name, "site": site, "subject": str(index)})
        box = {"nt_x1": 4.0, "nt_y1": 5.0, "nt_x2": size[1] - 6.0, "nt_y2": size[0] - 7.0}
        return pd.DataFrame(rows).assign(pixel_mm=0.1, **box, nt_mm=1.5)

    return write


@pytest.fixture
def reseal() -> Callable[[Path], None]:
    """reseal(run): give run.json the sums of the files as they are now, as whoever writes a run on purpose would."""

    def seal(run: Path) -> None:
        from ushydra_lab.files import read_json, sha256, write_json

        content = read_json(run / "run.json", old=True)
        files = dict.fromkeys([*content["files"], *(f"checkpoints/{c.name}" for c in run.glob("checkpoints/*.ckpt"))])
        write_json(run / "run.json", content | {"files": {name: sha256(run / name) for name in files}})

    return seal


@pytest.fixture
def fuzz_seeds() -> Callable[[int], range]:
    """fuzz_seeds(500): every tenth of 500 seeds, all of them with USHYDRA_FUZZ=full."""
    step = 1 if os.environ.get("USHYDRA_FUZZ") == "full" else 10
    return lambda count: range(0, count, step)


@pytest.fixture
def pca_for_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Has the probes take PCA in place of UMAP, whose first use in a process compiles for many seconds."""
    from sklearn.decomposition import PCA

    monkeypatch.setattr("ushydra_lab.probes.projection.umap", lambda *_: PCA(2))
