import contextlib
from pathlib import Path

import numpy as np
import pytest
import SimpleITK
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ushydra_lab.data.io import volumes
from ushydra_lab.data.io.image import ImageProblem

TYPES = ["uint8", "int16", "uint16", "float32", "float64"]


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("shape", [(7, 5), (1, 7, 5), (3, 7, 5)])
@pytest.mark.parametrize("name", ["v.nii", "v.nii.gz", "v.mhd", "packed.mhd"])
def test_axes_spacing_and_values_are_those_of_simpleitk(
    tmp_path: Path, name: str, shape: tuple[int, ...], kind: str
) -> None:
    values = np.random.default_rng(0).integers(0, 200, shape).astype(kind)
    image = SimpleITK.GetImageFromArray(values)
    image.SetSpacing((0.3, 0.15, 1.5)[: len(shape)])
    SimpleITK.WriteImage(image, str(tmp_path / name), useCompression=name == "packed.mhd")
    found = volumes.header(tmp_path / name)
    assert found.spacing == pytest.approx((0.15, 0.3))
    np.testing.assert_array_equal(volumes.read(tmp_path / name), values.reshape(found.shape))
    assert found.shape == (1, *shape)[-3:]
    assert len(volumes.files(tmp_path / name)) == (2 if name.endswith("mhd") else 1)


def test_the_byte_order_is_that_of_the_file(tmp_path: Path) -> None:
    values = np.arange(12, dtype=np.int16).reshape(3, 4)
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(values), str(tmp_path / "v.mhd"))
    (tmp_path / "v.raw").write_bytes(values.astype(">i2").tobytes())
    text = (tmp_path / "v.mhd").read_text()
    (tmp_path / "v.mhd").write_text(text.replace("BinaryDataByteOrderMSB = False", "BinaryDataByteOrderMSB = True"))
    np.testing.assert_array_equal(volumes.read(tmp_path / "v.mhd")[0], values)


def test_the_scale_of_the_header_is_applied(tmp_path: Path) -> None:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.full((3, 4), 7, np.uint8)), str(tmp_path / "v.nii"))
    content = bytearray((tmp_path / "v.nii").read_bytes())
    content[112:120] = np.array([2.0, 5.0], "<f4").tobytes()
    (tmp_path / "v.nii").write_bytes(content)
    assert (volumes.read(tmp_path / "v.nii") == 19).all()
    assert (SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "v.nii"))) == 19).all()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["v.nii", "v.mhd"]),
    st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=12),
    st.integers(0, 500),
)
def test_any_damage_is_a_problem_or_read(
    tmp_path: Path, name: str, changes: list[tuple[int, int]], length: int
) -> None:
    SimpleITK.WriteImage(SimpleITK.GetImageFromArray(np.zeros((9, 8), np.uint8)), str(tmp_path / name))
    content = bytearray((tmp_path / name).read_bytes())
    for position, byte in changes:
        content[position % len(content)] = byte
    (tmp_path / name).write_bytes(content[: max(length, 1) if length % 2 else None])
    with contextlib.suppress(ImageProblem):
        assert volumes.read(tmp_path / name).nbytes <= volumes.MAX_BYTES
