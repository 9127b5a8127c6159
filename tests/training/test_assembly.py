"""A stage with images of its own learns from none that the experiment holds out; else no job starts."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers
from ushydra_lab.config.validation import check
from ushydra_lab.errors import UserError
from ushydra_lab.training.assembly import parallel, rehearse
from ushydra_lab.training.ddp import RankDDP

SPLITS = "ushydra_lab.data.split"
RANDOM = f"split: {{_target_: {SPLITS}.Random}}"
MANIFEST = "data: {{_target_: ushydra_lab.data.readers.manifest_csv.read, path: '{}'}}"


def prepare(manifest: Path, *overrides: str, phase1: str = "", phase2: str = "") -> None:
    """What is checked before a job of two stages, held_out=c; phase1, phase2: what each has `instead`."""
    register_resolvers()
    small = ["scale=laptop", "network.widths=[2,4]", "network.latent_dim=4", "canvas=[161,176]", "held_out=c"]
    small += ["data=manifest", f"data.path='{manifest}'", f"cache_dir='{manifest.parent / 'cache'}'"]
    small += [f"+stages.{name}.instead={{{own}}}" for name, own in {"phase1": phase1, "phase2": phase2}.items() if own]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        rehearse(check(compose("config", overrides=["+experiment=nt_phase2", *small, *overrides])))


@pytest.fixture
def table(write_images: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    return write_images({"a": 12, "b": 12, "c": 7})


@pytest.fixture
def manifest(table: pd.DataFrame, tmp_path: Path) -> Path:
    table.to_csv(tmp_path / "images.csv", index=False)
    return tmp_path / "images.csv"


def test_pre_training_on_the_held_out_site_is_refused_for_every_stage_at_once(manifest: Path) -> None:
    found = r"trains or selects on 7 images of the test part, or on others of their subjects \(c: 7\)"
    expected = rf"(?s)holds out.*Without its own `split`.*phase1\.instead: {found}.*phase2\.instead: {found}"
    with pytest.raises(UserError, match=expected):
        prepare(manifest, phase1=RANDOM, phase2=RANDOM)


def test_the_same_images_by_another_way_are_recognised(manifest: Path, table: pd.DataFrame) -> None:
    renamed = table.assign(site="elsewhere", subject="x" + table["site"] + table["subject"])
    renamed.to_csv(manifest.with_name("renamed.csv"), index=False)
    with pytest.raises(UserError, match=r"7 images of the test part.*\(c: 7\)"):
        prepare(manifest, phase1=f"{MANIFEST.format(manifest.with_name('renamed.csv'))}, {RANDOM}")


def test_other_images_of_held_out_subjects_are_refused_within_a_data_set_only(
    manifest: Path, table: pd.DataFrame, write_images: Callable[..., pd.DataFrame]
) -> None:
    second = write_images({"a": 12, "b": 12, "c": 3}, seed=1)
    for image in second["image"]:
        (manifest.parent / image).rename((manifest.parent / image).with_suffix(".second.png"))
    second["image"] = second["image"].str.replace(".png", ".second.png")
    write_images({"a": 12, "b": 12, "c": 7})
    for name, rows in {"all": pd.concat([second, table[table["site"] == "a"].head(1)]), "second": second}.items():
        rows.to_csv(manifest.with_name(f"{name}.csv"), index=False)
    with pytest.raises(UserError, match=r"others of their subjects \(c: 3\)"):
        prepare(manifest, phase1=f"{MANIFEST.format(manifest.with_name('all.csv'))}, {RANDOM}")
    prepare(manifest, phase1=f"{MANIFEST.format(manifest.with_name('second.csv'))}, {RANDOM}")


def test_a_held_out_image_that_the_task_cannot_use_stays_unseen_too(manifest: Path, table: pd.DataFrame) -> None:
    boxes = ["nt_x1", "nt_y1", "nt_x2", "nt_y2"]
    without = table.assign(**{c: table[c].mask(table.index >= 27) for c in boxes})  # the last four of c
    without.to_csv(manifest, index=False)
    table.to_csv(manifest.with_name("boxed.csv"), index=False)
    boxed = MANIFEST.format(manifest.with_name("boxed.csv"))
    with pytest.raises(UserError, match=r"\(c: 7\)"):
        prepare(manifest, phase1=f"{boxed}, {RANDOM}")


def test_training_on_images_that_select_is_refused_but_selecting_on_the_same_is_not(manifest: Path) -> None:
    own = f"split: {{{{_target_: {SPLITS}.LeaveOneSiteOut, held_out: c, val_fraction: {{}}}}}}"
    with pytest.raises(UserError, match=r"trains on \d images of the val part.*\((a|b): "):
        prepare(manifest, phase1=own.format(0.05))
    prepare(manifest, phase1=own.format(0.15))
    prepare(manifest, phase1="oversample: null")


def test_every_job_of_a_sweep_is_compared(manifest: Path) -> None:
    own = f"split: {{_target_: {SPLITS}.LeaveOneSiteOut, held_out: c}}"
    prepare(manifest, phase1=own)
    with pytest.raises(UserError, match=r"test part.*\(b: 12\)"):
        prepare(manifest, "held_out=b", phase1=own)


def test_several_devices_share_one_fit_and_all_else_is_done_on_the_first() -> None:
    for devices in (1, "1", [3]):
        assert parallel({"devices": devices, "strategy": "ddp_spawn"}, fits=True) == {}
    for strategy, unused in (("auto", False), ("ddp", False), ("ddp_find_unused_parameters_true", True)):
        found = parallel({"devices": 2, "strategy": strategy}, fits=True)
        assert isinstance(found["strategy"], RankDDP)
        assert found["strategy"]._ddp_kwargs == {"find_unused_parameters": unused}
        assert found["use_distributed_sampler"] is False, "the lab's own sampler shares the images"
    assert isinstance(parallel({"devices": [1, 3]}, fits=True)["strategy"], RankDDP)
    assert parallel({"devices": 2}, fits=False) == {"devices": 1, "strategy": "auto"}
    assert parallel({"devices": [1, 3]}, fits=False) == {"devices": [1], "strategy": "auto"}
