"""What a stage's key stands for."""

from pathlib import Path
from typing import Any, cast

from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.training import stage_key


class Images:
    def fingerprint(self, parts: tuple[str, ...]) -> str:
        return "the same"


def key(weights: Path | str | None) -> str:
    task = {"_target_": "ushydra_lab.tasks.segmentation.Segmentation", "terms": {"dino": {"weights": str(weights)}}}
    config: dict[str, Any] = {"network": {"weights": weights and str(weights)}, "stages": {"train": {"task": task}}}
    config["stages"]["train"] |= {"init": None, "instead": {}}
    return stage_key(config, "train", cast(UltrasoundData, Images()), {})


def test_new_weights_in_the_same_folder_are_another_stage_and_the_same_elsewhere_are_not(tmp_path: Path) -> None:
    keys = []
    for folder, content in (("vit", b"one"), ("vit", b"two"), ("moved", b"two")):
        (tmp_path / folder).mkdir(exist_ok=True)
        (tmp_path / folder / "model.safetensors").write_bytes(content)
        keys.append(key(tmp_path / folder))
    assert keys[0] != keys[1] == keys[2]
    assert len({key("google/vit-base"), key("facebook/dino"), key(None)}) == 3
