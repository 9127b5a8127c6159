"""Image and annotations move together."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from ushydra_lab.data.affine import Batch
from ushydra_lab.data.augment import Augmentation, Chain, FlipShift, Photometric, RandomAffine

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU"))]
HEIGHT, WIDTH = 120, 160
AUGMENTATIONS: dict[str, Augmentation] = {
    "flip": RandomAffine(1.0, 0.0, 0.0, 0.0),
    "rotation": RandomAffine(0.0, 20.0, 0.0, 0.0),
    "shift": RandomAffine(0.0, 0.0, 0.0625, 0.0),
    "scale": RandomAffine(0.0, 0.0, 0.0, 0.1),
    "all": RandomAffine(0.5, 20.0, 0.0625, 0.1),
    "exact": FlipShift(0.5, 8),
    "chain": Chain([Photometric(0.0, 0.2, p=1.0, clahe=0.0), RandomAffine(), FlipShift()]),
}


def marked(x: int, y: int, height: int = 20, width: int = 30) -> Batch:
    """A canvas with one bright 3 x 2 patch, its box, and content that leaves a margin."""
    image = torch.zeros(1, 1, height, width)
    image[0, 0, y : y + 2, x : x + 3] = 1
    box = torch.tensor([[x, y, x + 3, y + 2]], dtype=torch.float32)
    content = torch.tensor([[0.0, 1.0, width, height - 1.0]])
    return {"image": image, "nt_box": box, "content": content, "record": torch.tensor([7])}


@given(x=st.integers(0, 27), y=st.integers(0, 18), seed=st.integers(0, 1000), shift=st.integers(0, 9))
def test_the_box_still_encloses_exactly_what_it_enclosed(x: int, y: int, seed: int, shift: int) -> None:
    moved = FlipShift(flip=0.5, shift=shift)(marked(x, y), np.random.default_rng(seed))
    rows, columns = torch.where(moved["image"][0, 0] > 0)
    bounds = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
    assert moved["nt_box"][0].tolist() == [float(bound) for bound in bounds]
    assert moved["image"].sum() == 6
    assert moved["record"].tolist() == [7]


def test_mirroring_twice_changes_nothing() -> None:
    for always in (FlipShift(flip=1.0, shift=0), AUGMENTATIONS["flip"]):
        batch = marked(4, 5)
        twice = always(always(batch, np.random.default_rng(0)), np.random.default_rng(0))
        assert all(torch.equal(batch[key], twice[key]) for key in batch)


def test_every_shift_occurs_and_none_beyond_the_limit() -> None:
    shifts = {
        tuple(FlipShift(0.0, 2)(marked(12, 9), np.random.default_rng(seed))["nt_box"][0, :2].int().tolist())
        for seed in range(400)
    }
    assert shifts == {(12 + dx, 9 + dy) for dx in range(-2, 3) for dy in range(-2, 3)}


def test_a_missing_box_is_no_obstacle() -> None:
    batch = marked(12, 9) | {"nt_box": torch.full((1, 4), torch.nan)}
    for shift in (3, 50):
        moved = FlipShift(1.0, shift)(batch, np.random.default_rng(0))
        assert moved["nt_box"].isnan().all()
        assert moved["image"].isfinite().all()


def scene(count: int, seed: int = 0) -> Batch:
    """A Gaussian blob at every landmark; in the mask disc 1 about femur point 0 and rectangle 2 with its box."""
    rng = np.random.default_rng(seed)
    centre = np.array([WIDTH, HEIGHT]) / 2
    blobs = np.add(centre, [(-28, -6), (28, 6), (-4, -28), (5, 27)]) + rng.uniform(-3, 3, (count, 4, 2))
    disc = np.add(centre, (-14, 4)) + rng.uniform(-3, 3, (count, 2))
    corner = np.round(np.add(centre, (8, -16)) + rng.uniform(-3, 3, (count, 2)))
    box = np.concatenate([corner, np.add(corner, (18, 9))], axis=1)
    y, x = np.indices((HEIGHT, WIDTH)) + 0.5
    squared = (x - blobs[..., 0, None, None]) ** 2 + (y - blobs[..., 1, None, None]) ** 2
    image = np.exp(-squared / (2 * 2.5**2)).sum(axis=1, keepdims=True)
    mask = ((x - disc[:, 0, None, None]) ** 2 + (y - disc[:, 1, None, None]) ** 2 < 6.5**2).astype(np.uint8)
    mask[np.stack([(x > x1) & (x < x2) & (y > y1) & (y < y2) for x1, y1, x2, y2 in box])] = 2
    floats = {
        "image": image.clip(0, 1),
        "landmarks": blobs,
        "femur_landmarks": np.stack([disc, disc + 5], axis=1),
        "csp_box": box,
        "nt_box": np.full((count, 4), np.nan),
        "abdomen_landmarks": np.full((count, 4, 2), np.nan),
        "content": np.tile([0.0, 2, WIDTH, HEIGHT - 2], (count, 1)),
        "pixel_mm": rng.uniform(0.1, 0.3, count),
    }
    batch = {key: torch.tensor(values, dtype=torch.float32) for key, values in floats.items()}
    return batch | {"mask": torch.from_numpy(mask), "plane": torch.ones(count, dtype=torch.int64)}


def centroid(weights: Tensor, about: Tensor) -> Tensor:
    """(x, y) of (H, W) weights within 9 px of a point."""
    rows, columns = (torch.arange(side) + 0.5 for side in weights.shape)
    weights = weights * ((columns - about[0]) ** 2 + (rows[:, None] - about[1]) ** 2 < 9**2)
    return torch.stack([(weights.sum(0) * columns).sum(), (weights.sum(1) * rows).sum()]) / weights.sum()


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [1, 8])
@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_points_masks_and_boxes_stay_on_what_they_mark(name: str, size: int, device: str) -> None:
    for seed in range(8 // size):
        batch = {key: values.to(device) for key, values in scene(size, seed).items()}
        moved = AUGMENTATIONS[name](batch, np.random.default_rng(seed))
        for row in range(size):
            check_marks({key: values[row].cpu() for key, values in moved.items()})


def check_marks(shown: Batch) -> None:
    """In one row: blobs within 0.25 px of their points, the disc within 0.5 px, the rectangle tight in its box."""
    for point in shown["landmarks"]:
        assert (centroid(shown["image"][0], point) - point).norm() < 0.25
    disc = shown["femur_landmarks"][0]
    assert (centroid(shown["mask"] == 1, disc) - disc).norm() < 0.5
    rows, columns = torch.where(shown["mask"] == 2)
    first, last = torch.stack([columns.min(), rows.min()]) + 0.5, torch.stack([columns.max(), rows.max()]) + 0.5
    low, high = shown["csp_box"].view(2, 2)
    assert ((low <= first) & (last <= high)).all(), "pixel centres of the rectangle lie in its box"
    assert ((first - low < 1.5) & (high - last < 1.5)).all(), "and reach to its edges"


def test_draws_fill_the_limits_and_differ_between_images() -> None:
    points = torch.tensor([[80.0, 60], [81, 60], [80, 61], [80, 60]]).expand(400, 4, 2)
    content = torch.tensor([[0.0, 0, WIDTH, HEIGHT]]).expand(400, 4)
    batch = {"image": torch.zeros(400, 1, HEIGHT, WIDTH), "landmarks": points, "content": content}
    moved = RandomAffine(0.5, 10.0, 0.0625, 0.1)(batch, np.random.default_rng(5))["landmarks"].double().numpy()
    x, y = (moved[:, 1] - moved[:, 0]).T, (moved[:, 2] - moved[:, 0]).T
    determinant, angle = x[0] * y[1] - x[1] * y[0], np.degrees(np.arctan2(-y[0], y[1]))
    drawn = np.stack([angle, np.sqrt(np.abs(determinant)) - 1, moved[:, 0, 0] - 80, moved[:, 0, 1] - 60])
    for values, limit in zip(drawn, (10, 0.1, 10, 7.5), strict=True):
        assert np.abs(values).max() < limit + 1e-3
        assert values.min() < -0.9 * limit
        assert values.max() > 0.9 * limit
        assert np.std(values) == pytest.approx(limit / np.sqrt(3), rel=0.1)
    assert 0.4 < (determinant < 0).mean() < 0.6


@given(
    places=st.lists(st.tuples(st.floats(0, WIDTH), st.floats(0, HEIGHT)), min_size=4, max_size=4),
    box=st.tuples(st.floats(0, 70), st.floats(0, 50), st.floats(80, WIDTH), st.floats(60, HEIGHT)),
    rotate=st.floats(0, 180),
    seed=st.integers(0, 1000),
)
def test_what_is_annotated_stays_on_the_canvas(
    places: list[tuple[float, float]], box: tuple[float, float, float, float], rotate: float, seed: int
) -> None:
    batch = {
        "image": torch.zeros(1, 1, HEIGHT, WIDTH),
        "content": torch.tensor([[0.0, 0, WIDTH, HEIGHT]]),
        "landmarks": torch.tensor([places]),
        "head_box": torch.tensor([box]),
    }
    for augmentation in (RandomAffine(0.5, rotate, 0.3, 0.5), FlipShift(0.5, 50)):
        moved = augmentation(batch, np.random.default_rng(seed))
        assert moved["head_box"].isfinite().all()
        over = torch.maximum(-moved["landmarks"], moved["landmarks"] - torch.tensor([WIDTH, HEIGHT]))
        assert over.max() < 1e-3


def test_missing_annotations_stay_missing_and_set_no_limit() -> None:
    with_missing = scene(8)
    bare = {key: values for key, values in with_missing.items() if not values.isnan().any()}
    for augmentation in (FlipShift(0.5, 30), RandomAffine(0.5, 20.0, 0.3, 0.3)):
        moved = augmentation(with_missing, np.random.default_rng(0))
        assert moved["nt_box"].isnan().all()
        assert moved["abdomen_landmarks"].isnan().all()
        unmoved = augmentation(bare, np.random.default_rng(0))
        assert all(torch.equal(moved[key], unmoved[key]) for key in bare)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_batch_of_images_alone_is_augmented_too(name: str) -> None:
    batch = {key: values for key, values in scene(2).items() if key in ("image", "content")}
    moved = AUGMENTATIONS[name](batch, np.random.default_rng(0))
    assert not torch.equal(moved["image"], batch["image"])


@pytest.mark.parametrize("augmentation", [FlipShift(0, 0), RandomAffine(0, 0, 0, 0), Photometric(0, 0, 1, 0)])
def test_at_zero_strength_the_batch_stays_the_same_to_the_bit(augmentation: Callable[..., Batch]) -> None:
    same = augmentation(batch := scene(3), np.random.default_rng(0))
    assert all(torch.equal(batch[key].nan_to_num(-1), same[key].nan_to_num(-1)) for key in batch)


@pytest.mark.parametrize("name", [*AUGMENTATIONS, "photometric"])
def test_the_generator_alone_decides_and_the_given_batch_is_left_alone(name: str) -> None:
    augmentation = (AUGMENTATIONS | {"photometric": Photometric(p=1.0, clahe=1.0)})[name]
    batch, untouched = scene(4), scene(4)
    one, again, other = (augmentation(batch, np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert all(torch.equal(one[key].nan_to_num(-1), again[key].nan_to_num(-1)) for key in batch)
    assert all(torch.equal(batch[key].nan_to_num(-1), untouched[key].nan_to_num(-1)) for key in batch)
    assert name == "flip" or not torch.equal(one["image"], other["image"])


def textured(count: int) -> Batch:
    """Dim noise without pure black, with padding above and below."""
    image = torch.from_numpy(np.random.default_rng(0).uniform(0.3, 0.6, (count, 1, 64, 96))).float()
    image[:, :, :8] = image[:, :, -8:] = 0
    content = torch.tensor([[0.0, 8, 96, 56]]).expand(count, 4)
    return {"image": image, "content": content}


def test_contrast_and_brightness_are_one_linear_map_of_an_image_with_the_given_limits() -> None:
    before = textured(300)
    after = Photometric(brightness=0.2, contrast=0.2, p=0.3, clahe=0.0)(before, np.random.default_rng(0))
    x, y = (batch["image"][:, 0, 8:-8].flatten(1).numpy() for batch in (before, after))
    fits = [np.polyfit(a, b, 1, full=True) for a, b in zip(x, y, strict=True)]
    contrast, brightness = np.stack([fit[0] for fit in fits]).T
    assert max(fit[1].item() for fit in fits) < 1e-6
    for values in (contrast - 1, brightness):
        assert (values.min(), values.max()) == (pytest.approx(-0.2, abs=0.01), pytest.approx(0.2, abs=0.01))
        assert 0.2 < (np.abs(values) > 1e-5).mean() < 0.4
    assert not torch.cat([after["image"][:, :, :8], after["image"][:, :, -8:]]).any(), "padding stays black"


def test_clahe_spreads_the_grey_values_of_the_share_of_images_it_was_asked_for() -> None:
    before = textured(100)
    after = Photometric(p=0.0, clahe=0.2)(before, np.random.default_rng(0))
    changed = (before["image"] != after["image"]).flatten(1).any(dim=1)
    assert 10 <= changed.sum() <= 30
    spread, spread_before = (batch["image"][changed, 0, 8:-8].flatten(1).std(dim=1) for batch in (after, before))
    assert (spread > spread_before).all()
    assert not torch.cat([after["image"][:, :, :8], after["image"][:, :, -8:]]).any(), "padding stays black"
    darker = before | {"image": before["image"] * torch.where(changed, 1, 0.1).view(-1, 1, 1, 1)}
    among_darker = Photometric(p=0.0, clahe=0.2)(darker, np.random.default_rng(0))["image"]
    assert torch.equal(among_darker[changed], after["image"][changed]), "other images of a batch have no influence"


def test_a_chain_is_made_from_a_configuration_and_applies_its_steps_in_turn() -> None:
    module = "ushydra_lab.data.augment"
    steps = [{"_target_": f"{module}.Photometric", "p": 1.0}, {"_target_": f"{module}.RandomAffine", "shift": 0.1}]
    chain = instantiate({"_target_": f"{module}.Chain", "steps": steps}, _convert_="all")
    batch, rng = scene(3), np.random.default_rng(0)
    expected = RandomAffine(shift=0.1)(Photometric(p=1.0)(batch, rng), rng)
    assert torch.equal(chain(batch, np.random.default_rng(0))["image"], expected["image"])


def test_every_impossible_setting_is_named_at_once() -> None:
    with pytest.raises(ValueError, match=r"flip=1.5 .*shift=-3 "):
        FlipShift(flip=1.5, shift=-3)
    with pytest.raises(ValueError, match=r"rotate_deg=-5 .*shift=20 .*scale=1 "):
        RandomAffine(rotate_deg=-5, shift=20, scale=1)
    with pytest.raises(ValueError, match=r"brightness=2 .*p=nan "):
        Photometric(brightness=2, p=float("nan"))
