"""What Python code may call: quick to import, and the README's lines train, load and predict."""

import ast
import re
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import ushydra_lab
from tests.fake_runs import write
from ushydra_lab.prediction.members import Ensemble

ROOT = Path(__file__).parents[1]


def python(code: str, folder: Path) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_importing_the_lab_loads_nothing_until_a_name_is_used(tmp_path: Path) -> None:
    heavy = "{'torch', 'pandas', 'numpy', 'hydra', 'lightning'} & set(sys.modules)"
    said = python(f"import sys, ushydra_lab; print({heavy}); ushydra_lab.UserError; print({heavy} > set())", tmp_path)
    assert said.split() == ["set()", "True"]


def test_every_name_is_there_typed_and_documented() -> None:
    stub = ast.parse((ROOT / "ushydra_lab" / "__init__.pyi").read_text())
    typed = [alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names]
    assert typed == ushydra_lab.__all__
    assert all(getattr(ushydra_lab, name).__doc__ for name in ushydra_lab.__all__)
    assert (ROOT / "ushydra_lab" / "py.typed").exists()
    with pytest.raises(AttributeError, match="no attribute 'lode'"):
        _ = ushydra_lab.lode  # type: ignore[attr-defined]


def test_what_cannot_be_used_is_named() -> None:
    with pytest.raises(ushydra_lab.UserError, match="seed=abc"):
        ushydra_lab.train("+experiment=nt_phase2", "seed=abc", "scale=laptop")
    with pytest.raises(ushydra_lab.UserError, match="name at least one finished run"):
        ushydra_lab.load()
    with pytest.raises(ushydra_lab.UserError, match=r"run\.json is missing"):
        _ = ushydra_lab.Run("nothing").summary


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: ushydra_lab.load(["one", "two"]), "run="),  # type: ignore[arg-type]
        (lambda: ushydra_lab.load("run", device=0), "device=0: give auto"),  # type: ignore[arg-type]
        (lambda: ushydra_lab.predict("run", "images"), "model='run': give what lab.load"),  # type: ignore[arg-type]
        (lambda: ushydra_lab.train(["seed=1"]), "override="),  # type: ignore[arg-type]
        (lambda: ushydra_lab.train(1), "override=1"),  # type: ignore[arg-type]
        (lambda: ushydra_lab.evaluate("run", Path("data")), "override="),  # type: ignore[arg-type]
        (lambda: ushydra_lab.evaluate(None), "run=None"),  # type: ignore[arg-type]
        (lambda: ushydra_lab.read_manifest(3), "override=3"),  # type: ignore[arg-type]
        (lambda: ushydra_lab.write_report(None), "folder=None"),  # type: ignore[arg-type]
    ],
)
def test_an_argument_of_another_type_is_named_with_what_is_wanted(call: Callable[[], object], said: str) -> None:
    with pytest.raises(ushydra_lab.UserError, match=re.escape(said)):
        call()


@pytest.mark.parametrize("given", [{"pixel_mm": "0.1"}, {"pixel_mm": True}, {"every": 1.5}, {"every": None}])
def test_a_number_that_is_none_is_named(given: dict[str, Any]) -> None:
    (name,) = given
    with pytest.raises(ushydra_lab.UserError, match=f"^{name}="):
        ushydra_lab.predict(Ensemble((), None, None), "images", **given)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "words",
    [
        ["report", "typo"],
        ["runs", "typo"],
        ["evaluate", "typo", "data=phantom_nt"],
        ["predict", "typo", ".", "--out", "out"],
        ["probes", "typo"],
        ["robustness", "typo"],
        ["boxes", "typo"],
        ["runs", "pack", "typo", "--out", "out"],
        ["check", "data=phantom_nt", "data.images_per_site=0"],
    ],
    ids=" ".join,
)
def test_what_reads_creates_nothing_where_there_is_nothing_to_read(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = import_module(f"ushydra_lab.commands.{words[0]}")
    with pytest.raises((ushydra_lab.UserError, SystemExit)):
        command.main(words[1:])
    assert not list(tmp_path.iterdir())


def test_a_report_is_of_one_experiment_with_runs(tmp_path: Path) -> None:
    with pytest.raises(ushydra_lab.UserError, match="No run below"):
        ushydra_lab.write_report(tmp_path / "typo")
    for experiment in ("one", "two"):
        write(tmp_path / experiment / "hospital_c" / "seed1" / "roi", {"phase1": "1"})
    with pytest.raises(ushydra_lab.UserError, match="several experiments"):
        ushydra_lab.write_report(tmp_path)
    with pytest.raises(ushydra_lab.UserError, match="is part of an experiment"):
        ushydra_lab.write_report(tmp_path / "one" / "hospital_c")
    assert not list(tmp_path.rglob("report"))


def lines_of_the_readme() -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)


@pytest.mark.slow
def test_the_readme_s_lines_train_load_and_predict(tmp_path: Path) -> None:
    """One of the slowest: a new process trains what the README has its reader train."""
    _, code = lines_of_the_readme()
    said = python(code, tmp_path).splitlines()
    rows = [re.fullmatch(r"\S+\.png ([\d.]+) ([\d.]+)", line) for line in said]
    assert len([row for row in rows if row]) >= 24
    assert said[-1].endswith("index.html")
    assert Image.open(tmp_path / "last.jpg").size[0] > 0
