"""A sweep survives: killed, started twice, on a full disk, with damaged files or a failing job, it ends the same."""

import errno
import itertools
import os
import random
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ushydra_lab import phantom
from ushydra_lab.config.schema import Experiment
from ushydra_lab.errors import UserError
from ushydra_lab.files import read_json, write_json
from ushydra_lab.runs.directory import RunDirectory
from ushydra_lab.runs.ledger import job_state
from ushydra_lab.runs.run import SUMMARY, Run

from ..cli import call
from ..forked import ForkServer

TINY = [
    "+experiment=nt_phase2", "loss=roi", "seed=1000,1001", "scale=laptop", "network._target_=breakable.Breakable",
    "trust=[breakable]",
    "network.widths=[2,4,4,8]", "canvas=[168,176]", "batch_size=2", "logger.mode=disabled", "panel_images=1",
    "stages.phase1.max_epochs=4", "stages.phase2.max_epochs=3", "data=manifest", "held_out=hospital_c",
]  # fmt: skip
HERE = Path(__file__).parent  # of breakable.py
STAGES = ("phase1", "phase2")
KILLS = int(os.environ.get("USHYDRA_KILLS", "2"))
"""`make test-kill` asks for ten."""


@dataclass
class Sweeps:
    """The sweep of two jobs, started in a process of its own."""

    server: ForkServer
    manifest: Path

    def start(self, root: Path, *more: str, file_limit: int = 0, **env: str) -> int:
        words = [*TINY, f"data.path='{self.manifest}'", f"run_root='{root}'", *more]
        root.mkdir(exist_ok=True)
        return self.server.start(words, HERE, root.with_suffix(".log"), file_limit, **env)

    def wait(self, process: int) -> int:
        return self.server.wait(process)

    def run(self, root: Path, *more: str, file_limit: int = 0, **env: str) -> tuple[int, str]:
        """Exit status and what was said."""
        root.with_suffix(".log").unlink(missing_ok=True)
        status = self.wait(self.start(root, *more, file_limit=file_limit, **env))
        return status, root.with_suffix(".log").read_text()


@pytest.fixture(scope="module")
def sweeps(fork_server: ForkServer, tmp_path_factory: pytest.TempPathFactory) -> Sweeps:
    counts = dict.fromkeys(phantom.SCENES["nt"].machines, 4)
    return Sweeps(fork_server, phantom.write(tmp_path_factory.mktemp("phantom"), "nt", 0, counts))


