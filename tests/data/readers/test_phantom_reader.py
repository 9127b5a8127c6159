from pathlib import Path

import pytest

from ushydra_lab.data import phantom
from ushydra_lab.data.readers import phantom as reader


def test_the_phantom_is_made_once_per_setting_and_read_as_a_checked_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = reader.read(tmp_path, images_per_site=1)
    assert first.sites == sorted(phantom.SITES)
    assert first.table[["nt_x1", "nt_mm", "pixel_mm"]].notna().all(axis=None)
    monkeypatch.setattr(phantom, "render", lambda *_: pytest.fail("rendered again"))
    assert reader.read(tmp_path, images_per_site=1).fingerprint == first.fingerprint
