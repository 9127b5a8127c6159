from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ushydra_lab import phantom
from ushydra_lab.data.manifest import check_manifest
from ushydra_lab.data.readers import phantom as reader
from ushydra_lab.errors import UserError


def test_the_phantom_is_made_once_per_setting_and_read_as_a_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = check_manifest(reader.read(tmp_path, images_per_site=1))
    assert first.sites == sorted(phantom.SCENES["nt"].machines)
    assert first.table[["nt_x1", "nt_mm", "pixel_mm"]].notna().all(axis=None)
    monkeypatch.setattr(phantom, "render", lambda *_: pytest.fail("rendered again"))
    pd.testing.assert_frame_equal(check_manifest(reader.read(tmp_path, images_per_site=1)).table, first.table)


def test_a_cache_that_is_a_file_is_named_with_the_setting(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(UserError, match=r"cache.* cannot be used .*set cache_dir to another folder"):
        reader.read(tmp_path / "cache/phantom", images_per_site=1)


@pytest.mark.parametrize("scene", [name for name, scene in phantom.SCENES.items() if scene.structures])
def test_label_k_of_a_scene_is_its_kth_structure(tmp_path: Path, scene: str) -> None:
    manifest = check_manifest(reader.read(tmp_path, scene, images_per_site=1))
    assert manifest.masks is not None
    assert manifest.masks.structures == phantom.SCENES[scene].structures
    for path in manifest.table["mask"]:
        labels = manifest.masks.decode(Path(path).read_bytes())
        assert np.array_equal(labels, np.asarray(Image.open(path)))
        assert labels.any()
