"""Damaged runs, and runs that somebody else wrote: each command names the file and stops; nothing foreign is run."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hydra import compose, initialize_config_dir
from PIL import Image

from ushydra_lab import experiment, phantom
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.schema import Experiment
from ushydra_lab.config.validation import check
from ushydra_lab.errors import UserError
from ushydra_lab.files import read_json, write_json
from ushydra_lab.runs.stored_experiment import MOVED

from ..cli import call

TINY = [
    "+experiment=nt_phase2", "loss=roi", "scale=laptop", "network.widths=[2,4,4,8]", "canvas=[168,176]", "batch_size=4",
    "stages.phase1.max_epochs=1", "stages.phase2.max_epochs=1", "logger.mode=disabled", "panel_images=1",
    "data=manifest", "held_out=hospital_c",
]  # fmt: skip
VERBS = ("runs", "report", "evaluate", "probes")
pytestmark = pytest.mark.usefixtures("pca_for_umap")
Damage = Callable[[Path], object]


@pytest.fixture(scope="module")
def hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("hospitals")
    return phantom.write(root, "nt", 0, dict.fromkeys(phantom.SCENES["nt"].machines, 6))


def configured(root: Path, hospitals: Path) -> tuple[Experiment, Path]:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[*TINY, f"data.path='{hospitals}'", f"run_root='{root}'"])
    return check(cfg), run_path(cfg)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, hospitals: Path) -> Path:
    """The run_root of one finished run."""
    root = tmp_path_factory.mktemp("finished")
    experiment.run(*configured(root, hospitals))
    return root


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    """A copy of it, to be damaged."""
    root = tmp_path / "Müller (2024), a=b [x] #1"
    shutil.copytree(finished, root)
    return root / "nt_phase2" / "hospital_c" / "seed1000" / "roi"


@pytest.fixture
def command(hospitals: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """command(name, run, *more): what a command that must refuse says; its exit status is not 0."""

    def refused(name: str, run: Path, *more: str) -> str:
        folder = run.parents[2] if name in ("runs", "report") else run
        words = ["data=manifest", f"data.path='{hospitals}'"] if name == "evaluate" else []
        monkeypatch.chdir(tmp_path)
        with pytest.raises(SystemExit) as end:
            call(name, str(folder), *words, *more)
        assert end.value.code not in (0, None)
        return str(end.value.code)

    return refused


def cut(name: str) -> Damage:
    return lambda run: (run / name).write_bytes((run / name).read_bytes()[: (run / name).stat().st_size // 2])


def write(name: str, content: bytes) -> Damage:
    return lambda run: (run / name).write_bytes(content)


def remove(name: str) -> Damage:
    return lambda run: (run / name).unlink()


def folder(name: str) -> Damage:
    return lambda run: ((run / name).unlink(), (run / name).mkdir())


def flip(name: str, place: float) -> Damage:
    """One bit, at a share of the file's length."""

    def damage(run: Path) -> None:
        content = bytearray((run / name).read_bytes())
        content[int(place * (len(content) - 1))] ^= 1
        (run / name).unlink()  # not through the hard link
        (run / name).write_bytes(content)

    return damage


def edit(name: str, old: str, new: str) -> Damage:
    def damage(run: Path) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new, 1))

    return damage


