"""What a stage's key stands for."""

from dataclasses import replace
from pathlib import Path
from typing import cast

from hydra import compose, initialize_config_dir

from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers
from ushydra_lab.config.schema import INHERITED, Epoch, Experiment, OwnSettings, Stage
from ushydra_lab.config.validation import check
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.training.stages import stage_key


class Images:
    def fingerprint(self, parts: tuple[str, ...]) -> str:
        return "the same"


def experiment() -> Experiment:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return check(compose("config", overrides=["+experiment=brain_attention_unet", "scale=laptop"]))


def key(weights: Path | str | None) -> str:
    task = {"_target_": "ushydra_lab.tasks.segmentation.Segmentation", "terms": {"dino": {"weights": str(weights)}}}
    begun = replace(experiment(), network={"weights": weights and str(weights)}, stages={"train": Stage(task, 1)})
    return stage_key(begun, "train", cast(UltrasoundData, Images()), {})


def test_new_weights_in_the_same_folder_are_another_stage_and_the_same_elsewhere_are_not(tmp_path: Path) -> None:
    keys = []
    for folder, content in (("vit", b"one"), ("vit", b"two"), ("moved", b"two")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "model.safetensors").write_bytes(content)
        keys.append(key(tmp_path / folder))
    assert keys[0] != keys[1] == keys[2]
    assert len({key("google/vit-base"), key("facebook/dino"), key(None)}) == 3


def test_a_stage_sees_what_it_has_of_its_own_null_too_and_else_what_the_experiment_has() -> None:
    whole = experiment()
    assert whole.oversample
    assert whole.with_own(Stage({}, 1)) == whole
    alone = whole.with_own(Stage({}, 1, instead=OwnSettings(data={"root": "x"}, oversample=None)))
    assert alone == replace(whole, data={"root": "x"}, oversample=None)
    assert OwnSettings(oversample=None).given == {"oversample": None}
    assert OwnSettings().split is INHERITED


def test_the_epoch_of_a_stage_changes_what_begins_from_it_and_not_its_own_training() -> None:
    task = {"_target_": "ushydra_lab.tasks.segmentation.Segmentation"}
    keys: dict[Epoch, dict[str, str]] = {}
    for epoch in Epoch:
        stages = {"one": Stage(task, 2, epoch=epoch), "two": Stage(task, 2, init="one")}
        begun, keys[epoch] = replace(experiment(), stages=stages), {}
        for name in stages:
            keys[epoch][name] = stage_key(begun, name, cast(UltrasoundData, Images()), keys[epoch])
    assert keys[Epoch.best]["one"] == keys[Epoch.last]["one"]
    assert keys[Epoch.best]["two"] != keys[Epoch.last]["two"]
