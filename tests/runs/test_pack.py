"""A run that is packed to be passed on: nothing private is in it, and a colleague can do with it what one does."""

import shutil
from collections.abc import Callable
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

from ushydra_lab import experiment
from ushydra_lab.config.identity import WITHHELD, determining
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.stored import AS_STORED, Local, on_this_machine
from ushydra_lab.config.validation import check
from ushydra_lab.errors import UserError
from ushydra_lab.evaluation.external import evaluate
from ushydra_lab.evaluation.finished import own_images, seen_sites
from ushydra_lab.files import read_json
from ushydra_lab.probes.finished import probe
from ushydra_lab.report.build import report
from ushydra_lab.runs.pack import KEPT, numbered, pack, without_names, without_paths
from ushydra_lab.runs.run import Run, runs_below
from ushydra_lab.runs.stored_experiment import check_stored
from ushydra_lab.training import assembly

from ..forked import ForkServer

END_POINTS = [f"{end}_{axis}" for end in ("ofd_1", "ofd_2", "bpd_1", "bpd_2") for axis in "xy"]
ENDS = np.array([5.0, 15, 35, 15, 20, 5, 20, 24])
SMALL = ["+experiment=biometry_stage3", "arm=biometry/audited", "scale=laptop", "logger.mode=disabled"]
SMALL += ["panel_images=1", "canvas=[32,32]", "network.widths=[2,4,4]", "stages.train.max_epochs=2", "held_out=c"]


def configured(root: Path, manifest: Path, *more: str) -> tuple[dict[str, Any], Path]:
    register_resolvers()
    places = ["data=manifest", f"data.path='{manifest}'", f"run_root='{root}'", f"cache_dir='{manifest.parent}/cache'"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[*SMALL, *places, *more])
    return check(cfg), run_path(cfg)


def packed_copy(run: Run, out: Path) -> Path:
    """As `runs pack` makes it."""
    return pack(run, out, lambda one: seen_sites(one, on_this_machine(check_stored(one), AS_STORED)))


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three hospitals, two images a subject, names that must not show; and a run of them."""
    root, rng, rows = tmp_path_factory.mktemp("original"), np.random.default_rng(0), []
    for site, count in {"a": 12, "b": 12, "c": 4}.items():
        (root / site).mkdir()
        for index in range(count):
            name = f"{site}/Jane-Doe-scan-{index}.png"
            Image.fromarray(rng.integers(0, 256, (30, 40), dtype=np.uint8)).save(root / name)
            rows.append({"image": name, "site": site, "subject": f"JaneDoe{index // 2}"})
    ends = pd.DataFrame(ENDS + rng.normal(0, 0.3, (len(rows), len(ENDS))), columns=END_POINTS)
    pd.DataFrame(rows).join(ends).to_csv(root / "images.csv", index=False)
    experiment.run(*configured(root / "runs", root / "images.csv"))
    return root


@pytest.fixture
def manifest(original: Path, tmp_path: Path) -> Path:
    """The images, and the run beside them, in a place of this test's own."""
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    return tmp_path / "images.csv"


@pytest.fixture
def run(manifest: Path, tmp_path: Path) -> Run:
    return Run(configured(tmp_path / "runs", manifest)[1])


@pytest.fixture
def packed(run: Run, tmp_path: Path) -> Run:
    return Run(packed_copy(run, tmp_path / "packed"))


def test_no_path_subject_or_file_name_is_in_a_packed_run(packed: Run, run: Run, original: Path, tmp_path: Path) -> None:
    folder = tmp_path / "packed"
    for file in (file for file in folder.rglob("*") if file.is_file()):
        content = file.read_bytes() + str(file.relative_to(folder)).encode()
        for secret in (str(tmp_path), str(original), "Doe", "scan", "images.csv'", ".png"):
            assert secret.encode() not in content, f"{secret} in {file}"
    assert b"Doe" in (run.path / "split.csv").read_bytes()
    assert not (packed.path / "figures").exists()
    assert "paths, in config.yaml: data.path, " in (folder / "README.txt").read_text()


