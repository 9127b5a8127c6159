"""One command with verbs: quick to answer, and helpful to whoever mistypes."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import ushydra_lab
from ushydra_lab.__main__ import VERBS, overview

from .cli import call, status
from .report.small_experiments import brain_attention_unet

PACKAGE = Path(ushydra_lab.__file__).parent


def run(*words: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, *words]
    return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "train"])
def test_the_help_of_a_verb_loads_no_large_library(verb: str) -> None:
    code = (
        "import sys; from ushydra_lab.__main__ import main\n"
        f"sys.argv = ['ushydra_lab', {verb!r}, '--help']\n"
        "try: main()\n"
        "finally: print({'hydra', 'omegaconf', 'torch', 'pandas', 'numpy'} & set(sys.modules), file=sys.stderr)\n"
    )
    done = run("-c", code)
    assert done.returncode == 0
    assert f"usage: python -m ushydra_lab {verb}" in done.stdout
    assert done.stderr.strip() == "set()"


def test_the_help_of_train_is_hydra_s_and_loads_no_torch() -> None:
    code = (
        "import sys; from ushydra_lab.__main__ import main\n"
        "sys.argv = ['ushydra_lab', 'train', '--help']\n"
        "try: main()\n"
        "finally: print('torch' in sys.modules, file=sys.stderr)\n"
    )
    done = run("-c", code)
    assert "+experiment=nt_phase2" in done.stdout
    assert done.stderr.strip() == "False"


@pytest.mark.parametrize(("typed", "meant"), [("chekc", "check"), ("evalute", "evaluate"), ("run", "runs")])
def test_a_mistyped_verb_is_answered_with_the_nearest(typed: str, meant: str) -> None:
    with pytest.raises(SystemExit, match=rf"{typed}: no such verb. Did you mean `python -m ushydra_lab {meant}`"):
        call(typed)


@pytest.mark.parametrize("runs", [["one"], ["one", "two"], ["one", "two", "three"]])
def test_predictions_are_not_written_among_the_images(
    runs: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("predict", *runs, str(tmp_path), "--out", str(tmp_path / "out")) == 2
    assert f"--out lies in {tmp_path}" in capsys.readouterr().err


@pytest.mark.parametrize("size", ["0", "-1", "inf", "nan", "x"])
def test_probes_move_codes_by_a_finite_size_above_0(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status("probes", "nowhere", "--perturbation", size) == 2
    assert f"invalid _size value: '{size}'" in capsys.readouterr().err
    assert status("probes", "nowhere", "--perturbation", "0.5") == 1
    assert "nowhere" in capsys.readouterr().err


def test_import_asks_for_the_folder_that_it_shall_make(capsys: pytest.CaptureFixture[str]) -> None:
    assert status("import", "coco", "nowhere") == 2
    assert "required: --out" in capsys.readouterr().err


def test_the_version_is_the_lab_s(capsys: pytest.CaptureFixture[str]) -> None:
    call("--version")
    assert capsys.readouterr().out == f"ushydra_lab {ushydra_lab.__version__}\n"


def test_without_a_word_all_verbs_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    for word in ("--help", "help"):
        call(word)
        assert capsys.readouterr().out == overview() + "\n"
    assert all(f"  {verb} " in overview() for verb in VERBS)


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("trainer.max_epoch=3", "stages.phase1.max_epochs"),
        ("lr=3", "stages.phase1.task.optimizer.lr"),
        ("network.width=[4]", "network.widths"),
        ("seeds=1", "seed"),
        ("data.imagespersite=4", "data.images_per_site"),
    ],
)
def test_a_mistyped_key_is_answered_with_the_nearest_of_the_whole_configuration(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status("+experiment=nt_phase2", "scale=laptop", typed) == 1
    assert f"did you mean '{meant}'?" in capsys.readouterr().err


def test_a_report_is_made_without_torch(tmp_path: Path) -> None:
    brain_attention_unet(tmp_path / "brain_attention_unet")
    code = (
        "import sys; from ushydra_lab.commands.report import main; main(['.'])\n"
        "print({'torch', 'lightning', 'wandb', 'umap', 'numba'} & set(sys.modules), file=sys.stderr)"
    )
    done = run("-c", code, folder=tmp_path)
    assert done.returncode == 0
    assert done.stderr.strip() == "set()"


def test_modules_of_the_lab_are_imported_inside_functions_in_commands_alone() -> None:
    """There they keep a command's start fast; elsewhere they would hide which way the arrows go."""
    inside = [
        f"{file.relative_to(PACKAGE)}:{node.lineno}"
        for file in PACKAGE.rglob("*.py")
        if file.parent.name != "commands"
        for function in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("ushydra_lab")
    ]
    assert not inside
