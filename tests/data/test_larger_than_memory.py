"""Data that memory has no room for: the process may not have them all, and trains on them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

ROOM_MB = 24
SCRIPT = """
import json, resource, sys, threading
from pathlib import Path
import pandas as pd
from ushydra_lab.data import fields
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.sampler import Oversample
from ushydra_lab.data.source import Source
from ushydra_lab.data.split import Random
from ushydra_lab.data.io.masks import MaskCode

root, room = Path(sys.argv[1]), int(sys.argv[2]) * 2**20
threading.stack_size(2**18)
fields.CHUNK_BYTES = 2**20

def kilobytes(what):
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(what + ":"))

def data(rows, cache):
    table = pd.read_csv(root / "table.csv", dtype={"subject": str}).head(rows)
    manifest = check_manifest(Source(table, "m", root, MaskCode.of({"a": 9})))
    return UltrasoundData(manifest, Random(), 0, (480, 640), 1, ["mask"], cache, oversample=Oversample(["a"]))

def epochs(data, count):
    data.setup()
    total, labelled = 0.0, 0
    for epoch in range(count):
        loader = data.train_dataloader()
        loader.sampler.set_epoch(epoch)
        for batch in loader:
            total += batch["image"].sum().item()
            labelled += (batch["mask"] == 1).count_nonzero().item()
    return total, labelled, data.fingerprint()

epochs(data(8, root / "small"), 1)  # whatever is loaded on first use
before = kilobytes("RssAnon")
resource.setrlimit(resource.RLIMIT_DATA, (kilobytes("VmData") * 1024 + room,) * 2)
first, second = (epochs(data(100, root / "cache"), 2) for _ in range(2))
print(json.dumps([first == second, kilobytes("RssAnon") - before, first[0], first[1]]))
"""


def test_a_process_that_may_not_hold_the_canvases_makes_them_and_trains_on_them(
    write_images: Callable[..., pd.DataFrame], tmp_path: Path
) -> None:
    """61 MB of images and masks in a process that may have 24 MB more than without them."""
    table = write_images({"a": 100})[["image", "site", "subject"]].assign(mask="mask.png")
    table.loc[50:, "mask"] = "other.png"
    for name, rows in (("mask", 15), ("other", 30)):
        labels = np.zeros((30, 40), np.uint8)
        labels[:rows] = 9
        Image.fromarray(labels).save(tmp_path / f"{name}.png")
    table.to_csv(tmp_path / "table.csv", index=False)
    command = [sys.executable, "-c", SCRIPT, str(tmp_path), str(ROOM_MB)]
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "131072"}  # what is freed goes back to the system at once
    job = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert job.returncode == 0, job.stderr
    same, grown, total, labelled = json.loads(job.stdout.splitlines()[-1])
    assert same
    assert grown * 1024 < ROOM_MB * 2**20
    assert total > 0
    assert labelled > 0
