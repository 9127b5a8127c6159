"""`python tests/same_numbers.py REVISION`: does the working tree compute what a revision computed, bit by bit?

Runs one small sweep of each system on the phantom with either code, on this machine, and compares the tensors of every
checkpoint and every cell of the tables per image; columns that are new since may be there besides. Exit status 1 where
one differs. For refactorings that must not move a number; minutes on two cores.
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch

ROOT = Path(__file__).parents[1]
SMALL = ["scale=laptop", "logger.mode=disabled", "panel_images=1", "cache_dir={cache}", "run_root={runs}"]
SWEEPS = {
    "autoencoder": [
        "+experiment=nt_phase2", "seed=1000,1001", "network.widths=[2,4,4,8]", "canvas=[168,176]", "batch_size=4",
        "data.images_per_site=8", "stages.phase1.max_epochs=4", "stages.phase2.max_epochs=3",
    ],
    "attention U-Net": [
        "+experiment=brain_attention_unet", "seed=1000", "network.widths=[4,8,8]", "canvas=[64,64]",
        "data.images_per_site=8", "stages.train.max_epochs=3",
    ],
    "landmarks": [
        "+experiment=biometry_stage3", "seed=1000", "arm=biometry/audited,biometry/geometry", "network.widths=[2,4,4]",
        "canvas=[64,64]", "data.images_per_site=8", "stages.train.max_epochs=3",
    ],
    "routed decoders": [
        "+experiment=hydra_unet", "seed=1000", "arm=hydra/weight_10,hydra/random", "canvas=[64,64]",
        "network.widths=[4,8,8]", "data.images_per_site=12", "stages.specialise.max_epochs=2",
        "stages.route.max_epochs=2",
    ],
}  # fmt: skip


def run(code: Path, runs: Path, cache: Path) -> None:
    """Every sweep with the code below a folder."""
    environment = {**os.environ, "PYTHONPATH": str(code), "OMP_NUM_THREADS": "1"}
    for system, overrides in SWEEPS.items():
        print(f"{system}: {code}", flush=True)
        words = [word.format(cache=cache, runs=runs) for word in [*overrides, *SMALL]]
        command = [sys.executable, "-m", "ushydra_lab", *words]
        subprocess.run(command, check=True, cwd=code, env=environment, stdout=subprocess.DEVNULL)


def differences(before: Path, after: Path) -> Iterator[str]:
    """Each checkpoint or table that is not the same, or is missing on one side."""
    for pattern in ("*/*/seed*/*/checkpoints/*.ckpt", "*/*/seed*/*/per_image.csv"):
        names = [{file.relative_to(root) for file in root.glob(pattern)} for root in (before, after)]
        if not names[0]:
            yield f"{pattern}: none was made"
        for name in sorted(names[0] | names[1]):
            if name not in names[0] & names[1]:
                yield f"{name}: on one side only"
            elif not _same(before / name, after / name):
                yield f"{name}: differs"


def _same(one: Path, other: Path) -> bool:
    if one.suffix == ".csv":
        before, after = (pd.read_csv(file, dtype=str, keep_default_na=False) for file in (one, other))
        return set(before) <= set(after) and before.equals(after[list(before)])
    states = [torch.load(file, map_location="cpu", weights_only=True)["state_dict"] for file in (one, other)]
    return states[0].keys() == states[1].keys() and all(
        value.dtype == states[1][key].dtype and _bits(value) == _bits(states[1][key])
        for key, value in states[0].items()
    )


def _bits(value: torch.Tensor) -> bytes:
    return value.numpy().tobytes()  # NaN, which some unfitted buffers hold, equals itself


def main() -> None:
    (revision,) = sys.argv[1:]
    archive = subprocess.run(["git", "archive", revision], cwd=ROOT, check=True, capture_output=True).stdout
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
            packed.extractall(scratch / "code", filter="data")
        run(scratch / "code", scratch / "before", scratch / "cache")
        run(ROOT, scratch / "after", scratch / "cache")
        found = list(differences(scratch / "before", scratch / "after"))
        count = len(list((scratch / "before").rglob("*.ckpt")))
    print("\n".join(found) or f"the same bits: {count} checkpoints and their tables")
    sys.exit(bool(found))


if __name__ == "__main__":
    main()
