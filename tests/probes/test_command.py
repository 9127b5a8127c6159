"""The command probes finished runs once, from their own images, and says why where it does not."""

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from ushydra_lab import experiment
from ushydra_lab.commands.probes import main, probe_all
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.stored import AS_STORED
from ushydra_lab.config.validation import check
from ushydra_lab.errors import UserError
from ushydra_lab.files import read_json, sha256, write_json
from ushydra_lab.probes import finished
from ushydra_lab.triage import Covariance

pytestmark = pytest.mark.usefixtures("pca_for_umap")


def probes(
    folders: list[Path],
    covariance: Covariance = "ledoit_wolf",
    against: list[str] | None = None,
    perturbation: float | None = None,
) -> None:
    probe_all(folders, covariance, against or [], AS_STORED, perturbation)


def train(table: pd.DataFrame, root: Path, name: str) -> Path:
    """A run of the two-phase experiment, an epoch each, on a manifest of the table."""
    register_resolvers()
    table.to_csv(root / f"{name}.csv", index=False)
    small = ["scale=laptop", "logger.mode=disabled", "panel_images=1", f"run_root='{root / name}'", "loss=global"]
    small += ["canvas=[161,176]", "network.widths=[4,8]", "network.latent_dim=6", "data=manifest", "held_out=c"]
    small += ["stages.phase1.max_epochs=1", "stages.phase2.max_epochs=1", f"data.path='{root / name}.csv'"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=["+experiment=nt_phase2", *small])
    experiment.run(check(cfg), run_path(cfg))
    return run_path(cfg)


@pytest.fixture
def table(write_images: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    return write_images({"a": 8, "b": 8, "c": 5})


def test_a_run_is_probed_once_and_again_when_its_weights_are_others(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(table, tmp_path, "runs")
    probes([tmp_path / "runs"])
    first = (run / "probes.csv").read_bytes(), (run / "probes.json").read_bytes()
    images, content = pd.read_csv(run / "probes.csv"), json.loads(first[1])
    own = pd.read_csv(run / "per_image.csv").set_index(["stage", "record"])["roi_edge_mae"]
    probed = images[(images["feature"] == "z") & (images["part"] != "train")]
    true = probed.set_index(["stage", "record"])["roi_edge_mae"]
    pd.testing.assert_series_equal(true.sort_index(), own.sort_index(), rtol=1e-4)
    assert content["images"] == {"train": 14, "val": 2, "test": 5}
    assert {stage: list(features) for stage, features in content["stages"].items()} == {
        stage: ["z", "roi", "texture"] for stage in ("phase1", "phase2")
    }
    assert not {"subject", "image"} & set(images)

    with monkeypatch.context() as patch:
        patch.setattr(finished, "_measure", lambda *_: pytest.fail("measured again"))
        probes([run])
    (run / "probes.json").unlink()
    probes([run])
    assert first == ((run / "probes.csv").read_bytes(), (run / "probes.json").read_bytes())

    summary = read_json(run / "run.json", "")
    summary["stages"]["phase2"]["key"] = "other weights"
    write_json(run / "run.json", summary)
    capsys.readouterr()
    probes([run])
    assert "probed: " in capsys.readouterr().out

    split = pd.read_csv(run / "split.csv", dtype=str)
    split.assign(part=split["part"].replace({"val": "train"})).to_csv(run / "split.csv", index=False)
    with pytest.raises(UserError, match=r"split\.csv is damaged \(not as it was written"):
        probes([run], "empirical")
    summary["files"]["split.csv"] = sha256(run / "split.csv")
    write_json(run / "run.json", summary)
    with pytest.raises(UserError, match=r"another site, subject or part than in its split\.csv"):
        probes([run], "empirical")


def test_what_is_damaged_or_lost_is_made_again_and_nothing_else(
    table: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = train(table, tmp_path, "runs")
    probes([run])
    picture, names = run / "figures" / "interpolation.png", ("probes.csv", "probes.json")
    first, drawn = [(run / name).read_bytes() for name in names], picture.read_bytes()
    for name in names:
        (run / name).write_bytes((run / name).read_bytes()[:-20])
        probes([run])
        assert first == [(run / name).read_bytes() for name in names]
    picture.unlink()
    monkeypatch.setattr(finished, "_measure", lambda *_: pytest.fail("measured again"))
    capsys.readouterr()
    probes([run])
    assert "; drawn: " in capsys.readouterr().out
    assert drawn == picture.read_bytes()
    moved = run / "figures" / "perturbation.png"
    before = moved.read_bytes()
    probes([run])
    assert before == moved.read_bytes()
    probes([run], perturbation=3.0)
    assert before != moved.read_bytes()


@pytest.mark.parametrize("size", ["0", "-1", "nan", "inf", "much"])
def test_a_size_that_is_none_is_refused(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["multirun", f"--perturbation={size}"])
    assert "--perturbation" in capsys.readouterr().err


def test_noise_for_unseen_images_changes_no_number_of_the_others(
    table: pd.DataFrame, tmp_path: Path, write_images: Callable[..., pd.DataFrame]
) -> None:
    probes([(clean := train(table, tmp_path, "clean"))])
    write_images({"c": 5}, seed=99)
    probes([(poisoned := train(table, tmp_path, "poisoned"))])
    before, after = (pd.read_csv(run / "probes.csv") for run in (clean, poisoned))
    seen = before["part"] != "test"
    assert before[seen].equals(after[seen])
    assert not before[~seen].equals(after[~seen])


def test_other_images_need_no_annotation_and_are_kept_apart(table: pd.DataFrame, tmp_path: Path) -> None:
    run = train(table, tmp_path, "runs")
    bare = table.loc[table["site"] == "c", ["image", "site", "subject"]]
    bare.to_csv(tmp_path / "other.csv", index=False)
    probes([run], against=["data=manifest", f"data.path='{tmp_path}/other.csv'"])
    (file,) = (run / "external").glob("manifest-*/probes.json")
    assert not (run / "probes.json").exists()
    assert not (run / "figures" / "interpolation.png").exists()
    probes([run])
    alone, own = (json.loads(path.read_text())["stages"]["phase2"]["z"] for path in (file, run / "probes.json"))
    assert alone["knn_auroc"] == own["knn_auroc"]  # the same images by another way
    assert "quality_r2" in own.keys() - alone.keys()
    units = pd.read_csv(file.with_suffix(".csv")).drop_duplicates(["part", "record"])
    assert units["unit"].nunique() == len(pd.concat([table[table["site"] != "c"], bare]).groupby(["site", "subject"]))


def test_a_run_that_cannot_be_probed_stops_no_other_and_is_named_at_the_end(
    table: pd.DataFrame, tmp_path: Path
) -> None:
    broken, run = train(table, tmp_path, "broken"), train(table, tmp_path, "sound")
    (broken / "checkpoints" / "phase1.ckpt").write_bytes(b"torn")
    with pytest.raises(UserError, match=r"not probed\n  - .*broken.*phase1.ckpt is damaged"):
        probes([tmp_path / "broken", tmp_path / "sound"])
    assert (run / "probes.json").exists()


def test_a_folder_without_a_finished_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no finished run to probe"):
        probes([tmp_path])
    (tmp_path / "run.json").write_text('{"status": "running"}')
    with pytest.raises(UserError, match="no finished run to probe"):
        probes([tmp_path])
