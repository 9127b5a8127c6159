"""NRRD files as SimpleITK writes them come back; damaged ones are refused in words."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from numpy.typing import NDArray

from ushydra_lab.data.io import nrrd
from ushydra_lab.data.io.image import ImageProblem
from ushydra_lab.errors import UserError


def volume() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 255, (3, 20, 30), dtype=np.uint8)


@pytest.fixture(params=[True, False], ids=["compressed", "raw"])
def written(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    image = SimpleITK.GetImageFromArray(volume())
    image.SetSpacing((0.1, 0.2, 1.0))
    image.SetMetaData("Segment0_Name", "brain")
    SimpleITK.WriteImage(image, str(tmp_path / "a.nrrd"), request.param)
    return tmp_path / "a.nrrd"


def test_values_spacing_and_fields_come_back(written: Path) -> None:
    found = nrrd.read(written)
    np.testing.assert_array_equal(found.layers, volume()[None])
    assert found.shape == (3, 20, 30)
    assert found.spacing == pytest.approx((0.2, 0.1))
    assert found.fields["Segment0_Name"] == "brain"


def test_layers_come_first(tmp_path: Path) -> None:
    layers = np.stack([volume(), volume() // 2], axis=-1)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(layers, isVector=True), str(tmp_path / "a.nrrd"))
    np.testing.assert_array_equal(nrrd.read(tmp_path / "a.nrrd").layers, np.moveaxis(layers, -1, 0))


def test_wherever_it_is_cut_a_file_is_refused(written: Path) -> None:
    whole = written.read_bytes()
    for length in [*range(0, len(whole) - 8, 97), len(whole) - 9]:  # behind them gzip has its checksum and size
        written.write_bytes(whole[:length])
        with pytest.raises(ImageProblem, match="truncated"):
            nrrd.read(written)


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        (rb"sizes: 30 20 3", b"sizes: 30 20 900000000", "claims 30 x 20 x 900000000 px"),
        (rb"encoding: \w+\n", b"encoding: raw\ndata file: /etc/hostname\n", "pixels in another file"),
        (rb"NRRD000\d", b"NOTNRRD!", "is no NRRD file"),
        (rb"type: unsigned char", b"type: nonsense", "is damaged or truncated"),
    ],
)
def test_headers_that_claim_what_is_not_there_are_refused(written: Path, old: bytes, new: bytes, text: str) -> None:
    written.write_bytes(re.sub(old, new, written.read_bytes(), count=1))
    with pytest.raises(ImageProblem, match=text):
        nrrd.read(written)


def test_a_spacing_that_no_image_has_is_refused(written: Path) -> None:
    content = re.sub(rb"space directions: .*", b"space directions: (0.1,0,0) (0,90,0) (0,0,1)", written.read_bytes())
    written.write_bytes(content)
    with pytest.raises(ImageProblem, match=r"its pixels are 0\.1 x 90 mm"):
        nrrd.read(written)


def test_without_simpleitk_it_is_said_what_to_install(written: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "SimpleITK", None)
    with pytest.raises(UserError, match=r"pip install 'ushydra_lab\[slicer\]'"):
        nrrd.read(written)
