"""Jobs are checked together before the first one; each then ends by itself, whatever becomes of it."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hydra import initialize_config_dir

from ushydra_lab import experiment as spine
from ushydra_lab import phantom
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.validation import check
from ushydra_lab.errors import UserError
from ushydra_lab.files import read_json, write_json
from ushydra_lab.runs.directory import SWEEP, RunDirectory
from ushydra_lab.runs.ledger import job_state
from ushydra_lab.runs.run import Run
from ushydra_lab.sweep import jobs
from ushydra_lab.sweep.jobs import complete, report_on, run_job, validate

from ..cli import call
from ..small_systems import composed, words

Typed = Callable[..., list[str]]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    images = phantom.write(tmp_path_factory.mktemp("images"), "nt", 0, dict.fromkeys(phantom.SCENES["nt"].machines, 3))
    return words("nt_phase2", images, images.parent, 1)


@pytest.fixture
def typed(base: list[str], tmp_path: Path) -> Typed:
    """typed(word, ...): a job's words."""
    return lambda *more: [*base, f"run_root='{tmp_path / 'runs'}'", *more]


@pytest.fixture
def composing() -> Iterator[None]:
    """As within Hydra's main."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], logging.LogRecord]:
    """said(): the only thing that the lab has told."""

    def only() -> logging.LogRecord:
        (record,) = (one for one in caplog.records if one.name == "ushydra_lab")
        return record

    caplog.set_level(logging.INFO)
    return only


def test_a_job_that_another_process_runs_is_left_out_without_a_traceback(
    typed: Typed, said: Callable[[], logging.LogRecord]
) -> None:
    cfg = composed(typed())
    other = RunDirectory(run_path(cfg), check(cfg))
    with other.lock():
        write_json(other.path / "run.json", {"status": "running"})
        run_job(cfg)
        assert job_state(other.run).state == "running"
    record = said()
    assert record.message == f"left out: {other.path}: another process is running this job"
    assert (record.levelname, record.exc_info) == ("INFO", None)
    assert read_json(other.path / "run.json") == {"status": "running"}


@pytest.mark.parametrize("error", [UserError("the image is empty"), ValueError("of ours")])
def test_a_failure_is_told_with_its_job_and_only_one_of_ours_with_a_traceback(
    error: Exception, typed: Typed, said: Callable[[], logging.LogRecord], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(spine, "run", fail)
    cfg = composed(typed())
    run_job(cfg)
    record = said()
    assert record.message.startswith(f"FAILED {run_path(cfg)}")
    assert (str(error) in record.message) == isinstance(error, UserError)
    assert bool(record.exc_info) == isinstance(error, ValueError)


def test_with_fail_fast_a_failure_of_this_sweep_alone_starts_no_other_job(
    typed: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Path] = []
    monkeypatch.setattr(spine, "run", lambda experiment, path: started.append(path))
    monkeypatch.setenv(SWEEP, "this")
    cfg = composed(typed("fail_fast=true"))
    record = run_path(cfg).parent / "other" / "run.json"
    for sweep, fail_fast, starts in (("that", True, 1), ("this", False, 1), ("this", True, 0)):
        write_json(record, {"status": "failed", "sweep": sweep})
        started.clear()
        cfg.fail_fast = fail_fast
        run_job(cfg)
        assert len(started) == starts


@pytest.mark.usefixtures("composing")
def test_all_problems_are_told_at_once_and_no_directory_is_made(typed: Typed, tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        validate([typed("batch_size=0"), typed("held_out=nowhere"), typed("loss=none_such")])
    said = str(error.value)
    assert all(word in said for word in ("batch_size", "nowhere", "none_such"))
    assert not (tmp_path / "runs" / "nt_phase2").exists()


@pytest.mark.usefixtures("composing")
def test_jobs_of_one_directory_are_to_be_named_apart(typed: Typed) -> None:
    with pytest.raises(UserError, match=r"2 jobs share .*seed1000/roi: name them apart") as error:
        validate([typed(), typed("batch_size=2")])
    assert "batch_size=2" in str(error.value)
    assert [one.path.name for one in validate([typed(), typed("variant=b")])] == ["roi", "b"]


@pytest.mark.usefixtures("composing")
def test_a_job_that_is_done_is_known_until_the_next_command(typed: Typed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spine, "nothing_to_do", lambda experiment, directory: experiment.variant == "roi")
    validate([typed(), typed("variant=b")])
    assert [complete(typed()), complete(typed("variant=b"))] == [True, False]
    monkeypatch.setattr(spine, "nothing_to_do", lambda *_: False)
    validate([typed()])
    assert not complete(typed())


def test_tables_are_written_once_and_what_prevents_them_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fails(error: Exception) -> Callable[[Path], None]:
        def report(_: Path) -> None:
            raise error

        return report

    for error, whole in ((jobs.NoFinishedRun("none"), True), (UserError("full"), False), (ValueError("ours"), False)):
        monkeypatch.setattr(jobs, "report", fails(error))
        assert report_on(tmp_path) is whole
        said = capsys.readouterr().err
        assert str(error) in said
        assert ("Traceback" in said) == isinstance(error, ValueError)
    written: list[Path] = []
    monkeypatch.setattr(jobs, "report", written.append)
    monkeypatch.setattr(jobs, "is_drawn", lambda _: bool(written))
    monkeypatch.setattr(jobs, "remember", lambda _: None)
    assert [report_on(tmp_path), report_on(tmp_path)] == [True, True]
    assert written == [tmp_path]
    assert "Nothing has changed" in capsys.readouterr().out


def test_run_in_place_of_a_sweep_leaves_a_planned_run_in_the_same_place_and_its_log(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(experiment: object, path: Path) -> None:
        assert read_json(path / "run.json")["status"] == "planned"
        logging.getLogger("ushydra_lab").warning("at work")
        write_json(path / "run.json", {"status": "failed", "error": "a cable"})

    monkeypatch.setattr(spine, "run", run)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as end:
        call("train", *typed(), "--run")
    assert end.value.code == 1
    said = capsys.readouterr()
    assert "1 job: 1 failed" in said.out
    assert "1 of 1 jobs did not finish" in said.err
    experiment = tmp_path / "runs" / "nt_phase2"
    assert job_state(Run(experiment / "hospital_c" / "seed1000" / "roi")).note == "a cable"
    assert "at work" in (experiment / "hospital_c" / "seed1000" / "roi" / "run.log").read_text()
    left = sorted(path.relative_to(experiment).as_posix() for path in experiment.rglob("*") if path.is_file())
    of_run = [f"hospital_c/seed1000/roi/{name}" for name in (".lock", "run.json", "run.log")]
    assert left == [".plan.json.lock", *of_run, "plan.json", "report/index.html"]