@pytest.fixture(scope="module")
def undisturbed(sweeps: Sweeps, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sweep's directory, all in one go."""
    root = tmp_path_factory.mktemp("undisturbed") / "runs"
    status, said = sweeps.run(root, REPORT="1")
    assert status == 0, said
    return root


def run_of(root: Path, seed: int) -> Path:
    return root / "nt_phase2" / "hospital_c" / f"seed{seed}" / "roi"


def status(root: Path, seed: int) -> str:
    return str(read_json(run_of(root, seed) / "run.json")["status"])


def assert_same(one: Path, two: Path) -> None:
    """Weights, curves and metrics of both sweeps, to the bit."""
    for seed in (1000, 1001):
        a, b = run_of(one, seed), run_of(two, seed)
        for name in ("per_image.csv", "split.csv", *(f"history/{stage}.csv" for stage in STAGES)):
            assert (a / name).read_bytes() == (b / name).read_bytes(), name
        for stage in STAGES:
            assert (a / "checkpoints" / f"{stage}.ckpt").read_bytes() == (b / f"checkpoints/{stage}.ckpt").read_bytes()
        first, second = read_json(a / "run.json"), read_json(b / "run.json")
        assert {key: first[key] for key in ("metrics", "stages")} == {key: second[key] for key in ("metrics", "stages")}


def test_killed_at_random_moments_a_sweep_ends_with_the_same_bits(
    sweeps: Sweeps, undisturbed: Path, tmp_path: Path
) -> None:
    """One of the slowest: the sweep is trained as often as it is killed."""
    draw, root = random.Random(KILLS), tmp_path / "runs"
    for _ in range(KILLS):
        store, seen = root / ".stages", draw.randrange(1, 5)
        process = sweeps.start(root, REPORT="1", EVERY_S=str(draw.choice([0, 60])))
        before = _newest(store)
        while seen and status_or_none(root) != ["finished", "finished"]:  # as many epochs, then a random moment
            time.sleep(0.002)
            if (now := _newest(store)) != before:
                before, seen = now, seen - 1
        time.sleep(draw.uniform(0, 0.2))
        os.kill(process, signal.SIGKILL)
        assert sweeps.wait(process) == -signal.SIGKILL
    outcome, said = sweeps.run(root, REPORT="1")
    assert outcome == 0, said
    assert_same(undisturbed, root)


def _newest(store: Path) -> int:
    return max((file.stat().st_mtime_ns for file in store.glob("*/history.csv")), default=0)


def status_or_none(root: Path) -> list[str | None]:
    files = [run_of(root, seed) / "run.json" for seed in (1000, 1001)]
    return [read_json(file)["status"] if file.exists() else None for file in files]


@pytest.mark.parametrize("checkpoint", [1, 4])
def test_killed_while_a_checkpoint_is_written_a_sweep_ends_with_the_same_bits(
    checkpoint: int, sweeps: Sweeps, undisturbed: Path, tmp_path: Path
) -> None:
    root = tmp_path / "runs"
    assert sweeps.run(root, DIE_WRITING=str(checkpoint))[0] == -signal.SIGKILL
    shown = job_state(Run(run_of(root, 1000)))
    assert (shown.state, job_state(Run(run_of(root, 1001))).state) == ("interrupted", "missing")
    assert shown.note.startswith(f"killed phase1, {1 if checkpoint == 1 else 2} of at most 4 epochs")
    outcome, said = sweeps.run(root)
    assert outcome == 0, said
    assert_same(undisturbed, root)


def test_a_stage_goes_on_where_its_folder_was_moved_to(sweeps: Sweeps, undisturbed: Path, tmp_path: Path) -> None:
    assert sweeps.run(tmp_path / "here", DIE_WRITING="8")[0] == -signal.SIGKILL
    shutil.move(tmp_path / "here", tmp_path / "there")
    outcome, said = sweeps.run(tmp_path / "there")
    assert outcome == 0, said
    assert "continuing" in said
    assert_same(undisturbed, tmp_path / "there")


@pytest.mark.parametrize("name", ["last.ckpt", "best.ckpt"])
def test_a_damaged_file_of_an_unfinished_stage_costs_only_time(
    name: str, sweeps: Sweeps, undisturbed: Path, tmp_path: Path
) -> None:
    root = tmp_path / "runs"
    sweeps.run(root, DIE_WRITING="6")
    (file,) = root.glob(f".stages/*/{name}")
    file.write_bytes(file.read_bytes()[:-1000])
    outcome, said = sweeps.run(root)
    assert outcome == 0, said
    assert f"{name} is damaged" in said
    assert_same(undisturbed, root)


def test_a_damaged_file_of_a_finished_stage_is_named_with_the_remedy(
    sweeps: Sweeps, undisturbed: Path, tmp_path: Path
) -> None:
    root = shutil.copytree(undisturbed, tmp_path / "runs")
    folder = root / ".stages" / read_json(run_of(root, 1001) / "run.json")["stages"]["phase1"]["key"]
    content = bytearray((folder / "best.ckpt").read_bytes())
    content[len(content) // 2] ^= 1
    (folder / "best.ckpt").write_bytes(content)
    shutil.rmtree(run_of(root, 1001))
    outcome, said = sweeps.run(root)
    assert outcome == 1
    assert "best.ckpt is damaged" in said
    shutil.rmtree(folder)
    assert sweeps.run(root)[0] == 0
    assert_same(undisturbed, root)


def test_a_third_command_does_nothing_and_shows_the_table(sweeps: Sweeps, undisturbed: Path) -> None:
    def state() -> dict[Path, int]:
        files = (file for seed in (1000, 1001) for file in run_of(undisturbed, seed).rglob("*"))
        return {file: file.stat().st_mtime_ns for file in files if file.is_file() and file.name != "run.log"}

    before = state()
    outcome, said = sweeps.run(undisturbed, REPORT="1")
    assert outcome == 0
    assert "Nothing has changed since the report was written" in said
    assert "2 jobs: 2 finished" in said
    assert before == state()


def test_a_table_of_a_finished_run_that_was_edited_is_named(sweeps: Sweeps, undisturbed: Path, tmp_path: Path) -> None:
    root = shutil.copytree(undisturbed, tmp_path / "runs")
    table = run_of(root, 1001) / "per_image.csv"
    table.write_bytes(table.read_bytes().replace(b"1", b"2", 1))
    outcome, said = sweeps.run(root, REPORT="1")
    assert outcome == 1
    assert "per_image.csv is damaged" in said
    assert "FAILED" in said


def test_two_commands_started_together_do_each_job_once(sweeps: Sweeps, undisturbed: Path, tmp_path: Path) -> None:
    root = tmp_path / "runs"
    both = [sweeps.start(root, REPORT="1"), sweeps.start(root, REPORT="1")]
    assert [sweeps.wait(process) for process in both] == [0, 0]
    said = root.with_suffix(".log").read_text()
    assert said.count("training on") == 2 * len(STAGES)
    assert said.count("2 jobs: 2 finished") == 2
    assert_same(undisturbed, root)


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        ("nan", "phase1, epoch 1: the training loss is no finite number (global = nan)"),
        ("error", "the cable was pulled"),
    ],
)
def test_a_failing_job_is_named_and_the_other_unharmed(
    breaks: str, words: str, sweeps: Sweeps, undisturbed: Path, tmp_path: Path
) -> None:
    root = tmp_path / "runs"
    outcome, said = sweeps.run(root, BREAK=breaks, BREAK_SEED="1000")
    assert outcome == 1
    assert f"FAILED {run_of(root, 1000)}" in said
    assert words in said
    assert "2 jobs: 1 finished, 1 failed" in said
    assert ("Traceback" in said) == (breaks == "error")
    assert words.partition(" (")[0] in job_state(Run(run_of(root, 1000))).note
    assert sweeps.run(root)[0] == 0
    assert_same(undisturbed, root)