def test_pictures_are_packed_only_of_images_declared_free_of_names(manifest: Path, tmp_path: Path) -> None:
    config, path = configured(tmp_path / "others", manifest, "deidentified=true", "stages.train.max_epochs=1")
    experiment.run(config, path)
    made = packed_copy(Run(path), tmp_path / "packed")
    assert (made / "figures" / "test.png").read_bytes() == (path / "figures" / "test.png").read_bytes()


def test_numbers_weights_and_who_is_one_subject_stay(packed: Run, run: Run) -> None:
    packed.verify()
    pd.testing.assert_frame_equal(packed.images, run.images)
    pd.testing.assert_frame_equal(packed.curves["train"], run.curves["train"])
    ours, theirs = (torch.load(one.weights("train"), weights_only=True)["state_dict"] for one in (packed, run))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    pairs = set(zip(packed.split["subject"], run.split["site"] + run.split["subject"], strict=True))
    assert len(pairs) == packed.split["subject"].nunique() == 14
    assert packed.split["image"].tolist() == [str(record) for record in packed.split["record"]]
    assert packed.summary.metrics == run.summary.metrics


def test_a_training_state_in_a_checkpoint_stays_behind(
    run: Run, tmp_path: Path, reseal: Callable[[Path], None]
) -> None:
    file = run.path / "checkpoints" / "train.ckpt"
    content = torch.load(file, weights_only=True)
    file.unlink()  # a second name of the stage store's
    torch.save(content | {"callbacks": {"ModelCheckpoint": {"dirpath": str(tmp_path)}}}, file)
    reseal(run.path)
    weights = Run(packed_copy(Run(run.path), tmp_path / "packed")).weights("train")
    assert str(tmp_path).encode() not in weights.read_bytes()
    assert torch.load(weights, weights_only=True).keys() <= KEPT