WEIGHTS, CURVES = "checkpoints/phase2.ckpt", "history/phase1.csv"
READ_BY = {
    "run.json": ("runs", "report", "evaluate", "probes"),
    "config.yaml": ("runs", "report", "evaluate", "probes"),
    "split.csv": ("runs", "report", "evaluate", "probes"),
    "per_image.csv": ("runs", "report", "probes"),
    WEIGHTS: ("runs", "evaluate", "probes"),
    CURVES: ("runs", "report"),
}
DAMAGES: dict[str, tuple[str, Damage]] = {
    **{f"{name} {how}": (name, damage(name)) for name in READ_BY for how, damage in {
        "missing": remove, "cut": cut, "a folder": folder, "empty": lambda name: write(name, b""),
        "binary": lambda name: write(name, bytes(range(256)) * 9), "flipped early": lambda name: flip(name, 0.2),
        "flipped in the middle": lambda name: flip(name, 0.5), "flipped late": lambda name: flip(name, 0.9),
    }.items()},
    **{f"run.json content {number}": ("run.json", write("run.json", text.encode())) for number, text in enumerate((
        "[]", "null", "1", '"x"', "{}", '{"status": 1}', '{"status": "finished"}', '{"status": "done"}', "[" * 9000,
        '{"status": "finished", "seed": "1", "variant": "v", "stages": {"a": {"key": "k"}}}',
        '{"status": "finished", "seed": 1, "variant": "v", "stages": []}',
        '{"status": "finished", "seed": 1, "variant": "v", "stages": {"a": 3}, "files": {}}',
        '{"status": "finished", "seed": 1, "variant": "v", "stages": {"a": {"key": "k"}}, "files": []}',
    ))},
    "a seed changed": ("run.json", edit("run.json", '"seed": 1000', '"seed": 1001')),
    "a digit of a result": ("per_image.csv", edit("per_image.csv", "0.1", "0.7")),
    "a key less": ("config.yaml", edit("config.yaml", "batch_size: 4\n", "")),
    "a subject renamed": ("split.csv", edit("split.csv", ",hospital_c,", ",hospital_b,")),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_named_by_every_command_that_reads_it(
    name: str, run: Path, command: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    file, damage = DAMAGES[name]
    damage(run)
    before = sorted(run.parents[2].rglob("metrics.json"))
    for reader in READ_BY[file]:
        if name == "run.json missing" and reader != "evaluate":
            continue  # then it is no run, which the others say of the folder
        said = command(reader, run) + capfd.readouterr().out.replace("│", "").replace("\n", "").replace(" ", "")
        assert Path(file).name in said, reader
    assert sorted(run.parents[2].rglob("metrics.json")) == before, "no result of a damaged run"


@pytest.mark.parametrize("file", ["config.yaml", "split.csv", "per_image.csv", WEIGHTS, CURVES, "run.json"])
def test_what_was_removed_is_made_again_to_the_same_bits(file: str, run: Path, hospitals: Path, finished: Path) -> None:
    there = finished / run.relative_to(run.parents[3])
    (run / file).unlink()
    experiment.run(*configured(run.parents[3], hospitals))
    if file != "run.json":
        assert (run / file).read_bytes() == (there / file).read_bytes() or file == "config.yaml"
    assert read_json(run / "run.json")["files"].keys() == read_json(there / "run.json")["files"].keys()


@pytest.mark.parametrize("file", ["config.yaml", "split.csv", "per_image.csv", WEIGHTS, CURVES])
def test_the_same_command_refuses_what_was_damaged(file: str, run: Path, hospitals: Path) -> None:
    flip(file, 0.5)(run)
    with pytest.raises(UserError, match=rf"{Path(file).name} is damaged.*[Rr]emove"):
        experiment.run(*configured(run.parents[3], hospitals))


def test_a_run_folder_that_vanishes_while_it_is_trained_is_whole_at_the_end(
    hospitals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config, path = configured(tmp_path, hospitals)
    evaluated = experiment.evaluate_stages

    def vanish(*given: Any) -> pd.DataFrame:
        shutil.rmtree(path)
        return evaluated(*given)

    monkeypatch.setattr(experiment, "evaluate_stages", vanish)
    experiment.run(config, path)
    files = read_json(path / "run.json")["files"]
    assert {"config.yaml", "split.csv", "per_image.csv", WEIGHTS, CURVES} <= files.keys()
    assert all((path / file).is_file() for file in files)


def test_weights_saved_over_in_one_run_are_not_used_by_the_next(run: Path, hospitals: Path) -> None:
    content = torch.load(run / "checkpoints" / "phase1.ckpt", weights_only=True)
    content["state_dict"] = {key: value + 0.1 for key, value in content["state_dict"].items()}
    shutil.rmtree(run)
    (store,) = (file.parent for file in run.parents[3].glob(".stages/*/stage.json") if _epochs_of(file, "phase1"))
    with (store / "best.ckpt").open("r+b") as file:  # the file that all runs link to
        torch.save(content, file)
    with pytest.raises(UserError, match=r"best.ckpt is damaged.*the stage is trained again"):
        experiment.run(*configured(run.parents[3], hospitals))


def _epochs_of(stage: Path, name: str) -> bool:
    """Whether a folder of the store is Phase 1's: its loss has the global term alone."""
    return (list(read_json(stage)["loss_weights"]) == ["global"]) == (name == "phase1")


@pytest.mark.parametrize("content", [b"[]", b"null", b"{}", b'{"key": 1}', b"\xff", b""])
def test_a_damaged_record_of_a_stage_is_named(content: bytes, run: Path, hospitals: Path) -> None:
    shutil.rmtree(run)
    for file in run.parents[3].glob(".stages/*/stage.json"):
        file.write_bytes(content)
    with pytest.raises(UserError, match=r"stage.json is damaged"):
        experiment.run(*configured(run.parents[3], hospitals))


# Runs that somebody wrote on purpose, their sums in order


@pytest.fixture
def rewritten(run: Path, reseal: Callable[[Path], None]) -> Callable[..., Path]:
    """rewritten({"dotted.key": value}): the run with another configuration, as its author would have stored it."""

    def rewrite(changes: dict[str, Any]) -> Path:
        config = yaml.safe_load((run / "config.yaml").read_text())
        for key, value in changes.items():
            *nodes, leaf = key.split(".")
            node = config
            for one in nodes:
                node = node.setdefault(one, {})
            node[leaf] = value
        (run / "config.yaml").write_text(yaml.safe_dump(config))
        reseal(run)
        return run

    return rewrite


@pytest.fixture
def evil(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module in the working directory, and a file that is there once it was imported or called."""
    trace = tmp_path / "trace"
    code = f"import pathlib\npathlib.Path({str(trace)!r}).touch()\ndef f(*a, **k): pass\nclass Network: pass\n"
    (tmp_path / "evil_module.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))

    class Bomb:
        def __reduce__(self) -> Any:
            return os.mkdir, (str(trace),)

    (tmp_path / "bomb.pkl").write_bytes(pickle.dumps(Bomb()))
    yield trace
    sys.modules.pop("evil_module", None)


FOREIGN: list[dict[str, Any]] = [
    {"_target_": "evil_module.f"},
    {"_target_": "evil_module.Network"},
    {"_target_": "pandas.read_pickle", "filepath_or_buffer": "bomb.pkl"},
    {"_target_": "joblib.load", "filename": "bomb.pkl"},
    {"_target_": "torch.load", "f": "bomb.pkl", "weights_only": False},
    {"_target_": "numpy.load", "file": "bomb.pkl", "allow_pickle": True},
    {"_target_": "os.system", "command": "touch trace"},
    {"_target_": "subprocess.run", "args": ["touch", "trace"]},
    {"_target_": "builtins.exec", "_args_": ["open('trace', 'w')"]},
    {"_target_": "hydra.utils.get_method", "path": "evil_module.f"},
    {"_target_": "hydra.utils.instantiate", "config": {"_target_": "evil_module.f"}},
    {"_target_": "ushydra_lab.training.calls.pickle.load"},
    {"_target_": "ushydra_lab.files.write_text", "path": "trace", "text": "x"},
    {"_target_": "ushydra_lab.networks.unet.torch.load", "f": "bomb.pkl", "weights_only": False},
    {"_target_": "ushydra_lab.data.readers.dicom.Path.touch"},
    {"_target_": "ushydra_lab.losses.roi.__builtins__"},
    {"_target_": "torch.optim.lr_scheduler.warnings.warn", "message": "x"},
    {"_target_": "torch.optim.torch.load", "f": "bomb.pkl"},
    {"_target_": "lightning.pytorch.cli.LightningCLI"},
    {"_target_": ["evil_module.f"]},
    {"_target_": None},
    {"_target_": 3},
]
PLACES = {
    "network": lambda node: {"network": node},
    "task": lambda node: {"stages.phase1.task": node},
    "optimizer": lambda node: {"stages.phase1.task.optimizer": node},
    "callback": lambda node: {"stages.phase2.callbacks": {"one": node}},
    "term": lambda node: {"stages.phase2.task.terms.global": node},
    "in a list": lambda node: {"network.widths": [2, 4, 4, node]},
    "trainer": lambda node: {"trainer": node},
    "data of a stage": lambda node: {"stages.phase1.instead": {"data": node}},
    "split": lambda node: {"split": node},
    "logger": lambda node: {"logger": node},
    "augmentation": lambda node: {"augment": node},
    "unknown key": lambda node: {"anything": node},
}


@pytest.mark.parametrize("node", FOREIGN, ids=lambda node: str(node["_target_"]))
def test_nothing_that_a_run_names_is_imported_or_called(
    node: dict[str, Any], rewritten: Callable[..., Path], command: Callable[..., str], evil: Path
) -> None:
    run = rewritten({"network": node})
    for name in ("evaluate", "probes"):
        assert "config.yaml cannot be used" in command(name, run)
        assert not evil.exists()
        assert "evil_module" not in sys.modules


@pytest.mark.parametrize("place", PLACES)
def test_wherever_a_run_names_it(
    place: str, rewritten: Callable[..., Path], command: Callable[..., str], evil: Path
) -> None:
    run = rewritten(PLACES[place]({"_target_": "evil_module.f"}))
    for name in ("evaluate", "probes"):
        assert "config.yaml" in command(name, run)
    assert not evil.exists()


def test_whom_a_run_trusts_is_not_asked(
    rewritten: Callable[..., Path], command: Callable[..., str], evil: Path
) -> None:
    run = rewritten({"trust": ["evil_module"], "network": {"_target_": "evil_module.Network"}})
    for name in ("evaluate", "probes"):
        assert "trust=[evil_module]" in command(name, run)
    assert not evil.exists()


def test_who_types_the_command_may_trust_a_module(
    rewritten: Callable[..., Path], command: Callable[..., str], evil: Path
) -> None:
    run = rewritten({"network": {"_target_": "evil_module.Network"}})
    for name in ("evaluate", "probes"):  # it is imported and called; that it is no network is found out then
        assert "cannot be built" in command(name, run, "trust=[evil_module]")
        assert evil.exists()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"network.widht": [1]}, "unknown key 'network.widht'"),
        ({"name": "../../x"}, "name=../../x: it names a folder"),
        ({"variant": "a/b"}, "variant=a/b: it names a folder"),
        ({"scale": "laptop hydra=x"}, "scale="),
        ({"held_out": "${oc.env:HOME}"}, "held_out: a stored value refers to no other"),
        ({"network.widths": "${oc.decode:x}"}, "network.widths: a stored value"),
        ({"batch_size": "many"}, "batch_size"),
        ({"stages": {}}, "stages"),
        ({"stages": 3}, "config.yaml"),
        ({"data": None}, "config.yaml"),
        ({"canvas": 7}, "canvas"),
        ({"loss": []}, "loss"),
        ({"logger": "x"}, "logger"),
        ({"split.val_fraction": ""}, "split.val_fraction=''"),
        ({"stages.phase2.callbacks.calibration.cap": [1]}, "cap=[1]"),
    ],
)
def test_a_configuration_is_held_to_the_rules_of_a_new_one(
    changes: dict[str, Any], said: str, rewritten: Callable[..., Path], command: Callable[..., str]
) -> None:
    run = rewritten(changes)
    for name in ("evaluate", "probes"):
        assert said in command(name, run)


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    "text", ["&a [*a]", "[" * 5000, BOMB, "!!python/object/apply:os.system ['touch trace']", "2001-99-99", "? [a]\n: 1"]
)
def test_yaml_that_does_things_is_damaged(
    text: str, run: Path, reseal: Callable[[Path], None], command: Callable[..., str], tmp_path: Path
) -> None:
    (run / "config.yaml").write_text(text)
    reseal(run)
    for name in ("report", "evaluate", "probes"):
        assert "config.yaml is damaged" in command(name, run)
    assert not (tmp_path / "trace").exists()


def test_weights_that_are_no_numbers_are_refused(
    run: Path, reseal: Callable[[Path], None], command: Callable[..., str]
) -> None:
    content = torch.load(run / WEIGHTS, weights_only=True)
    name = next(key for key in content["state_dict"] if key.endswith("weight"))
    content["state_dict"][name][0] = float("nan")
    (run / WEIGHTS).unlink()
    torch.save(content, run / WEIGHTS)
    reseal(run)
    for reader in ("evaluate", "probes"):
        assert "holds weights that are not finite" in command(reader, run)


@pytest.mark.parametrize("content", [{"state_dict": [], "epoch": 1}, {}, [1], torch.zeros(1)])
def test_a_checkpoint_of_something_else_is_refused(
    content: Any, run: Path, reseal: Callable[[Path], None], command: Callable[..., str]
) -> None:
    (run / WEIGHTS).unlink()
    torch.save(content, run / WEIGHTS)
    reseal(run)
    assert "phase2.ckpt" in command("evaluate", run)


def test_a_pickle_among_the_weights_is_not_run(
    run: Path, reseal: Callable[[Path], None], command: Callable[..., str], evil: Path
) -> None:
    shutil.copy(evil.parent / "bomb.pkl", run / WEIGHTS)
    reseal(run)
    assert "phase2.ckpt is damaged" in command("evaluate", run)
    assert not evil.exists()


def test_a_planted_programming_error_shows_its_traceback(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ushydra_lab.runs.run.parse_summary", lambda content: content["no such key"])
    for verb in VERBS:
        words = ["data=manifest"] if verb == "evaluate" else []
        with pytest.raises(KeyError):
            call(verb, str(run.parents[2] if verb in ("runs", "report") else run), *words)


def test_a_mistake_in_a_network_s_code_shows_its_traceback(
    run: Path, hospitals: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def planted(*_: Any, **__: Any) -> None:
        raise KeyError("planted")

    monkeypatch.setattr("ushydra_lab.networks.conv_autoencoder.ConvAutoencoder.__init__", planted)
    with pytest.raises(KeyError, match="planted"):
        call("evaluate", str(run), "data=manifest", f"data.path='{hospitals}'")


# What is not damage


def test_one_damaged_run_leaves_the_tables_of_the_others(
    run: Path, command: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    other = run.parent.parent / "seed1001" / "roi"
    shutil.copytree(run, other)
    content = read_json(other / "run.json")
    write_json(other / "run.json", content | {"seed": 1001})
    flip("per_image.csv", 0.5)(run)
    assert "per_image.csv is damaged" in command("report", run)
    assert "1 seed" in (run.parents[2] / "report" / "tables.md").read_text()
    capfd.readouterr()
    command("runs", run)
    assert "2 jobs: 1 finished, 1 failed" in capfd.readouterr().out


def test_a_report_stays_within_the_folder_it_was_given(run: Path, command: Callable[..., str]) -> None:
    for below in (run, run.parent, run.parent.parent):
        with pytest.raises(SystemExit, match="is part of an experiment"):
            call("report", str(below))
    assert not (run.parents[2] / "report").exists()


def test_an_oversized_picture_is_named_and_nothing_else_is_lost(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    Image.new("1", (20000, 20000)).save(run / "figures" / "test.png")
    call("report", str(run.parents[2]))
    page = (run.parents[2] / "report" / "index.html").read_text()
    assert "test.png is damaged" in page


def test_a_received_run_is_evaluated_on_this_machine(
    rewritten: Callable[..., Path], hospitals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender's folders are not there, and may not be made."""
    run = rewritten({"cache_dir": "/nobody/cache", "run_root": "/nobody/runs"})
    monkeypatch.chdir(tmp_path)
    for more in ([], [f"cache_dir='{tmp_path}/mine'"]):
        call("evaluate", str(run), "data=manifest", f"data.path='{hospitals}'", *more)
        shutil.rmtree(next(run.glob("external/*")))
    assert (tmp_path / "multirun" / ".cache").is_dir()
    assert (tmp_path / "mine").is_dir()


def _other_weights(run: Path) -> None:
    content = torch.load(run / WEIGHTS, weights_only=True)
    content["state_dict"] = {key: value * 1.1 for key, value in content["state_dict"].items()}
    (run / WEIGHTS).unlink()
    torch.save(content, run / WEIGHTS)


def test_other_weights_are_not_taken_for_evaluated_before(
    run: Path, hospitals: Path, reseal: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["evaluate", str(run), "data=manifest", f"data.path='{hospitals}'"]
    call(*words)
    _other_weights(run)
    reseal(run)
    call(*words)
    tables = [pd.read_csv(file) for file in run.glob("external/*/per_image.csv")]
    assert len(tables) == 2
    assert not np.allclose(tables[0]["roi_mae"], tables[1]["roi_mae"])


@pytest.mark.parametrize("damage", [cut("per_image.csv"), cut("metrics.json"), remove("per_image.csv")])
def test_a_damaged_evaluation_is_named(
    damage: Damage, run: Path, hospitals: Path, command: Callable[..., str], tmp_path: Path
) -> None:
    call("evaluate", str(run), "data=manifest", f"data.path='{hospitals}'", f"cache_dir='{tmp_path}/c'")
    damage(next(run.glob("external/*")))
    assert "and evaluate again" in command("evaluate", run)


def test_a_run_of_0_2_0_is_read_and_marked(run: Path) -> None:
    content = json.loads((run / "run.json").read_text())
    del content["files"], content["checksum"]
    content["versions"]["ushydra_lab"] = "0.2.0"
    (run / "run.json").write_text(json.dumps(content))
    call("report", str(run.parents[2]))
    assert "Unverified: hospital_c/seed1000/roi" in (run.parents[2] / "report" / "tables.md").read_text()


def test_a_run_from_before_modules_moved_is_evaluated(
    run: Path, hospitals: Path, reseal: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (run / "config.yaml").read_text()
    for before, now in MOVED.items():
        text = text.replace(now, before)
    assert "ushydra_lab.callbacks.gradient_calibration" in text
    (run / "config.yaml").write_text(text)
    reseal(run)
    monkeypatch.chdir(tmp_path)
    call("evaluate", str(run), "data=manifest", f"data.path='{hospitals}'")
    assert len(list(run.glob("external/*/per_image.csv"))) == 1


def test_temporary_files_of_killed_processes_go_with_the_next_run(run: Path, hospitals: Path) -> None:
    left = [run / ".per_image.csv.0123abcd", run / ".run.json.ffffffff"]
    kept = [run / ".lock", run / "mine.0123abcd"]
    for file in [*left, *kept]:
        file.touch()
    experiment.run(*configured(run.parents[3], hospitals))
    assert not any(file.exists() for file in left)
    assert all(file.exists() for file in kept)


# Found by trying to break it


@pytest.mark.parametrize("tag", ["!!omap [a: {_target_: evil_module.f}]", "!!pairs [a: {_target_: evil_module.f}]"])
def test_what_yaml_makes_tuples_of_hides_no_target(
    tag: str, run: Path, reseal: Callable[[Path], None], command: Callable[..., str], evil: Path
) -> None:
    text = (run / "config.yaml").read_text()
    (run / "config.yaml").write_text(text.replace("widths:\n  - 2\n  - 4\n  - 4\n  - 8\n", f"widths: {tag}\n"))
    reseal(run)
    for name in ("report", "evaluate", "probes"):
        assert "config.yaml is damaged (a tuple is no value" in command(name, run)
    assert not evil.exists()


def test_merge_keys_of_yaml_are_refused_before_they_grow(
    run: Path, reseal: Callable[[Path], None], command: Callable[..., str]
) -> None:
    layers = [f"m{i}: &m{i} {{<<: [{','.join([f'*m{i - 1}'] * 9)}]}}\n" for i in range(1, 9)]
    (run / "config.yaml").write_text("m0: &m0 {k: 1}\n" + "".join(layers) + (run / "config.yaml").read_text())
    reseal(run)
    assert "merge key" in command("report", run)


@pytest.mark.parametrize("key", ["profiler", "default_root_dir", "limit_predict_batches", "fast_dev_run", "plugins"])
def test_a_trainer_neither_writes_elsewhere_nor_leaves_out_images(
    key: str, rewritten: Callable[..., Path], command: Callable[..., str]
) -> None:
    run = rewritten({f"trainer.{key}": "pytorch" if key == "profiler" else 1})
    assert f"trainer.{key}: not to be set" in command("evaluate", run)


def test_a_reader_makes_no_files_in_the_place_of_a_network(
    rewritten: Callable[..., Path], command: Callable[..., str], tmp_path: Path
) -> None:
    node = {"_target_": "ushydra_lab.data.readers.phantom.read", "root": str(tmp_path / "made"), "images_per_site": 1}
    run = rewritten({"network": node})
    assert "a reader has its place below data" in command("evaluate", run)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("choice", ["../loss/roi", "../split/random"])
def test_data_are_chosen_among_data(choice: str, run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit, match=r"no data set|no reader"):
        call("evaluate", str(run), f"data={choice}")


@pytest.mark.parametrize("file", ["run.json", "config.yaml", "split.csv", "per_image.csv", WEIGHTS, CURVES])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(
    file: str, run: Path, command: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    (run / file).unlink()
    os.mkfifo(run / file)
    for reader in READ_BY[file]:
        said = command(reader, run) + capfd.readouterr().out
        assert "no ordinary file" in " ".join(said.replace("│", "").split()), reader


def test_a_picture_that_is_no_png_starts_nothing(run: Path) -> None:
    (run / "figures" / "test.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n")
    (run / "figures" / "hardest_roi.png").unlink()
    os.mkfifo(run / "figures" / "hardest_roi.png")
    call("report", str(run.parents[2]))
    assert "test.png is damaged" in (run.parents[2] / "report" / "index.html").read_text()


@pytest.mark.parametrize("name", ["/dev/zero", "../../../x"])
def test_sums_of_files_outside_of_the_run_are_refused(
    name: str, run: Path, command: Callable[..., str], capfd: pytest.CaptureFixture[str]
) -> None:
    content = read_json(run / "run.json")
    write_json(run / "run.json", content | {"files": content["files"] | {name: "0"}})
    command("runs", run)
    assert "outside of the run" in " ".join(capfd.readouterr().out.replace("│", "").split())


@pytest.mark.parametrize("way", ["per_image.csv", "probes.json", "probes.csv"])
def test_a_folder_in_the_way_is_named(way: str, run: Path, hospitals: Path, command: Callable[..., str]) -> None:
    (run / way).unlink(missing_ok=True)
    (run / way).mkdir()
    if way == "per_image.csv":
        with pytest.raises(UserError, match="a folder lies where a file is to be"):
            experiment.run(*configured(run.parents[3], hospitals))
    else:
        assert "a folder lies where a file is to be" in command("probes", run)


@pytest.mark.parametrize("way", ["checkpoints", "figures"])
def test_a_file_in_the_way_is_named(way: str, run: Path, hospitals: Path, command: Callable[..., str]) -> None:
    shutil.rmtree(run / way)
    (run / way).touch()
    if way == "checkpoints":
        with pytest.raises(UserError, match="a file lies where a folder is to be"):
            experiment.run(*configured(run.parents[3], hospitals))
    else:
        assert "a file lies where a folder is to be" in command("probes", run)


def test_a_lock_that_is_a_folder_is_held_by_nobody(run: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (run / ".lock").unlink()
    (run / ".lock").mkdir()
    content = read_json(run / "run.json")
    write_json(run / "run.json", content | {"status": "running"})
    call("runs", str(run.parents[2]))
    assert "1 interrupted" in capfd.readouterr().out


def test_a_stage_of_other_settings_is_not_taken(run: Path, hospitals: Path) -> None:
    first, second = sorted(file.parent for file in run.parents[3].glob(".stages/*/stage.json"))
    for file in ("best.ckpt", "history.csv", "stage.json"):
        (second / file).unlink()
        shutil.copy(first / file, second / file)
    shutil.rmtree(run)
    with pytest.raises(UserError, match=r"stage.json is damaged \(it belongs to"):
        experiment.run(*configured(run.parents[3], hospitals))


@pytest.mark.parametrize("copy", ["hospital_x/seed1000/roi", "hospital_c/seed1001/roi", "hospital_c/seed1000/other"])
def test_a_copy_under_another_name_is_not_another_result(copy: str, run: Path, command: Callable[..., str]) -> None:
    shutil.copytree(run, run.parents[2] / copy)
    assert "run.json belongs to hospital_c/seed1000/roi" in command("report", run)
    assert copy in (run.parents[2] / "report" / "tables.md").read_text().partition("Not in the tables")[2]


def test_brackets_in_a_path_stay_text(
    finished: Path, hospitals: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "a[bold]b[" / "c]"
    shutil.copytree(finished, root)
    run = root / "nt_phase2" / "hospital_c" / "seed1000" / "roi"
    call("report", str(run.parents[2]))
    call("evaluate", str(run), "data=manifest", f"data.path='{hospitals}'")
    assert capfd.readouterr().out.replace("\n", "").count("a[bold]b[/c]") >= 3


def test_other_weights_are_probed_again(
    run: Path,
    reseal: Callable[[Path], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., str],
) -> None:
    monkeypatch.chdir(tmp_path)
    call("probes", str(run))
    before = read_json(run / "probes.json")
    _other_weights(run)
    reseal(run)
    call("probes", str(run))
    assert read_json(run / "probes.json")["files"] != before["files"]
    flip(WEIGHTS, 0.5)(run)
    assert "phase2.ckpt is damaged" in command("probes", run)


def test_evaluating_and_probing_a_run_of_0_2_0_says_that_it_is_unverified(
    run: Path, hospitals: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    content = json.loads((run / "run.json").read_text())
    del content["files"], content["checksum"]
    content["versions"]["ushydra_lab"] = "0.2.0"
    (run / "run.json").write_text(json.dumps(content))
    monkeypatch.chdir(tmp_path)
    call("evaluate", str(run), "data=manifest", f"data.path='{hospitals}'")
    assert "unverified" in capfd.readouterr().out
    call("probes", str(run))
    assert "unverified" in capfd.readouterr().out


@pytest.mark.parametrize("file", ["probes.json", "probes.csv"])
def test_damaged_probes_are_named_by_the_report(file: str, run: Path, command: Callable[..., str]) -> None:
    call("probes", str(run))
    cut(file)(run)
    assert f"{file} is damaged" in command("report", run)


def test_a_run_without_its_configuration_is_not_taken_for_another(run: Path, hospitals: Path) -> None:
    (run / "config.yaml").unlink()
    (run / "per_image.csv").unlink()
    experiment.run(*configured(run.parents[3], hospitals))
    (run / "config.yaml").unlink()
    config, path = configured(run.parents[3], hospitals)
    with pytest.raises(UserError, match=r"results of another configuration, its config\.yaml is gone"):
        experiment.run(replace(config, batch_size=2), path)
