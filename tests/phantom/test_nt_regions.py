"""The scene of several regions has the images of the scene of one, and boxes that hold what they are named for."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ushydra_lab import phantom
from ushydra_lab.phantom.hospitals import MACHINES
from ushydra_lab.phantom.nt import NASAL_BONE
from ushydra_lab.phantom.nt_regions import HARDLY_SEEN, MARGIN_MM, ClinicalRegions, Regions

EDGES = ("x1", "y1", "x2", "y2")


def test_images_and_the_nt_are_those_of_the_scene_of_one_region() -> None:
    one, several = (phantom.render(scene, 3, "hospital_b", 2) for scene in ("nt", "nt_regions"))
    assert (one.image == several.image).all()
    assert one.annotations.items() <= several.annotations.items()
    assert several.annotations["quality"] == "high"


@pytest.mark.parametrize("seed", range(12))
def test_the_box_holds_the_bone_with_its_margin_or_there_is_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    fetus = ClinicalRegions.seen(rng, 1.8) if seed % 2 else Regions.draw(rng)
    view = MACHINES["hospital_a"].view(rng, fetus.size_mm)
    truth = fetus.annotations(rng, view)
    if getattr(fetus, "off_plane", 0) > HARDLY_SEEN:
        assert "nasal_bone_x1" not in truth
        return
    x, y = (np.array(NASAL_BONE) * (fetus.a, fetus.b)).T
    column, row = view.to_px(*fetus.to_image(x, y))
    margin = MARGIN_MM / view.pixel_mm
    wanted = [column.min() - margin, row.min() - margin, column.max() + margin, row.max() + margin]
    limits = [view.shape[1], view.shape[0]] * 2
    assert [truth[f"nasal_bone_{edge}"] for edge in EDGES] == pytest.approx(np.clip(wanted, 0, limits), abs=0.01)


def test_an_image_without_the_box_has_empty_cells_wherever_it_stands_in_the_table(tmp_path: Path) -> None:
    path = phantom.write(tmp_path / "hard", "nt_regions", 1, {"hospital_a": 8}, difficulty="hard")
    table = pd.read_csv(path)
    missing = table["nasal_bone_x1"].isna()
    assert 0 < missing.sum() < 8
    assert table[["nt_x1", "quality"]].notna().all(axis=None)
    assert (table.loc[missing, "quality"] == "low").all()
