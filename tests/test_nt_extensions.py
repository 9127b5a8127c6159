"""The arms of nt_extensions differ in Phase 2 alone, on the same images, measured in the same regions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

from ushydra_lab import experiment
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.schema import Experiment
from ushydra_lab.config.validation import check
from ushydra_lab.errors import UserError
from ushydra_lab.runs.run import Run
from ushydra_lab.training.assembly import rehearse

TINY = [
    "scale=laptop", "network.widths=[2,4,4,8]", "canvas=[168,176]", "batch_size=4", "stages.phase1.max_epochs=1",
    "stages.phase2.max_epochs=1", "logger.mode=disabled", "panel_images=1", "held_out=c",
]  # fmt: skip
ARMS = {
    "roi": ["global", "roi_edge", "roi_l1"],
    "snr": ["global", "roi_edge", "roi_l1"],
    "view": ["global", "roi_edge", "roi_l1"],
    "regions": ["global", "roi_edge_nasal_bone", "roi_edge_nt", "roi_l1_nasal_bone", "roi_l1_nt"],
}


@pytest.fixture
def table(write_images: Callable[..., pd.DataFrame]) -> pd.DataFrame:
    """Eight images a site; every third has no box of the nasal bone."""
    found = write_images({"a": 8, "b": 8, "c": 8}, size=(168, 176))
    edges = {"x1": 30.0, "y1": 40.0, "x2": 60.0, "y2": 55.0}
    shown = np.arange(len(found)) % 3 > 0
    boxes = {f"nasal_bone_{edge}": np.where(shown, px, np.nan) for edge, px in edges.items()}
    return found.assign(**boxes, quality=np.resize(["low", "medium", "high", "high"], len(found)))


def configured(
    tmp_path: Path, table: pd.DataFrame, *overrides: str, name: str = "nt_extensions"
) -> tuple[Experiment, Path]:
    table.to_csv(tmp_path / "table.csv", index=False)
    register_resolvers()
    where = ["data=manifest", f"data.path='{tmp_path}/table.csv'", f"run_root='{tmp_path}/runs'"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("config", overrides=[f"+experiment={name}", *TINY, *where, *overrides])
    return check(cfg), run_path(cfg)


def test_all_arms_begin_from_one_phase_1_and_are_measured_in_both_regions_of_the_same_images(
    tmp_path: Path, table: pd.DataFrame
) -> None:
    runs = {}
    for arm in ARMS:
        config, path = configured(tmp_path, table, f"arm=nt/{arm}")
        experiment.run(config, path)
        runs[arm] = Run(path)
    stages = {arm: run.summary.stages for arm, run in runs.items()}
    assert len({found["phase1"].key for found in stages.values()}) == 1
    assert len({found["phase2"].key for found in stages.values()}) == len(ARMS)
    assert {arm: sorted(found["phase2"].loss_weights) for arm, found in stages.items()} == ARMS
    images = [run.images.sort_values(["stage", "part", "record"]) for run in runs.values()]
    for found in images:
        assert found["record"].tolist() == images[0]["record"].tolist()
        assert found["roi_mae"].notna().all()
        assert (found["roi_edge_mae_nasal_bone"].notna() == (found["record"] % 3 > 0)).all()


def test_a_region_that_no_image_has_is_refused(tmp_path: Path, table: pd.DataFrame) -> None:
    without = table[[column for column in table if not column.startswith("nasal")]]
    with pytest.raises(UserError, match=r"nasal_bone_box: columns nasal_bone_x1"):
        rehearse(configured(tmp_path, without)[0])


def test_training_images_of_no_quality_are_refused_by_the_arm_that_weighs_by_it(
    tmp_path: Path, table: pd.DataFrame
) -> None:
    table.loc[table["site"] == "a", "quality"] = ""
    with pytest.raises(UserError, match=r"no quality among low, medium, high .*quality_weights"):
        rehearse(configured(tmp_path, table, "arm=nt/view")[0])


@pytest.mark.parametrize("roi", ["{nt_box: 0}", "{nt: 1}", "[]", "[nt]"])
def test_regions_that_are_none_are_told_before_anything_else(tmp_path: Path, table: pd.DataFrame, roi: str) -> None:
    with pytest.raises(UserError, match="NAME_box"):
        configured(tmp_path, table, f"roi={roi}", name="nt_phase2")
