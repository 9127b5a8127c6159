"""A run is read by its place and its files, each compared with its sum; what is not as it was gives no number."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ushydra_lab.data.split import LeaveSitesOut
from ushydra_lab.errors import UserError
from ushydra_lab.files import DamagedFile, read_json, write_json, write_text
from ushydra_lab.runs.run import Run, experiments_below, runs_below

from ..fake_runs import write

PARTS = pd.DataFrame({"record": range(4), "part": ["train", "val", "seen_test", "test"], "site": ["a", "a", "a", "b"]})
IMAGES = PARTS[1:].assign(psnr=[30.0, 31.0, 32.0])
SPLIT = PARTS.assign(subject=["1", "1", "2", "3"])
CONFIG = {"split": {"held_out": "b"}}


def old_run(folder: Path, **more: Any) -> Run:
    given: dict[str, Any] = {"images": IMAGES, "split": SPLIT, "config": CONFIG} | more
    return Run(write(folder, {"one": "k", "two": "l"}, **given))


@pytest.fixture
def run(tmp_path: Path, reseal: Callable[[Path], None]) -> Run:
    """With sums, as runs have had them since 0.3.0."""
    place = old_run(tmp_path / "nt" / "b" / "seed0" / "v").path
    for stage in ("one", "two"):
        write_text(place / "history" / f"{stage}.csv", "epoch,val/loss\n0,1\n")
        write_text(place / "checkpoints" / f"{stage}.ckpt", stage)
    names = ["config.yaml", "split.csv", "per_image.csv", "history/one.csv", "history/two.csv"]
    write_json(place / "run.json", read_json(place / "run.json", old=True) | {"files": dict.fromkeys(names, "")})
    reseal(place)
    return Run(place)


def test_the_place_says_what_was_held_out_and_whose_run_it_is(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for same in (run, Run(str(run.path))):
        assert (same.name, same.fold, same.experiment) == ("b/seed0/v", "b", run.path.parents[2])
    assert {run, Run(run.path)} == {run}
    assert run != run.path
    monkeypatch.chdir(run.path)
    assert (Run(".").name, Run(".").fold, Run(".").experiment) == ("b/seed0/v", "b", run.path.parents[2])
    monkeypatch.chdir(run.path.parents[2])
    assert Run("b/seed0/v").experiment == run.path.parents[2]


def test_siblings_are_the_other_finished_runs(run: Run) -> None:
    other = old_run(run.experiment / "c" / "seed0" / "v")
    write(run.experiment / "c" / "seed1" / "v", {"one": "k"}, status="failed")
    assert run.siblings == [other]
    assert other.siblings == [run]


def test_every_image_outside_training_is_in_the_table_once_a_stage(run: Run) -> None:
    assert len(run.images) == 6
    assert run.split["subject"].tolist() == ["1", "1", "2", "3"]
    assert run.curves["two"]["val/loss"].tolist() == [1]
    assert run.missing_files == []
    run.verify()


def test_a_row_that_is_lost_and_one_of_another_image_are_told_apart(tmp_path: Path) -> None:
    whole = pd.concat([IMAGES.assign(stage=stage) for stage in ("one", "two")])
    lost = old_run(tmp_path / "nt" / "b" / "seed0" / "v", images=whole[:-1])
    with pytest.raises(DamagedFile, match=r"per_image\.csv has 5 of 6 rows"):
        _ = lost.images
    other = old_run(tmp_path / "nt" / "b" / "seed1" / "v", images=whole.replace({"record": {3: 0}}))
    with pytest.raises(DamagedFile, match="its rows are not those of the run"):
        _ = other.images
    bare = old_run(tmp_path / "nt" / "b" / "seed2" / "v", images=whole.drop(columns="site"), split=SPLIT)
    with pytest.raises(DamagedFile, match=r"per_image\.csv is damaged \(no column site\)"):
        _ = bare.images


@pytest.mark.parametrize("name", ["config.yaml", "checkpoints/two.ckpt", "history/one.csv"])
def test_a_file_that_changed_or_vanished_is_named(run: Run, name: str) -> None:
    (run.path / name).write_text("other\n")
    with pytest.raises(DamagedFile, match=rf"{name} is damaged.*Copy it again"):
        run.verify()
    (run.path / name).unlink()
    assert run.missing_files == [name]
    with pytest.raises(DamagedFile, match=f"{name} is missing"):
        run.file(name)


def test_a_file_that_run_json_does_not_list_is_none_of_the_run(run: Run) -> None:
    write_text(run.path / "triage.csv", "record\n")
    with pytest.raises(DamagedFile, match=r"triage\.csv is not one of the run's files"):
        run.file("triage.csv")


def test_a_run_without_sums_is_read_and_its_weights_are_told_apart_all_the_same(tmp_path: Path) -> None:
    old = old_run(tmp_path / "nt" / "b" / "seed0" / "v")
    assert not old.verified
    assert len(old.images) == 6
    assert old.curves == {}
    assert old.missing_files == ["checkpoints/one.ckpt", "checkpoints/two.ckpt"]
    for stage in ("one", "two"):
        write_text(old.path / "checkpoints" / f"{stage}.ckpt", stage)
    assert old.missing_files == []
    assert len(set(old.weight_checksums.values())) == 2
    write_text(old.path / "history" / "one.csv", "epoch,val/loss\n0,1\n")
    assert list(Run(old.path).curves) == ["one"]


def test_weights_are_known_by_the_sums_of_the_record(run: Run) -> None:
    files = run.summary.files or {}
    assert run.weight_checksums == {stage: files[f"checkpoints/{stage}.ckpt"] for stage in ("one", "two")}


@pytest.mark.parametrize(
    ("place", "split"),
    [
        ("b/seed0/v", {"held_out": "b"}),
        ("fold1of5/seed0/v", {}),
        (f"{LeaveSitesOut(['a', 'b']).name}/seed0/v", {"held_out": ["a", "b"]}),
        (f"{LeaveSitesOut(['b'], 'a').name}/seed0/v", {"held_out": "b", "inner": "a"}),
    ],
)
def test_a_run_lies_where_its_configuration_says(tmp_path: Path, place: str, split: dict[str, Any]) -> None:
    run = old_run(tmp_path / "nt" / place, config={"split": split})
    run.refuse_misplaced()
    run.path.rename(run.path.with_name("copy"))
    with pytest.raises(DamagedFile, match=f"belongs to .*{place[-7:]}.*give its folders back their names"):
        Run(run.path.with_name("copy")).refuse_misplaced()


def test_what_is_no_run_or_not_finished_is_said(run: Run, tmp_path: Path) -> None:
    run.require_finished()
    with pytest.raises(UserError, match="does not exist"):
        Run(tmp_path / "nowhere").require_finished()
    with pytest.raises(UserError, match="is no run directory"):
        Run(tmp_path).require_finished()
    running = write(run.experiment / "b" / "seed1" / "v", {"one": "k"}, status="running")
    with pytest.raises(UserError, match=r"is not finished \(running\)"):
        Run(running).require_finished()


def test_images_are_declared_free_of_names_then_or_later(tmp_path: Path) -> None:
    place = tmp_path / "nt" / "b"
    assert old_run(place / "seed0" / "v", config=CONFIG | {"deidentified": True}).deidentified
    assert not old_run(place / "seed1" / "v").deidentified
    assert not old_run(place / "seed2" / "v", config=CONFIG | {"deidentified": "yes"}).deidentified
    assert old_run(place / "seed3" / "v", deidentified=True).deidentified
    assert not old_run(place / "seed4" / "v", config=CONFIG | {"deidentified": True}, deidentified=False).deidentified


def test_runs_are_found_from_above_and_from_within(run: Run, tmp_path: Path) -> None:
    (run.path / "seedling" / "x").mkdir(parents=True)
    write_json(run.path / "seedling" / "x" / "run.json", {"status": "running"})
    for folder in (tmp_path, run.experiment, run.path.parents[1], run.path.parent, run.path):
        assert runs_below(folder) == [run]
    assert runs_below(tmp_path / "nowhere") == []


def test_experiments_are_named_as_a_whole(run: Run, tmp_path: Path) -> None:
    other = old_run(tmp_path / "brain" / "b" / "seed0" / "v")
    assert experiments_below([tmp_path]) == {other.experiment: [other], run.experiment: [run]}
    assert experiments_below([run.experiment]) == {run.experiment: [run]}
    with pytest.raises(UserError, match="is part of an experiment"):
        experiments_below([run.path.parent])
    with pytest.raises(UserError, match=r"No run below \S*nowhere, \S*empty\."):
        experiments_below([run.experiment, tmp_path / "nowhere", tmp_path / "empty"])
