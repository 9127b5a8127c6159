"""Runs on a shared machine: locks that cannot be had, and what killed processes left."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from ushydra_lab.errors import UserError
from ushydra_lab.files import remove_temporary, write_json
from ushydra_lab.runs.directory import RunDirectory
from ushydra_lab.runs.ledger import INTERRUPTED, job_state
from ushydra_lab.runs.run import Run
from ushydra_lab.runs.stage_store import open_stage

LOCKS = [(errno.ENOLCK, "its file system has no locks"), (errno.EACCES, "it may not be written")]
LOCKS += [(errno.EPERM, "it may not be written"), (errno.EROFS, "it is read-only")]


def denied(code: int) -> Callable[..., None]:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    return refuse


@pytest.mark.parametrize(("code", "reason"), LOCKS)
def test_a_lock_that_cannot_be_had_is_explained_and_nobody_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, reason: str
) -> None:
    monkeypatch.setattr("fcntl.flock", denied(code))
    monkeypatch.setattr(FileLock, "acquire", denied(code)) if code == errno.EACCES else None
    with pytest.raises(UserError, match=rf"run: {reason}.*run_root="), RunDirectory(tmp_path / "run", {}).lock():
        raise AssertionError("held without a lock")
    with pytest.raises(UserError, match=rf"{reason}.*run_root="), open_stage(tmp_path, "0123456789abcdef"):
        raise AssertionError("held without a lock")


def test_the_ledger_of_runs_whose_locks_cannot_be_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json(tmp_path / "run.json", {"status": "running"})
    (tmp_path / ".lock").touch()
    monkeypatch.setattr(FileLock, "acquire", denied(errno.EACCES))
    assert job_state(Run(tmp_path)).state == INTERRUPTED


def test_others_may_lock_what_one_user_has_locked(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with RunDirectory(tmp_path / "run", {}).lock(), open_stage(tmp_path, "0123456789abcdef") as stage:
            locks = [tmp_path / "run" / ".lock", stage.path / ".lock"]
            assert [lock.stat().st_mode & 0o777 for lock in locks] == [0o666, 0o666]
    finally:
        os.umask(before)


def test_what_killed_processes_left_in_any_part_of_a_run_is_removed_by_the_next(tmp_path: Path) -> None:
    left = [tmp_path / part / ".x.png.0123abcd" for part in (".", "checkpoints", "history", "figures")]
    own = tmp_path / "figures" / ".my.notes"
    for file in (*left, own):
        file.parent.mkdir(exist_ok=True)
        file.touch()
    with RunDirectory(tmp_path, {}).lock():
        assert [file.exists() for file in (*left, own)] == [False] * 4 + [True]


def test_in_folders_where_others_write_only_what_is_old_is_removed(tmp_path: Path) -> None:
    killed, at_work = tmp_path / ".a.csv.0123abcd", tmp_path / ".b.csv.0123abcd"
    killed.touch()
    at_work.touch()
    os.utime(killed, (1, 1))
    remove_temporary(tmp_path, 3600)
    assert (killed.exists(), at_work.exists()) == (False, True)
