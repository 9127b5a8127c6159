"""What a job leaves with wandb, read back from its offline files: everything promised, and nothing private."""

import getpass
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from matplotlib.figure import Figure
from wandb.proto.wandb_internal_pb2 import Record

from ushydra_lab import experiment, phantom
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.schema import Experiment
from ushydra_lab.config.validation import check
from ushydra_lab.training.wandb_logger import RunLogger, open_run

from ..forked import ForkServer
from ..small_systems import train, words, write_images

BLOCK = 32768
TRIVIAL = Experiment(
    name="trivial", variant="roi", seed=1000, scale="laptop", held_out="hospital_c", deidentified=True, panel_images=1,
    run_root="secret/runs", cache_dir="secret/cache", cache_gb=1, canvas=[8, 8], batch_size=1, augment=None,
    data={"path": "secret/images.csv", "structures": None}, split={}, network={}, trainer={}, logger={}, stages={},
)  # fmt: skip
ROWS = [{"epoch": epoch, "train/loss": 1 / (epoch + 1)} for epoch in range(4)]


def records(file: Path) -> Iterator[Record]:
    """The records of a .wandb file: after 7 bytes of header a LevelDB log, blocks of chunks (CRC, length, type)."""
    content, position, record = file.read_bytes(), 7, b""
    while position + 7 <= len(content):
        if BLOCK - position % BLOCK < 7:
            position += BLOCK - position % BLOCK
            continue
        _, length, kind = struct.unpack("<IHB", content[position : position + 7])
        record += content[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(record)
            record = b""


class Offline:
    """One offline file of a run, read once wandb's own process has written its end."""

    def __init__(self, file: Path, ended: bool = True) -> None:
        deadline = time.monotonic() + 60
        self.records = list(records(file))
        while not self._of("exit" if ended else "run") and time.monotonic() < deadline:
            time.sleep(0.2)
            self.records = list(records(file))
        (self.run,) = self._of("run")
        self.exit_codes = [exit.exit_code for exit in self._of("exit")]
        self.config = {item.key: json.loads(item.value_json) for item in self.run.config.update}
        self.history = [_flat(row.item) for row in self._of("history")]
        self.stats = [{item.key: item.value_json for item in row.item} for row in self._of("stats")]
        self.summary: dict[str, Any] = {}
        for update in self._of("summary"):
            self.summary |= _flat(update.update)

    def _of(self, kind: str) -> list[Any]:
        return [getattr(record, kind) for record in self.records if record.WhichOneof("record_type") == kind]

    def curve(self, name: str) -> list[float]:
        return [row[name] for row in self.history if name in row]


def _flat(items: Any) -> dict[str, Any]:
    return {"/".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items}


def files(path: Path) -> list[Path]:
    return sorted(path.glob("wandb/offline-run-*/*.wandb"))


def job_directory(root: Path) -> Path:
    return root / "trivial" / "hospital_c" / "seed1000" / "roi"


def job(root: Path, rows: list[dict[str, float]], error: BaseException | None = None) -> Offline:
    """A job that has trained as many epochs."""
    path = job_directory(root)
    path.mkdir(parents=True, exist_ok=True)
    if before := files(path):
        time.sleep(1)  # wandb names its folders by the second
    outcome = pytest.raises(type(error)) if error else nullcontext()
    with outcome, open_run(TRIVIAL, path, "0123456789abcdef0123", "project", "offline") as logger:
        for count in range(1, len(rows) + 1):
            logger.epochs("phase1", rows[:count])
        if error:
            raise error
    (file,) = set(files(path)) - set(before)
    return Offline(file)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight images a hospital; names of files and subjects that occur nowhere else."""
    path = phantom.write(tmp_path_factory.mktemp("phantom"), "nt", 0, dict.fromkeys(phantom.SCENES["nt"].machines, 8))
    table = pd.read_csv(path, dtype={"subject": str})
    renamed = [image.replace("/0", "/erikamuster_0") for image in table["image"]]
    for old, new in zip(table["image"], renamed, strict=True):
        (path.parent / old).rename(path.parent / new)
    table.assign(image=renamed, subject="maxmuster" + table["subject"]).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def variants(tmp_path_factory: pytest.TempPathFactory, manifest: Path) -> dict[str, Path]:
    """Two finished jobs; the second found its Phase 1 trained."""
    register_resolvers()
    root, paths = tmp_path_factory.mktemp("runs"), {}
    small = ["scale=laptop", "network.widths=[2,4,4,8]", "canvas=[168,176]", "batch_size=4", "panel_images=1"]
    small += ["stages.phase1.max_epochs=2", "stages.phase2.max_epochs=2", f"data.path='{manifest}'", "data=manifest"]
    for loss in ("roi", "global"):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            chosen = [f"loss={loss}", "held_out=hospital_c", f"run_root='{root}'"]
            cfg = compose("config", overrides=["+experiment=nt_phase2", *small, *chosen])
        paths[loss] = run_path(cfg)
        experiment.run(check(cfg), paths[loss])
    return paths


@pytest.mark.parametrize("variant", ["roi", "global"])
def test_every_run_has_the_curves_of_all_its_stages(variants: dict[str, Path], variant: str) -> None:
    run = Offline(files(variants[variant])[0])
    for stage in ("phase1", "phase2"):
        history = pd.read_csv(variants[variant] / "history" / f"{stage}.csv")
        assert run.curve(f"{stage}/epoch") == [1, 2]
        for name in history.columns.drop("epoch"):
            assert run.curve(f"{stage}/{name}") == pytest.approx(history[name].tolist())
    assert [row["_step"] for row in run.history] == list(range(5))


def test_calibrated_weights_are_a_curve_and_in_the_summary(variants: dict[str, Path]) -> None:
    run = Offline(files(variants["roi"])[0])
    recorded = json.loads((variants["roi"] / "run.json").read_text())["stages"]["phase2"]["loss_weights"]
    assert len(set(recorded.values())) == 3
    for term, weight in recorded.items():
        assert run.summary[f"final/phase2/weight/{term}"] == pytest.approx(weight)
        assert run.curve(f"phase2/weight/{term}") == pytest.approx([weight] * 2)


def test_the_summary_holds_the_means_of_the_per_image_table(variants: dict[str, Path]) -> None:
    run, table = Offline(files(variants["roi"])[0]), pd.read_csv(variants["roi"] / "per_image.csv")
    for (stage, part, site), rows in table.groupby(["stage", "part", "site"]):
        assert run.summary[f"final/{stage}/{part}/{site}/roi_mae"] == pytest.approx(rows["roi_mae"].mean())
    whole = table[(table["stage"] == "phase2") & (table["part"] == "val")]["psnr"].mean()
    assert run.summary["final/phase2/val/psnr"] == pytest.approx(whole)
    assert run.summary["final/phase2/selected_epoch"] in (1, 2)


def test_panels_and_the_per_image_table_are_files_of_the_run(variants: dict[str, Path]) -> None:
    (file,) = files(variants["roi"])
    last, folder = Offline(file).history[-1], file.parent / "files"
    for part in ("val", "test"):
        assert (folder / last[f"panels/{part}/path"]).read_bytes().startswith(b"\x89PNG")
    page = (folder / last["per_image/path"]).read_text()
    assert page.count("<tr>") == len(pd.read_csv(variants["roi"] / "per_image.csv"))
    assert "<th>roi_mae</th>" in page
    assert "<th>record</th>" not in page


def test_runs_are_grouped_and_tagged(variants: dict[str, Path]) -> None:
    one, two = (Offline(files(path)[0]) for path in variants.values())
    assert one.run.run_id != two.run.run_id
    assert one.run.run_group == two.run.run_group == "nt_phase2/hospital_c"
    assert one.run.display_name == "hospital_c/seed1000/roi"
    assert list(one.run.tags) == ["nt_phase2", "hospital_c", "seed1000", "roi"]
    assert {"name", "site", "seed", "variant"} <= one.config.keys()
    assert one.exit_codes == two.exit_codes == [0]


def test_no_file_names_a_subject_an_image_a_path_or_the_machine(variants: dict[str, Path], manifest: Path) -> None:
    secrets = [manifest.parent, *variants.values(), Path.home(), Path.cwd(), sys.prefix, "muster", "multirun/"]
    words = re.compile(rb"(?i)\b(%s)\b" % "|".join(map(re.escape, (socket.gethostname(), getpass.getuser()))).encode())
    found = [file for path in variants.values() for file in (path / "wandb").rglob("*") if file.is_file()]
    assert len(found) == 2 * 5  # the record, the packages, the table, two panels
    for file in found:
        content = file.read_bytes()
        assert not [secret for secret in map(str, secrets) if secret.encode() in content], file
        assert file.suffix == ".png" or not words.search(content), file
        assert "muster" not in file.name


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt(), SystemExit(0)])
def test_a_job_that_fails_or_is_interrupted_ends_as_failed(tmp_path: Path, error: BaseException) -> None:
    run = job(tmp_path, ROWS[:2], error)
    assert run.exit_codes == [1]
    assert run.curve("phase1/epoch") == [1, 2]


def test_a_continued_job_leaves_one_file_of_the_same_run_without_repetition(tmp_path: Path) -> None:
    first, second = job(tmp_path, ROWS[:2], KeyboardInterrupt()), job(tmp_path, ROWS)
    assert first.run.run_id == second.run.run_id
    assert len(files(job_directory(tmp_path))) == 1
    assert second.curve("_step") == [0, 1, 2, 3]
    assert second.curve("phase1/epoch") == [1, 2, 3, 4]
    assert not second.run.resume  # else `wandb sync` would append what is there already
    assert second.exit_codes == [0]


def test_jobs_of_the_same_numbers_in_other_directories_are_other_runs(tmp_path: Path) -> None:
    path = job_directory(tmp_path / "erikamuster")
    folders = [path, path.with_name("second"), job_directory(tmp_path / "elsewhere")]
    for folder in folders:
        folder.mkdir(parents=True)
        with open_run(TRIVIAL, folder, "0123456789abcdef0123", "project", "offline"):
            pass
    ids = [Offline(files(folder)[0]).run.run_id for folder in folders]
    assert len(set(ids)) == 3
    assert all(re.fullmatch("[0-9a-f]{16}", each) for each in ids)


def test_an_online_run_that_is_continued_is_sent_only_what_it_lacks() -> None:
    class Online:
        starting_step = 3

        def __init__(self) -> None:
            self.summary: dict[str, float] = {}
            self.sent: list[tuple[int, int]] = []

        def define_metric(self, *_: str, **__: str) -> None: ...

        def log(self, values: dict[str, Any], step: int, commit: bool) -> None:
            assert commit
            self.sent.append((step, values.get("phase1/epoch", 0)))

    run = Online()
    logger = RunLogger(run)
    logger.epochs("phase1", ROWS)
    logger.epochs("phase1", ROWS)
    logger.finish(pd.DataFrame({"stage": "phase1", "part": "val", "record": [0], "site": "a", "psnr": [1.0]}), {})
    assert run.sent == [(3, 4), (4, 0)]


def test_a_killed_job_keeps_its_epochs_and_has_no_end(tmp_path: Path) -> None:
    path = job_directory(tmp_path)
    path.mkdir(parents=True)
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from ushydra_lab.config.schema import Experiment; from ushydra_lab.training.wandb_logger import open_run\n"
        f"with open_run({TRIVIAL!r}, Path({str(path)!r}), '0123456789abcdef', 'project', 'offline') as logger:\n"
        f"    logger.epochs('phase1', {ROWS!r})\n"
        "    print('logged', flush=True); sys.stdin.read()\n"
    )
    alone = {key: value for key, value in os.environ.items() if key != "WANDB_SERVICE"}  # not this process's wandb
    started = subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=alone)
    assert started.stdout is not None
    assert started.stdout.readline() == b"logged\n"
    (file,) = files(path)
    deadline = time.monotonic() + 60
    while len(Offline(file, ended=False).history) < 4 and time.monotonic() < deadline:
        time.sleep(0.2)
    started.send_signal(signal.SIGKILL)
    started.communicate()
    assert Offline(file, ended=False).curve("phase1/epoch") == [1, 2, 3, 4]
    assert Offline(file, ended=False).exit_codes == []
    assert not list(path.glob("wandb/*/logs"))


@pytest.mark.parametrize("gpu", [True, False])
def test_the_machine_s_load_is_logged_only_where_there_is_a_gpu(
    gpu: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: gpu)
    monkeypatch.setenv("WANDB_X_STATS_SAMPLING_INTERVAL", "0.5")
    path = job_directory(tmp_path)
    path.mkdir(parents=True)
    with open_run(TRIVIAL, path, "0123456789abcdef", "project", "offline"):
        (file,) = files(path)
        deadline = time.monotonic() + (60 if gpu else 2)
        while not Offline(file, ended=False).stats and time.monotonic() < deadline:
            time.sleep(0.2)
    run = Offline(file)
    assert bool(run.stats) == gpu
    assert not [key for row in run.stats for key in row if key.startswith("disk")]
    assert not run._of("environment")


def test_a_training_that_is_killed_and_continued_is_one_run_with_the_curves_of_one_that_was_not(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    manifest, runs = write_images("nt_phase2", tmp_path / "images"), {}
    for name in ("whole", "killed"):
        typed = words("nt_phase2", manifest, tmp_path / name, 3, "logger.mode=offline")
        if name == "killed":
            first = kill_after_an_epoch(fork_server, typed, tmp_path / name)
            time.sleep(1)  # wandb names its folders by the second
        runs[name] = train(typed)
    (file,), (whole,) = (files(runs[name]) for name in ("killed", "whole"))
    run, expected = Offline(file), Offline(whole)
    assert run.run.run_id == first
    assert not run.run.resume
    assert [row["_step"] for row in run.history] == list(range(len(expected.history)))
    for stage in ("phase1", "phase2"):
        history = pd.read_csv(runs["killed"] / "history" / f"{stage}.csv")
        assert run.curve(f"{stage}/epoch") == [1, 2, 3]
        assert {"train/loss", "val/loss", "val/psnr", "val/mae", "val/roi_mae"} <= set(history)
        for name in history.columns.drop("epoch"):
            assert run.curve(f"{stage}/{name}") == expected.curve(f"{stage}/{name}"), name
            assert run.curve(f"{stage}/{name}") == pytest.approx(history[name].tolist()), name


def kill_after_an_epoch(fork_server: ForkServer, typed: list[str], root: Path) -> str:
    """Start a training, kill it once an epoch is stored; the id of the wandb run that it leaves."""
    root.mkdir()
    started = fork_server.start(typed, root, root.with_suffix(".log"))
    deadline = time.monotonic() + 120
    while not list(root.glob(".stages/*/last.ckpt")):
        assert time.monotonic() < deadline, root.with_suffix(".log").read_text()
        time.sleep(0.01)
    os.kill(started, signal.SIGKILL)
    assert fork_server.wait(started) == -signal.SIGKILL, "it ended by itself"
    (file,) = root.glob("*/*/seed*/*/wandb/offline-run-*/*.wandb")
    return file.stem.removeprefix("run-")  # what wandb's own process has written by then differs


def test_one_key_turns_it_off(tmp_path: Path) -> None:
    with open_run(TRIVIAL, tmp_path, "0123456789abcdef", "project", "disabled") as logger:
        logger.epochs("phase1", ROWS)
        logger.finish(pd.DataFrame(), {"test": Figure()})
    assert not list(tmp_path.iterdir())


def test_a_variant_longer_than_a_tag_may_be_is_cut(tmp_path: Path) -> None:
    path = job_directory(tmp_path)
    path.mkdir(parents=True)
    with open_run(replace(TRIVIAL, variant="v" * 100), path, "0123456789abcdef", "project", "offline"):
        pass
    assert list(Offline(files(path)[0]).run.tags) == ["trivial", "hospital_c", "seed1000", "v" * 64]


def test_runs_leave_no_file_open(tmp_path: Path) -> None:
    job(tmp_path / "first", ROWS)
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(5):
        job(tmp_path / str(number), ROWS)
    assert len(list(Path("/proc/self/fd").iterdir())) <= before