def test_fail_fast_starts_no_further_job(sweeps: Sweeps, tmp_path: Path) -> None:
    outcome, said = sweeps.run(tmp_path / "runs", "fail_fast=true", BREAK="nan", BREAK_SEED="1000")
    assert outcome == 1
    assert "2 jobs: 1 failed, 1 missing" in said
    outcome, said = sweeps.run(tmp_path / "runs", "fail_fast=true")
    assert outcome == 0, said  # the failure of an earlier sweep stops nothing


def test_files_that_cannot_be_written_whole_fail_the_job_with_the_reason(
    sweeps: Sweeps, undisturbed: Path, tmp_path: Path
) -> None:
    root = tmp_path / "runs"
    outcome, said = sweeps.run(root, f"cache_dir='{undisturbed}/.cache'", file_limit=9000, REPORT="1")
    assert outcome == 1
    assert "Cannot write below" in said
    assert "2 jobs: 2 failed" in said
    assert sweeps.run(root)[0] == 0
    assert_same(undisturbed, root)


TRIVIAL = Experiment(
    name="x", variant="v", seed=0, scale="laptop", held_out=None, deidentified=False, panel_images=1, run_root="runs",
    cache_dir="cache", cache_gb=1, canvas=[8, 8], batch_size=1, augment=None, data={}, split={}, network={}, trainer={},
    logger={}, stages={},
)  # fmt: skip


def test_on_a_full_disk_the_failure_is_recorded_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    directory = RunDirectory(tmp_path, TRIVIAL)

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def job_on_full_disk() -> None:
        with directory.recording():
            monkeypatch.setattr("ushydra_lab.runs.directory.write_json", full)
            full()

    with pytest.raises(UserError, match="no space is left"):
        job_on_full_disk()
    assert "no space is left" in read_json(tmp_path / "run.json")["error"]
    assert job_state(Run(tmp_path)).state == "failed"


def test_runs_shows_what_became_of_every_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = itertools.count()
    started = {"started": "2025-01-01T00:00:00+0000"}

    def directory(**summary: Any) -> Path:
        run = tmp_path / "nt" / "site" / f"seed{next(seeds)}" / "v"
        write_json(run / "run.json", started | summary)
        return run

    whole = {"seed": 0, "variant": "v", "stages": {"phase1": {"key": "k"}}, "files": {}}
    directory(status="finished", ended="2025-01-01T01:02:03+0000", **whole)
    directory(status="running")
    now = {"stage": "phase1", "folder": "abc", "max_epochs": 9}
    at_work = directory(status="running", now=now)
    RunDirectory(tmp_path / "nt" / "site" / "seed3" / "v", TRIVIAL).plan()
    RunDirectory(at_work, TRIVIAL).plan()
    (tmp_path / ".stages" / "abc").mkdir(parents=True)
    (tmp_path / ".stages" / "abc" / "history.csv").write_text("epoch,loss\n0,1\n1,1\n")
    with RunDirectory(at_work, TRIVIAL).lock():
        call("runs", str(tmp_path))
    said = capsys.readouterr().out
    assert "4 jobs: 1 finished, 1 running, 1 interrupted, 1 missing" in said
    assert "phase1, 2 of at most 9 epochs done" in said
    assert "1:02:03" in said
    directory(status="failed", error="first line\nsecond")
    directory(status="failed", error="again")
    with pytest.raises(SystemExit) as end:
        call("runs", str(tmp_path))
    said = capsys.readouterr().out
    assert "first line" in said
    assert "second" not in said
    assert end.value.code


def test_what_is_no_run_is_said(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="No run below"):
        call("runs", str(tmp_path))


def test_a_job_keeps_its_place_in_the_sweep_however_often_it_is_interrupted(tmp_path: Path) -> None:
    """The variant planned first is what the others are compared with."""
    first, second = (RunDirectory(tmp_path / name, TRIVIAL) for name in ("first", "second"))
    first.plan()
    second.plan()
    planned = [read_json(run.path / SUMMARY)["planned"] for run in (first, second)]
    assert planned == sorted(planned)
    for run in (second, first, first):
        with pytest.raises(KeyboardInterrupt), run.recording():
            raise KeyboardInterrupt
    first.plan()
    assert [read_json(run.path / SUMMARY)["planned"] for run in (first, second)] == planned
