"""The doctor names what would stop a run, and leaves nothing behind."""

from importlib import metadata
from pathlib import Path

import pytest

from ushydra_lab import doctor
from ushydra_lab.config.paths import CONSTRAINTS
from ushydra_lab.doctor import State, examine

from .cli import call, status


def findings(folder: Path, cache_gb: float = 0.001) -> dict[str, doctor.Finding]:
    return {one.subject: one for one in examine(folder / "runs", folder / "cache", cache_gb)}


def test_a_machine_that_runs_the_tests_lacks_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("doctor", f"run_root={tmp_path}", "cache_gb=0.001") == 0
    shown = capsys.readouterr().out
    assert "0 to mend" in shown
    assert str(CONSTRAINTS) in shown
    assert not any(tmp_path.iterdir())


def test_every_finding_that_is_not_good_has_a_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata, "version", lambda name: "0.0.1")
    found = findings(tmp_path)
    assert {found[name].state for name in ("torch", "lightning", "hydra-core")} == {State.BAD}
    assert "pip install 'torch==" in found["torch"].remedy
    assert all(one.remedy for one in found.values() if one.state is not State.GOOD)


def test_another_version_than_the_tested_one_is_told_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: "99.0" if name == "rich" else installed(name))
    rich = findings(tmp_path)["rich"]
    assert rich.state is State.NOTE
    assert rich.here.startswith("99.0, tested ")


def test_a_missing_package_is_bad_and_a_missing_extra_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed = metadata.version

    def version(name: str) -> str:
        if name in {"kornia", "av"}:
            raise metadata.PackageNotFoundError(name)
        return installed(name)

    monkeypatch.setattr(metadata, "version", version)
    found = findings(tmp_path)
    assert found["kornia"].state is State.BAD
    assert found["av"].state is State.NOTE
    assert "ushydra_lab[video]" in found["av"].remedy


def test_every_declared_dependency_has_a_tested_version() -> None:
    """All but torch, whose version the machine's CUDA decides."""
    tested = {line.partition("==")[0] for line in CONSTRAINTS.read_text("utf-8").splitlines()}
    declared = {doctor.Requirement(line).name for line in metadata.requires("ushydra_lab") or []}
    assert declared - tested - {"torch", "ushydra_lab", "ray"} == set()


def test_a_folder_that_cannot_be_written_and_a_small_disk_are_told(tmp_path: Path) -> None:
    (tmp_path / "runs").write_text("a file where the folder is to be")
    found = findings(tmp_path, cache_gb=10.0**9)
    assert found["runs"].state is State.BAD
    assert "run_root=" in found["runs"].remedy
    assert found["cache"].state is State.NOTE
    assert "cache_gb" in found["cache"].remedy


def test_a_broken_torch_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> None:
        raise ImportError(f"{name}: a shared object is missing")

    monkeypatch.setattr(doctor.importlib, "import_module", broken)
    assert findings(tmp_path)["device"].state is State.BAD


def test_words_that_are_no_settings_are_all_named() -> None:
    with pytest.raises(SystemExit, match=r"(?s)foo: not one of.*cache_gb=big: not a number"):
        call("doctor", "foo", "cache_gb=big")
