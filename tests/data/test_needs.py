"""What an experiment needs of the data is asked for before anything starts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from PIL import Image

from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers
from ushydra_lab.config.validation import check
from ushydra_lab.data.manifest import Manifest, check_manifest
from ushydra_lab.data.needs import refuse_other_words, required
from ushydra_lab.data.source import Source
from ushydra_lab.errors import UserError
from ushydra_lab.training.assembly import rehearse

Write = Callable[..., pd.DataFrame]
SETTING = "stages.specialise.task.domains"


@pytest.fixture
def manifest(write_images: Write, tmp_path: Path) -> Manifest:
    table = write_images({"a": 6}).assign(quality=["low", "low", "high", "medium", "", "medium"])
    return check_manifest(Source(table, "m", tmp_path))


def test_words_that_the_setting_leaves_out_are_counted_with_the_setting_that_would_do(manifest: Manifest) -> None:
    part = pd.Series(["train"] * 4 + ["test"] * 2)
    refuse_other_words(manifest, part, SETTING, "quality", ["low", "medium", "high"])
    with pytest.raises(UserError) as raised:
        refuse_other_words(manifest, part, SETTING, "quality", ["low", "high"])
    assert "1 of 4 images to be trained or selected on have no quality among low, high" in str(raised.value)
    assert f"they have: medium 1. set {SETTING}=[low,medium,high]; or leave these images out" in str(raised.value)


def test_a_category_that_no_row_has_names_the_files_that_would_have_told(manifest: Manifest) -> None:
    bare = replace(manifest, table=manifest.table.drop(columns="quality"), lacks={"quality": "Info_2CH.cfg is absent"})
    with pytest.raises(UserError, match=r"they have: none 6. Info_2CH.cfg is absent; or leave"):
        refuse_other_words(bare, pd.Series("train", range(6)), SETTING, "quality", ["low", "high"])
    with pytest.raises(UserError, match=r"quality: Info_2CH.cfg is absent"):
        required(bare, ["quality"])


def test_a_source_of_a_union_whose_images_have_no_word_is_named_with_its_setting(manifest: Manifest) -> None:
    table = manifest.table.assign(data_set=["one"] * 3 + ["two"] * 3)
    with pytest.raises(UserError) as raised:
        refuse_other_words(
            replace(manifest, table=table), pd.Series("train", range(6)), SETTING, "quality", ["low", "high"]
        )
    assert "set data.sources.two.quality=low|high; or leave these" in str(raised.value)
    assert "data.sources.one" not in str(raised.value)


@pytest.mark.parametrize(("domains", "refused"), [("[low,high]", True), ("[low,medium,high]", False)])
def test_no_job_of_the_experiment_by_quality_starts_without_its_words(
    write_images: Write, tmp_path: Path, domains: str, refused: bool
) -> None:
    table = write_images({"a": 9, "b": 9, "c": 3}).assign(mask="mask.png", quality=["low", "high", "medium"] * 7)
    Image.fromarray(np.eye(30, 40, dtype=np.uint8)).save(tmp_path / "mask.png")
    table.to_csv(tmp_path / "m.csv", index=False)
    words = ["+experiment=hydra_unet", "scale=laptop", "data=manifest", f"data.path={tmp_path / 'm.csv'}", "held_out=c"]
    words += ["data.structures={lv: 1}", f"cache_dir={tmp_path / 'cache'}", f"{SETTING}={domains}"]
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        content = check(compose("config", overrides=words))
    if not refused:
        rehearse(content)
        return
    with pytest.raises(
        UserError, match=r"have no quality among low, high .*they have: medium 6. set stages.specialise"
    ):
        rehearse(content)
