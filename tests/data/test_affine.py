"""Image, mask, points, boxes and spacing follow the same map, checked against kornia, scipy and torch's exact turns."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from kornia.augmentation import AugmentationSequential, RandomAffine, RandomHorizontalFlip
from scipy import ndimage
from torch import Tensor

from ushydra_lab.data.affine import Batch, inverse, map_box, map_points, mirror, shift, warp

HEIGHT, WIDTH = 60, 80
maps = st.builds(
    lambda angle, zoom, x, y, flip: similarity(angle, zoom, (x, y), flip),
    st.floats(-180, 180),
    st.floats(0.5, 2),
    st.floats(-30, 30),
    st.floats(-30, 30),
    st.booleans(),
)


def similarity(
    angle: float, zoom: float, move: tuple[float, float], flip: bool = False, size: tuple[int, int] = (WIDTH, HEIGHT)
) -> Tensor:
    """Mirror, rotate by degrees clockwise and zoom about the canvas' centre, then move: (1, 2, 3)."""
    turn = np.radians(angle)
    rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    linear = zoom * rotation @ np.diag([-1 if flip else 1, 1])
    centre = np.array(size) / 2
    moved = centre + move - linear @ centre
    return torch.tensor(np.column_stack([linear, moved]), dtype=torch.float32)[None]


def stacked(*rows: Tensor) -> Tensor:
    return torch.cat(rows)


