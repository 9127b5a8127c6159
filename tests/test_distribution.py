"""What is built to be installed holds all that the lab needs, and runs from any folder."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MADE = {"__pycache__", "_build"}


def below(folder: str) -> set[str]:
    files = (path for path in (ROOT / folder).rglob("*") if path.is_file() and not MADE & {*path.parts})
    return {path.relative_to(ROOT).as_posix() for path in files}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "hatchling", "build", "-d", str(folder)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return folder


def test_the_wheel_is_the_package_with_its_configuration_and_no_tests(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = below("ushydra_lab") | {f"ushydra_lab/{name}" for name in below("conf")} | {"ushydra_lab/constraints.txt"}
    assert "ushydra_lab/py.typed" in wanted
    assert {name for name in names if ".dist-info/" not in name} == wanted


def test_the_source_distribution_has_tests_documents_and_pictures(built: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    wanted = [
        *map(below, ("ushydra_lab", "conf", "docs", "tests")),
        {"README.md", "LICENSE", "Makefile", "CITATION.cff"},
    ]
    assert set().union(*wanted) <= names


def test_the_installed_package_composes_its_experiments_anywhere(built: Path, tmp_path: Path) -> None:
    (wheel,) = built.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "ä installed")
    command = [sys.executable, "-m", "ushydra_lab", "+experiment=nt_phase2", "scale=laptop", "--cfg", "job"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "ä installed")}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "name: nt_phase2" in done.stdout
