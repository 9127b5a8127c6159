"""Every job of a sweep has a directory of its own, whichever components are swept."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, open_dict

from ushydra_lab.commands.train import with_scale
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.errors import UserError
from ushydra_lab.sweep.sweeper import expand
from ushydra_lab.training import assembly


def expanded(experiment: str, *typed: str, scale: str = "laptop") -> list[list[str]]:
    """The words of all jobs that a command starts."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        start = [f"+experiment={experiment}", f"scale={scale}"]
        config = compose("config", overrides=start, return_hydra_config=True)
        with open_dict(config):
            config.hydra.overrides.task = [*start, *typed]
        return expand(config)


def jobs(experiment: str, *typed: str) -> list[DictConfig]:
    """The configurations of all jobs that a command starts."""
    words = expanded(experiment, *typed)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return [compose("config", overrides=job) for job in words]


@pytest.mark.parametrize(
    ("experiment", "typed", "variants"),
    [
        ("nt_phase2", "", "global roi"),
        ("nt_phase2", "weighting=unit", "global roi"),
        ("nt_calibration", "", "calibrated unit manual uncertainty gradnorm"),
        ("nt_calibration", "weighting=unit,manual seed=1", "unit manual"),
        ("nt_calibration", "weighting=unit loss=l1,roi", "unit-l1 unit-roi"),
        ("nt_phase2", "weighting=calibrated,unit", "global-calibrated global-unit roi-calibrated roi-unit"),
        ("nt_phase2", "loss=roi weighting=glob(u*)", "roi-uncertainty roi-unit"),
        ("nt_phase2", "loss=l1 weighting=unit seed=1,2", "l1 l1"),
        ("nt_phase2", "loss=roi data=hc18,role_challenge", "roi-hc18 roi-role_challenge"),
        ("nt_phase2", "loss=roi split=random,official", "roi roi"),
        ("nt_phase2", "loss=roi held_out=hospital_a,hospital_b", "roi roi"),
        ("nt_phase2", "loss=roi scale=laptop,paper", "roi-laptop roi-paper"),
        ("nt_phase2", "loss=roi weighting=unit,manual network=unet,vit",
         "roi-unit-unet roi-unit-vit roi-manual-unet roi-manual-vit"),
        ("brain_attention_unet", "network=unet,segnet", "hybrid-unet hybrid-segnet"),
        ("brain_csp_only", "loss=ce,dice structures=[csp],[csp,lv]", "csp-ce csp-dice csp+lv-ce csp+lv-dice"),
        ("biometry_stage3", "arm=biometry/stage2,biometry/angle loss=heatmap,coordinates",
         "stage2-heatmap stage2-coordinates angle-heatmap angle-coordinates"),
        ("hydra_unet", "arm=hydra/soft network=hydra_unet,unet", "soft-hydra_unet soft-unet"),
        ("head_hc18", "data.root=here split.fold=1", "pretrained scratch"),
    ],
)  # fmt: skip
def test_components_that_are_swept_name_the_variant_where_it_would_not_tell_them_apart(
    experiment: str, typed: str, variants: str
) -> None:
    found = jobs(experiment, "seed=1000", *typed.split())
    assert sorted(job.variant for job in found) == sorted(variants.split())
    assert len({run_path(job) for job in found}) == len(found)


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("+experiment=a seed=1 --multirun", "scale=laptop +experiment=a seed=1 --multirun"),
        ("--cfg job +experiment=a", "--cfg job scale=laptop +experiment=a"),
        ("--cfg job", "--cfg job scale=laptop"),
        ("--config-dir=a +experiment=a", "--config-dir=a scale=laptop +experiment=a"),
    ],
)
def test_the_scale_of_this_machine_stands_beside_what_was_typed(typed: str, expected: str) -> None:
    assert with_scale(typed.split(), "laptop") == expected.split()


def test_a_variant_that_was_typed_is_left_as_it_is() -> None:
    assert {job.variant for job in jobs("nt_phase2", "weighting=calibrated,unit", "variant=mine")} == {"mine"}


def test_a_variant_may_hold_the_value_of_each_job() -> None:
    lr = "stages.phase2.task.optimizer.lr"
    found = jobs("nt_phase2", "seed=1", "loss=roi", f"{lr}=0.001,0.0001", f"variant=roi-lr${{{lr}}}")
    assert [job.variant for job in found] == ["roi-lr0.001", "roi-lr0.0001"]
    assert [job.stages.phase2.task.optimizer.lr for job in found] == [0.001, 0.0001]


def test_a_component_that_does_not_exist_is_left_to_validation() -> None:
    with pytest.raises(Exception, match="unitt"):
        jobs("nt_phase2", "weighting=unit,unitt", "loss=roi")


@pytest.mark.parametrize(("scale", "seeds"), [("paper", [1000, 1001, 1002, 1003, 1004]), ("laptop", [1000, 1001])])
def test_the_scale_says_which_seeds_are_swept_unless_they_are_typed(scale: str, seeds: list[int]) -> None:
    def swept(*typed: str) -> Counter[str]:
        jobs = expanded("nt_ablation", *typed, scale=scale)
        return Counter(word for job in jobs for word in job if word.startswith("seed="))

    assert swept() == {f"seed={seed}": 6 for seed in seeds}
    assert swept("seed=3") == {"seed=3": 6}
    assert swept("seed=7,8,9") == dict.fromkeys(["seed=7", "seed=8", "seed=9"], 6)


@pytest.fixture
def manifest(tmp_path: Path, write_images: Callable[..., pd.DataFrame]) -> list[str]:
    """The words of a manifest of four sites, one of them without a box."""
    table = write_images({"anna": 3, "St.Berta+Ulm": 3, "01": 3, "blank": 3}, size=(170, 180))
    table.loc[table["site"] == "blank", ["nt_x1", "nt_y1", "nt_x2", "nt_y2"]] = None
    table.to_csv(tmp_path / "images.csv", index=False)
    return ["data=manifest", f"data.path='{tmp_path / 'images.csv'}'", f"cache_dir='{tmp_path}'", "loss=roi", "seed=1"]


def test_all_sites_are_held_out_in_turn(manifest: list[str]) -> None:
    found = jobs("nt_phase2", *manifest, "held_out=all")
    assert [job.held_out for job in found] == ["01", "St.Berta+Ulm", "anna"]
    assert len({run_path(job) for job in found}) == 3
    assert len(jobs("nt_phase2", *manifest, "held_out=all,anna", "seed=1,2")) == 6
    assert [job.held_out for job in jobs("nt_phase2", *manifest, "held_out=anna,blank")] == ["anna", "blank"]


def test_all_sites_of_a_split_that_holds_out_none_is_refused(manifest: list[str]) -> None:
    with pytest.raises(UserError, match=r"held_out=all: the split .*Random holds out no site"):
        jobs("nt_phase2", *manifest, "held_out=all", "split=random")


def test_a_site_that_is_called_all_must_be_told_from_all_sites(manifest: list[str], tmp_path: Path) -> None:
    table = pd.read_csv(tmp_path / "images.csv", dtype=str)
    table.replace({"site": {"anna": "all"}}).to_csv(tmp_path / "images.csv", index=False)
    assembly._manifests.clear()
    with pytest.raises(UserError, match=r"a site of the data has this name; name those you mean: 01"):
        jobs("nt_phase2", *manifest, "held_out=all")


def test_data_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.csv"):
        jobs("nt_phase2", "held_out=all", "data=manifest", f"data.path='{tmp_path / 'nowhere.csv'}'")
