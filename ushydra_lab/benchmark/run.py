"""Running the benchmark: its parts in order, at each scale."""

from __future__ import annotations

import importlib
import os
import platform
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import torch

from ushydra_lab import __version__
from ushydra_lab.benchmark.lab import Lab
from ushydra_lab.benchmark.rows import Row
from ushydra_lab.training.memory import keep_freed


def run_parts(scales: list[str], parts: list[str], repeats: int, cache_dir: Path) -> list[Row]:
    """The rows of every part at every scale, each part in a process of its own: none depends on what ran before.

    Raises:
        UserError: a folder cannot be written.
    """
    rows: list[Row] = []
    for scale in scales:
        for part in parts:
            print(f"{scale}: {part} ...", file=sys.stderr)
            with ProcessPoolExecutor(1, get_context("spawn")) as process, tempfile.TemporaryDirectory() as folder:
                rows += process.submit(_part, part, Lab(scale, repeats, _device(), Path(folder), cache_dir)).result()
    return rows


def _part(name: str, lab: Lab) -> list[Row]:
    keep_freed()
    return list(importlib.import_module(f"ushydra_lab.benchmark.{name}").rows(lab))


def machine() -> str:
    """The machine that was measured, without names of hosts or users."""
    device = _device()
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    cores = f"{os.cpu_count()} cores, {torch.get_num_threads()} threads"
    return f"{device.type} ({name}), {cores}, torch {torch.__version__}, ushydra_lab {__version__}"


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
