"""A finished run on other images; and what it was trained on, which must be what it is measured on."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from ushydra_lab import experiment
from ushydra_lab.config.identity import to_yaml
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.schema import OwnSettings
from ushydra_lab.config.validation import check
from ushydra_lab.errors import UserError
from ushydra_lab.evaluation.external import evaluate
from ushydra_lab.evaluation.finished import own_images, seen_sites
from ushydra_lab.runs.run import Run
from ushydra_lab.runs.stored_experiment import check_stored
from ushydra_lab.training import assembly

END_POINTS = [f"{end}_{axis}" for end in ("ofd_1", "ofd_2", "bpd_1", "bpd_2") for axis in "xy"]
ENDS = np.array([5.0, 15, 35, 15, 20, 5, 20, 24])


@pytest.fixture
def table(write_images: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    found = write_images({"a": 12, "b": 12, "c": 3})[["image", "site", "subject"]]
    jitter = np.random.default_rng(0).normal(0, 0.3, (len(found), len(ENDS)))
    return found.join(pd.DataFrame(ENDS + jitter, columns=END_POINTS))


@pytest.fixture
def read_anew(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """As a process of its own would, which remembers no manifest."""
    return lambda: monkeypatch.setattr(assembly, "_manifests", {})


@pytest.fixture
def run(table: pd.DataFrame, tmp_path: Path) -> Path:
    """A finished run with a label audit, trained for an epoch on images.csv."""
    table.to_csv(tmp_path / "images.csv", index=False)
    register_resolvers()
    small = ["scale=laptop", "logger.mode=disabled", "panel_images=1", f"run_root='{tmp_path}/runs'", "held_out=c"]
    small += ["canvas=[32,32]", "network.widths=[2,4,4]", "stages.train.max_epochs=1", "data=manifest"]
    small += [f"data.path='{tmp_path}/images.csv'", f"cache_dir='{tmp_path}/cache'"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=["+experiment=biometry_stage3", "arm=biometry/audited", *small])
    experiment.run(check(cfg), run_path(cfg))
    return run_path(cfg)


def test_a_run_with_a_label_audit_is_evaluated_on_every_image(run: Path, table: pd.DataFrame, tmp_path: Path) -> None:
    implausible = table.assign(bpd_1_x=table["ofd_1_x"], bpd_1_y=table["ofd_1_y"] + 1)
    implausible.to_csv(tmp_path / "other.csv", index=False)
    folder = evaluate(Run(run), ["data=manifest", f"data.path='{tmp_path}/other.csv'"])
    assert pd.read_csv(folder / "per_image.csv")["record"].tolist() == list(range(27))
    assert json.loads((folder / "metrics.json").read_text())["never_seen"] == ["c"]


def test_sites_of_pre_training_are_seen(
    run: Path, table: pd.DataFrame, tmp_path: Path, reseal: Callable[[Path], None]
) -> None:
    table.assign(site="d").iloc[:3].to_csv(tmp_path / "other.csv", index=False)
    experiment = check_stored(Run(run))
    data = {"_target_": "ushydra_lab.data.readers.manifest_csv.read", "path": str(tmp_path / "other.csv")}
    split = {"_target_": "ushydra_lab.data.split.Random", "val_fraction": 0.4}
    assert seen_sites(Run(run), experiment) == {"a", "b"}
    pretrain = replace(experiment.stages["train"], instead=OwnSettings(data=data, split=split))
    longer = replace(experiment, stages={"pretrain": pretrain, **experiment.stages})
    assert seen_sites(Run(run), longer) == {"a", "b", "d"}
    (run / "config.yaml").write_text(to_yaml(longer.as_dict()))
    (run / "checkpoints" / "pretrain.ckpt").write_bytes((run / "checkpoints" / "train.ckpt").read_bytes())
    reseal(run)
    folder = evaluate(Run(run), ["data=manifest", f"data.path='{tmp_path}/other.csv'"])
    assert json.loads((folder / "metrics.json").read_text())["never_seen"] == []


def test_a_runs_own_images_are_those_of_its_split(run: Path, read_anew: Callable[[], None]) -> None:
    read_anew()
    data = own_images(Run(run), check_stored(Run(run)))
    assert data.split_table()["part"].tolist() == pd.read_csv(run / "split.csv")["part"].tolist()


def test_other_images_than_the_runs_are_refused_with_what_differs(
    run: Path, table: pd.DataFrame, tmp_path: Path, read_anew: Callable[[], None]
) -> None:
    def refused(reason: str) -> None:
        read_anew()
        with pytest.raises(UserError, match=rf"(?s)not the images of the run.*run_root=FOLDER.*{reason}"):
            own_images(Run(run), check_stored(Run(run)))

    (tmp_path / "images.csv").write_text(table.iloc[:-1].to_csv(index=False))
    refused(r"split\.csv has 27 images, now there are 26")
    table.assign(subject=table["subject"].replace("1", "one")).to_csv(tmp_path / "images.csv", index=False)
    refused(r"\d+ of 27 have another site, subject or part")
    table.assign(ofd_1_x=table["ofd_1_x"] + 0.5).to_csv(tmp_path / "images.csv", index=False)
    refused("annotations are not those")
    table.to_csv(tmp_path / "images.csv", index=False)
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(tmp_path / "c" / "0.png")
    refused("images or annotations are not those")
