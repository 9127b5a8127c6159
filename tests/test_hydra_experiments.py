"""USHydraNet by its own commands: what routes images was learnt from training images, and every arm is measured."""

import importlib.util
import re
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image

from ushydra_lab import experiment, phantom
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.schema import Experiment
from ushydra_lab.config.validation import check
from ushydra_lab.errors import UserError
from ushydra_lab.evaluation.external import evaluate
from ushydra_lab.runs.run import Run
from ushydra_lab.training.assembly import rehearse

TINY = [
    "scale=laptop", "canvas=[32,32]", "batch_size=8", "logger.mode=disabled", "panel_images=1",
    "stages.specialise.max_epochs=1", "stages.route.max_epochs=1",
]  # fmt: skip
KINDS = {
    "hydra_vit": ["network.hidden_size=16", "network.layers=2", "network.heads=2", "held_out=clinic_unseen"],
    "hydra_unet": ["network.widths=[2,4,8]", "data.structures={lv: 1}", "held_out=echo_unseen"],
}
SCENES = {"hydra_vit": "planes", "hydra_unet": "heart"}
STAGES = ("specialise", "route")
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(scope="session")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Phantoms of ten images a site."""
    root = tmp_path_factory.mktemp("qualities")
    counts = {scene: dict.fromkeys(phantom.SCENES[scene].machines, 10) for scene in SCENES.values()}
    return {kind: phantom.write(root / scene, scene, 0, counts[scene]) for kind, scene in SCENES.items()}


def configured(kind: str, root: Path, manifest: Path, *overrides: str) -> tuple[Experiment, Path]:
    register_resolvers()
    where = ["data=manifest", f"data.path='{manifest}'", f"run_root='{root}'"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[f"+experiment={kind}", *TINY, *where, *KINDS[kind], *overrides])
    return check(cfg), run_path(cfg)


def run(kind: str, root: Path, manifest: Path, *overrides: str) -> Path:
    config, path = configured(kind, root, manifest, *overrides)
    experiment.run(config, path)
    return path


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory, manifests: dict[str, Path]) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("routed")
    return {kind: run(kind, root, manifest) for kind, manifest in manifests.items()}


def state(run: Path, stage: str) -> dict[str, torch.Tensor]:
    found = torch.load(run / "checkpoints" / f"{stage}.ckpt", weights_only=True)["state_dict"]
    assert isinstance(found, dict)
    return found


def images(run: Path) -> pd.DataFrame:
    return pd.read_csv(run / "per_image.csv")


@kinds
@pytest.mark.usefixtures("whole_pictures")
def test_noise_in_place_of_all_but_the_training_images_changes_no_weight_and_no_statistic_of_the_router(
    kind: str, finished: dict[str, Path], manifests: dict[str, Path], tmp_path: Path
) -> None:
    poisoned = tmp_path / "poisoned"
    shutil.copytree(manifests[kind].parent, poisoned)
    split, rng = pd.read_csv(finished[kind] / "split.csv"), np.random.default_rng(0)
    for name in split.loc[split["part"] != "train", "image"]:
        path = poisoned / Path(name).relative_to(manifests[kind].parent)
        with Image.open(path) as image:
            size = image.size[::-1]
        Image.fromarray(rng.integers(0, 256, size, dtype=np.uint8)).save(path)
    other = run(kind, tmp_path / "runs", poisoned / "manifest.csv")
    for stage in STAGES:  # each of one epoch, so that validation has nothing to choose from
        clean, dirty = state(finished[kind], stage), state(other, stage)
        torch.testing.assert_close(dirty, clean, rtol=0, atol=0, equal_nan=True)
    assert clean["router.mean"].isfinite().all()
    tested = [images(path).query("part == 'test'") for path in (finished[kind], other)]
    assert not tested[0].equals(tested[1])


@kinds
def test_arms_that_route_otherwise_share_both_trainings_and_the_single_decoder_has_its_own(
    kind: str, finished: dict[str, Path], manifests: dict[str, Path]
) -> None:
    arms = [run(kind, finished[kind].parents[3], manifests[kind], f"arm=hydra/{arm}") for arm in ("random", "single")]
    keys = [[Run(path).summary.stages[stage].key for stage in STAGES] for path in (finished[kind], *arms)]
    assert keys[0] == keys[1]
    assert not set(keys[0]) & set(keys[2])
    assert images(arms[1])["route"].dropna().unique().tolist() == [0]


@kinds
def test_every_image_is_answered_and_those_of_a_quality_without_a_decoder_have_no_regret(
    kind: str, finished: dict[str, Path]
) -> None:
    routed = images(finished[kind]).query("stage == 'route'")
    score = {"hydra_vit": "correct", "hydra_unet": "dice_lv"}[kind]
    assert routed[["route", score]].notna().all(axis=None)
    known = routed["domain"] >= 0
    assert routed.loc[known, "regret"].notna().all()
    assert routed.loc[~known, ["regret", "router_hit"]].isna().all(axis=None)
    assert known.all() == (kind == "hydra_vit")  # the unseen echo lab is of medium quality, which has no decoder


def test_the_oracle_has_no_answer_for_the_unseen_echo_lab(
    finished: dict[str, Path], manifests: dict[str, Path]
) -> None:
    oracle = images(run("hydra_unet", finished["hydra_unet"].parents[3], manifests["hydra_unet"], "arm=hydra/oracle"))
    unseen = oracle[oracle["part"] == "test"]
    assert unseen["dice_lv"].isna().all()
    assert oracle.query("part == 'val' and stage == 'route'")["dice_lv"].notna().all()


@kinds
def test_a_finished_run_gives_the_same_figures_again(
    kind: str, finished: dict[str, Path], manifests: dict[str, Path]
) -> None:
    chosen = ["data=manifest", f"data.path='{manifests[kind]}'"]
    chosen += ["data.structures={lv: 1}"] if kind == "hydra_unet" else []
    again = pd.read_csv(evaluate(Run(finished[kind]), chosen) / "per_image.csv").set_index(["stage", "record"])
    own = images(finished[kind]).set_index(["stage", "record"])
    numbers = own.columns.difference(["part", "site"])
    pd.testing.assert_frame_equal(again.loc[own.index, numbers], own[numbers], rtol=1e-4, check_dtype=False)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("stages.specialise.task.domains=[low,medum,high]", "medum.*did you mean 'medium'"),
        ("network.domains=2", r"2 decoders, but domains=\['low', 'medium', 'high'\]"),
        ("stages.specialise.task.encoder=shared", "encoder='shared' is not one of joint, frozen, per_decoder"),
        ("network.shared=false", "encoder=joint needs network.shared=True"),
        ("stages.route.task.router=nearest", "router='nearest' is not one of weighted"),
        ("+stages.route.task.temperature=0", "temperature=0 must be above 0"),
        ("network.classes=3", r"the network gives \(3,\), but planes are"),
        ("canvas=[40,40]", "multiples of the ViT's patch of 16 px"),
    ],
)
def test_settings_that_do_not_fit_are_refused_before_anything_is_written(
    override: str, message: str, manifests: dict[str, Path], tmp_path: Path
) -> None:
    config, _ = configured("hydra_vit", tmp_path / "runs", manifests["hydra_vit"], override)
    with pytest.raises(UserError, match=message):
        rehearse(config)
    assert not (tmp_path / "runs").exists()


def test_training_images_without_quality_are_all_named(manifests: dict[str, Path], tmp_path: Path) -> None:
    folder = tmp_path / "data"
    shutil.copytree(manifests["hydra_vit"].parent, folder)
    table = pd.read_csv(folder / "manifest.csv", dtype=str, keep_default_na=False)
    table.loc[table["site"] == "clinic_low", "quality"] = ""
    table.to_csv(folder / "manifest.csv", index=False)
    config, _ = configured("hydra_vit", tmp_path / "runs", folder / "manifest.csv")
    with pytest.raises(UserError) as refused:
        rehearse(config)
    lost = table.index[table["site"] == "clinic_low"]
    assert all(f"record {record}: no quality among low, medium, high" in str(refused.value) for record in lost)
    assert len(lost)


NEED_TORCHVISION = {"vgg16", "fcn", "deeplabv3"}


@pytest.mark.parametrize("arm", sorted(path.stem for path in (CONF / "arm/hydra_baselines").glob("*.yaml")))
def test_every_baseline_trains_an_epoch_from_its_configuration_alone(
    arm: str, manifests: dict[str, Path], tmp_path: Path
) -> None:
    if arm in NEED_TORCHVISION:
        pytest.importorskip("torchvision", reason=f"{arm} is torchvision's: pip install torchvision")
    planes = arm in ("vit", "resnet18", "resnet50", "densenet121", "vgg16")
    kind, site = ("hydra_vit", "clinic_unseen") if planes else ("hydra_unet", "echo_unseen")
    more = [] if planes else ["data.structures={lv: 1}"]
    register_resolvers()
    small = ["scale=laptop", "canvas=[64,64]", "batch_size=8", "logger.mode=disabled", "panel_images=1"]
    where = ["data=manifest", f"data.path='{manifests[kind]}'", f"run_root='{tmp_path}'", f"held_out={site}", *more]
    chosen = ["+experiment=hydra_baselines", f"arm=hydra_baselines/{arm}", "stages.train.max_epochs=1"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[*chosen, *small, *where])
    experiment.run(check(cfg), run_path(cfg))
    assert run_path(cfg) == tmp_path / kind / site / "seed1000" / arm
    assert images(run_path(cfg))["correct" if planes else "dice_lv"].notna().all()


def test_a_baseline_without_torchvision_is_refused_with_the_command_that_installs_it(
    manifests: dict[str, Path], tmp_path: Path
) -> None:
    if importlib.util.find_spec("torchvision"):
        pytest.skip("torchvision is installed")
    register_resolvers()
    where = ["scale=laptop", "data=manifest", f"data.path='{manifests['hydra_vit']}'", f"run_root='{tmp_path}'"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(
            "config",
            overrides=["+experiment=hydra_baselines", "arm=hydra_baselines/vgg16", *where, "held_out=clinic_unseen"],
        )
    with pytest.raises(UserError, match="pip install torchvision"):
        experiment.run(check(cfg), run_path(cfg))
    assert not (run_path(cfg) / "checkpoints").exists()


@kinds
def test_a_quality_without_training_images_is_refused_before_the_first_stage_is_trained(
    kind: str, manifests: dict[str, Path], tmp_path: Path
) -> None:
    """Its remedy, typed as it is printed, trains."""
    root = tmp_path / "data"
    shutil.copytree(manifests[kind].parent, root)
    table = pd.read_csv(root / "manifest.csv")
    kept = table[(table["quality"] != "low") | table["site"].str.endswith("unseen")]
    kept.to_csv(root / "manifest.csv", index=False)
    with pytest.raises(UserError, match="A router needs two training images of each quality") as refused:
        run(kind, tmp_path / "runs", root / "manifest.csv")
    assert not list((tmp_path / "runs").rglob("*.ckpt"))
    (remedy,) = re.findall(r"stages\.specialise\.task\.domains=\S+\]", str(refused.value))
    if kind == "hydra_vit":  # the other has one quality left
        assert (run(kind, tmp_path / "runs2", root / "manifest.csv", remedy) / "per_image.csv").exists()