@pytest.mark.usefixtures("pca_for_umap")
def test_a_colleague_evaluates_reports_and_probes(
    packed: Run, run: Run, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = ["data=manifest", f"data.path='{manifest}'"]
    means = {one: read_json(evaluate(one, other) / "metrics.json") for one in (packed, run)}
    assert means[packed]["metrics"] == means[run]["metrics"]
    assert means[packed]["never_seen"] == ["c"]
    report(packed.experiment)
    assert "held out: c" in (packed.experiment / "report" / "tables.md").read_text()
    assert "Jane" not in (packed.experiment / "report" / "index.html").read_text()
    monkeypatch.setattr(assembly, "_manifests", {})
    content, _ = probe(packed, "full", other, Local.of([f"data.path='{manifest}'"]))
    assert content is not None


def test_the_commands_take_the_folder_itself(
    packed: Run, manifest: Path, fork_server: ForkServer, tmp_path: Path
) -> None:
    for words in (["evaluate", "packed", "data=manifest", f"data.path={manifest}"], ["report", "packed"]):
        status, said = fork_server.run(words, tmp_path)
        assert status == 0, said


def test_the_same_command_finds_it_finished_or_says_what_differs(
    packed: Run, run: Run, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(assembly, "_manifests", {})
    before = (packed.path / "run.json").read_bytes()
    config, path = configured(tmp_path / "packed", manifest)
    assert path == packed.path
    experiment.run(config, path)
    assert (packed.path / "run.json").read_bytes() == before
    config, _ = configured(tmp_path / "packed", manifest, "batch_size=3")
    with pytest.raises(UserError, match="batch_size: 8 there, 3 now"):
        experiment.run(config, path)
    table = pd.read_csv(manifest)
    table.assign(ofd_1_x=table["ofd_1_x"] + 1).to_csv(manifest, index=False)
    monkeypatch.setattr(assembly, "_manifests", {})
    with pytest.raises(UserError, match="finished with other images, annotations"):
        experiment.run(configured(tmp_path / "packed", manifest)[0], path)


def test_its_own_images_are_known_by_who_is_one_subject(
    packed: Run, manifest: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = on_this_machine(check_stored(packed), Local.of([f"data.path='{manifest}'"]))
    assert len(own_images(packed, config).part) == 28
    table = pd.read_csv(manifest)
    table.loc[0, "subject"] = "JaneDoe5"
    table.to_csv(manifest, index=False)
    monkeypatch.setattr(assembly, "_manifests", {})
    with pytest.raises(UserError, match="another site, subject or part"):
        own_images(packed, config)


def test_without_its_data_it_says_which_key_is_to_be_told(packed: Run) -> None:
    with pytest.raises(UserError, match=r"no such manifest.*data\.path="):
        own_images(packed, on_this_machine(check_stored(packed), AS_STORED))
    assert seen_sites(packed, packed.config) == {"a", "b"}


def test_what_is_damaged_after_packing_is_named(packed: Run) -> None:
    (packed.path / "split.csv").write_text("record,image,site,subject,part\n")
    with pytest.raises(UserError, match=r"split\.csv is damaged"):
        Run(packed.path).verify()


def test_nothing_that_exists_is_overwritten(packed: Run, run: Run, tmp_path: Path) -> None:
    before = {file: file.read_bytes() for file in (tmp_path / "packed").rglob("*") if file.is_file()}
    with pytest.raises(UserError, match="packed exists"):
        packed_copy(run, tmp_path / "packed")
    assert before == {file: file.read_bytes() for file in (tmp_path / "packed").rglob("*") if file.is_file()}
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file exists"):
        packed_copy(run, tmp_path / "file")
    (tmp_path / "empty").mkdir()
    packed_copy(run, tmp_path / "empty")
    (empty,) = runs_below(tmp_path / "empty")
    empty.verify()
    with pytest.raises(UserError, match="part of the experiment"):
        packed_copy(run, run.experiment / "packed")
    assert [one.path for one in runs_below(run.experiment)] == [run.path]


def test_an_unfinished_or_damaged_run_is_not_packed(run: Run, tmp_path: Path) -> None:
    (run.path / "per_image.csv").write_text("stage,part\n")
    with pytest.raises(UserError, match=r"per_image\.csv is damaged"):
        packed_copy(Run(run.path), tmp_path / "packed")
    (run.path / "run.json").unlink()
    with pytest.raises(UserError, match=r"no run\.json"):
        packed_copy(Run(run.path), tmp_path / "packed")
    assert not list(tmp_path.glob("*packed*"))


def test_a_run_can_be_packed_only_where_it_can_be_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="Cannot write below"):
        packed_copy(run, tmp_path / "file" / "packed")


def test_the_same_name_at_two_sites_is_two_subjects() -> None:
    split = pd.DataFrame({"site": ["a", "a", "b", "a"], "subject": ["1", "2", "1", "1"]})
    assert numbered(split).tolist() == ["1", "2", "3", "1"]


def test_groups_stay_behind_since_a_rare_one_may_tell_who_somebody_is() -> None:
    split = pd.DataFrame({"record": [0], "image": ["x.png"], "site": ["a"], "subject": ["Doe"], "group_age": ["44"]})
    assert list(without_names(split)) == ["record", "image", "site", "subject"]


def test_paths_are_withheld_wherever_they_stand() -> None:
    own = {"_target_": "x.read", "root": "relative/Doe", "images": {"a": "Doe"}, "cache": "/me/c/converted", "frame": 1}
    config = {
        "run_root": "/me", "cache_dir": "/me/c", "logger": {"mode": "offline", "entity": "jane", "dir": "x"},
        "data": own, "network": {"weights": "/me/vit", "width": 2},
        "stages": {"pretrain": {"instead": {"data": {"path": "Doe.csv", "cache": "/me/c"}}}},
    }  # fmt: skip
    shared = without_paths(config)
    assert shared["data"] == own | {
        "root": WITHHELD, "images": {"a": WITHHELD}, "cache": "multirun/.cache/converted"
    }  # fmt: skip
    assert shared["network"] == {"weights": WITHHELD, "width": 2}
    assert shared["logger"] == {"mode": "offline"}
    assert shared["stages"]["pretrain"]["instead"]["data"] == {"path": WITHHELD, "cache": "multirun/.cache"}
    assert "/me" not in yaml.safe_dump(shared)
    assert determining(shared | {"network": {}}) == determining(config | {"network": {}})


def test_weights_that_a_network_began_with_are_told_anew(run: Run) -> None:
    stored = replace(check_stored(run), network={"weights": WITHHELD, "width": 2})
    told = on_this_machine(stored, Local.of(["network.weights='/here/vit'"]))
    assert told.network == {"weights": "/here/vit", "width": 2}
