"""What Python code may call: quick to import, and the README's lines train, load and predict."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import ushydra_lab

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


@pytest.mark.slow
def test_the_readme_s_lines_train_load_and_predict(tmp_path: Path) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), re.DOTALL)
    said = python(code, tmp_path).splitlines()
    rows = [re.fullmatch(r"\S+\.png ([\d.]+) ([\d.]+)", line) for line in said]
    assert len([row for row in rows if row]) >= 24
    assert said[-1].endswith("index.html")
    assert Image.open(tmp_path / "last.jpg").size[0] > 0