def batch_of(count: int, seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> Batch:
    """Smooth noise with all kinds of annotation."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.random((count, height, width)), (0, 2, 2))
    image = (smooth - smooth.min()) / np.ptp(smooth)
    low, side = rng.uniform((5, 5), (width / 2, height / 2), (count, 2)), rng.uniform(4, 20, (count, 2))
    size = np.array([width, height])
    float_fields = {
        "image": image[:, None],
        "content": np.tile([0, 4, width, height - 4], (count, 1)),
        "head_box": np.concatenate([low, low + side], axis=1),
        "landmarks": rng.random((count, 4, 2)) * size,
        "femur_landmarks": rng.random((count, 2, 2)) * size,
        "pixel_mm": rng.uniform(0.05, 0.3, count),
        "hc_mm": rng.uniform(100, 300, count),
    }
    batch = {key: torch.tensor(values, dtype=torch.float32) for key, values in float_fields.items()}
    return batch | {"mask": torch.from_numpy((3.99 * image).astype(np.uint8)), "plane": torch.arange(count)}


@given(a_map=maps)
def test_a_map_and_its_inverse_bring_every_point_back(a_map: Tensor) -> None:
    points = batch_of(1)["landmarks"]
    assert torch.allclose(map_points(inverse(a_map), map_points(a_map, points)), points, atol=1e-3, rtol=0)


@given(a_map=maps, seed=st.integers(0, 100))
def test_a_box_becomes_the_hull_of_its_mapped_corners(a_map: Tensor, seed: int) -> None:
    x1, y1, x2, y2 = (box := batch_of(1, seed)["head_box"])[0].tolist()
    corners = map_points(a_map, torch.tensor([[[x1, y1], [x2, y1], [x1, y2], [x2, y2]]]))
    hull = torch.cat([corners.amin(dim=1), corners.amax(dim=1)], dim=1)
    assert torch.allclose(map_box(a_map, box), hull, atol=1e-4, rtol=0)


@given(a_map=maps)
def test_lengths_in_mm_do_not_depend_on_the_map(a_map: Tensor) -> None:
    before = batch_of(1)
    after = warp(before, a_map)

    def lengths(batch: Batch) -> Tensor:
        return batch["landmarks"].diff(dim=1).norm(dim=2) * batch["pixel_mm"]

    assert torch.allclose(lengths(before), lengths(after), rtol=1e-4)
    assert torch.equal(before["hc_mm"], after["hc_mm"])


@given(a_map=maps, seed=st.integers(0, 100))
def test_image_and_mask_agree_with_scipy(a_map: Tensor, seed: int) -> None:
    batch = batch_of(1, seed)
    warped = warp(batch, a_map)
    forward = np.vstack([a_map[0].double().numpy(), [0, 0, 1]])[[1, 0, 2]][:, [1, 0, 2]]
    to_centre = np.array([[1, 0, 0.5], [0, 1, 0.5], [0, 0, 1]])
    back = np.linalg.inv(to_centre) @ np.linalg.inv(forward) @ to_centre
    image = ndimage.affine_transform(batch["image"][0, 0].numpy(), back, order=1, mode="grid-constant")
    mask = ndimage.affine_transform(batch["mask"][0].numpy(), back, order=0, mode="grid-constant")
    assert np.abs(warped["image"][0, 0].numpy() - image).max() < 1e-3
    sources = np.tensordot(back[:2, :2], np.indices(mask.shape), axes=1) + back[:2, 2:, None]
    between_pixels = (np.abs(sources - np.floor(sources) - 0.5) < 1e-3).any(axis=0)
    assert np.array_equal(warped["mask"][0].numpy()[~between_pixels], mask[~between_pixels])


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_exact(turns: int) -> None:
    batch = batch_of(2, height=64, width=64)
    turned = warp(batch, similarity(-90 * turns, 1, (0, 0), size=(64, 64)).expand(2, 2, 3))
    assert torch.allclose(turned["image"], torch.rot90(batch["image"], turns, (2, 3)), atol=1e-5)
    assert torch.equal(turned["mask"], torch.rot90(batch["mask"], turns, (1, 2)))


@pytest.mark.parametrize("name", ["affine", "flip"])
def test_kornia_moves_image_mask_points_and_boxes_to_the_same_place(name: str) -> None:
    """kornia counts px from the first pixel's centre; its own edges of the canvas are cut differently."""
    batch, half = batch_of(6), 0.5
    kornias = {
        "affine": RandomAffine(degrees=20.0, translate=(0.1, 0.1), scale=(0.8, 1.2), p=1.0),
        "flip": RandomHorizontalFlip(p=1.0),
    }
    chain = AugmentationSequential(kornias[name], data_keys=["input", "mask", "keypoints", "bbox_xyxy"])
    torch.manual_seed(3)
    box, mask = batch["head_box"].reshape(-1, 1, 4) - half, batch["mask"][:, None].float()
    image, mask, points, corners = chain(
        batch["image"], mask, batch["landmarks"] - half, box, data_keys=["input", "mask", "keypoints", "bbox_xyxy"]
    )
    assert chain.transform_matrix is not None
    a_map = chain.transform_matrix[:, :2].clone()
    a_map[:, :, 2] += half - half * a_map[:, :, :2].sum(dim=2)
    ours = mirror(batch, torch.ones(6, dtype=torch.bool)) if name == "flip" else warp(batch, a_map)
    assert torch.allclose(ours["image"], image, atol=1e-4)
    assert (ours["mask"] != mask[:, 0]).float().mean() < 2e-3
    assert torch.allclose(ours["landmarks"], points + half, atol=1e-3)
    kept = _clip(corners[:, 0] + half)
    assert torch.allclose(ours["head_box"], kept, atol=1e-3)


def _clip(box: Tensor) -> Tensor:
    return box.clamp(min=0).minimum(torch.tensor([WIDTH, HEIGHT, WIDTH, HEIGHT], dtype=torch.float32))


def test_mirroring_is_torch_flip_and_twice_changes_nothing() -> None:
    batch, which = batch_of(4), torch.tensor([True, False, True, True])
    once = mirror(batch, which)
    for key in ("image", "mask"):
        expected = [row.flip(-1) if flipped else row for row, flipped in zip(batch[key], which, strict=True)]
        assert torch.equal(once[key], torch.stack(expected))
    assert torch.equal(once["landmarks"][1], batch["landmarks"][1])
    twice = mirror(once, which)
    assert all(torch.allclose(batch[key], twice[key], atol=1e-5, rtol=0) for key in batch)
    assert torch.equal(batch["image"], twice["image"])


def test_whole_steps_agree_with_the_interpolated_map() -> None:
    batch, steps = batch_of(3), torch.tensor([[4, -7], [0, 3], [-9, 0]])
    a_map = stacked(*(similarity(0, 1, (x, y)) for x, y in steps.tolist()))
    moved, warped = shift(batch, steps), warp(batch, a_map)
    assert all(torch.allclose(moved[key].float(), warped[key].float(), atol=1e-4) for key in batch)
    assert torch.equal(moved["mask"], warped["mask"])


def test_background_moves_into_a_mask_and_a_missing_mask_stays_missing() -> None:
    batch, steps = batch_of(2), torch.tensor([[30, 20], [30, 20]])
    batch["mask"] = torch.stack([torch.full((HEIGHT, WIDTH), 2), torch.full((HEIGHT, WIDTH), 255)]).to(torch.uint8)
    for moved in (shift(batch, steps), warp(batch, similarity(15, 0.5, (0, 0)).expand(2, 2, 3))):
        assert moved["mask"].dtype == torch.uint8
        assert moved["mask"][0].unique().tolist() == [0, 2]
        assert (moved["mask"][1] == 255).all()


def test_a_box_is_clipped_to_the_canvas_and_missing_once_less_than_a_px_is_left() -> None:
    batch = batch_of(3)
    batch["nt_box"] = torch.tensor([[60.0, 10, 75, 20], [69.5, 10, 79, 20], [10, 10, 20, 20]])
    moved = warp(batch, similarity(0, 1, (10, 0)).expand(3, 2, 3))["nt_box"]
    assert torch.allclose(moved[0], torch.tensor([70.0, 10, 80, 20]), atol=1e-4)
    assert moved[1].isnan().all()
    assert torch.allclose(moved[2], torch.tensor([20.0, 10, 30, 20]), atol=1e-4)
