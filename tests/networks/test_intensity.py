"""What a network sees of an image's grey values depends on the image, not on its padding."""

import pytest
import torch

from ushydra_lab.networks.intensity import Intensity, Kind


def image(seed: int, low: float = 0.1, high: float = 0.7) -> tuple[torch.Tensor, torch.Tensor]:
    """Two images whose left four columns are padding."""
    values = torch.rand(2, 1, 12, 16, generator=torch.Generator().manual_seed(seed)) * (high - low) + low
    inside = torch.ones_like(values, dtype=torch.bool)
    inside[..., :4] = False
    return torch.where(inside, values, 0), inside


def test_zscore_gives_the_content_mean_0_and_sd_1() -> None:
    values, inside = image(0)
    shown = Intensity("zscore")(values, inside)[..., 4:]
    assert torch.allclose(shown.mean((1, 2, 3)), torch.zeros(2), atol=1e-6)
    assert torch.allclose(shown.std((1, 2, 3), correction=0), torch.ones(2), atol=1e-6)


@pytest.mark.parametrize("kind", ["zscore", "image_minmax"])
def test_gain_and_offset_of_the_machine_do_not_matter(kind: Kind) -> None:
    values, inside = image(0)
    changed = torch.where(inside, values * 0.5 + 0.2, 0)
    one = Intensity(kind)
    assert torch.allclose(one(values, inside)[..., 4:], one(changed, inside)[..., 4:], atol=1e-5)


def test_minmax_spans_0_to_1_of_each_image_or_of_the_training_images() -> None:
    (dark, inside), (bright, _) = image(0, 0.1, 0.4), image(1, 0.5, 0.9)
    shown = Intensity("image_minmax")(dark, inside)[..., 4:]
    assert shown.amin((1, 2, 3)).tolist() == [0, 0]
    assert shown.amax((1, 2, 3)).tolist() == [1, 1]
    of_all = Intensity("dataset_minmax")
    of_all.fit([(dark, inside), (bright, inside)])
    again = Intensity("dataset_minmax")
    again.load_state_dict(of_all.state_dict())
    assert again(dark, inside)[..., 4:].min() == 0
    assert again(bright, inside)[..., 4:].max() == 1


@pytest.mark.parametrize("kind", ["unit", "dataset_minmax", "image_minmax", "zscore"])
def test_an_image_of_one_grey_value_stays_finite(kind: Kind) -> None:
    inside = torch.ones(1, 1, 4, 4, dtype=torch.bool)
    assert Intensity(kind)(torch.full((1, 1, 4, 4), 0.5), inside).isfinite().all()


def test_an_unknown_kind_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"intensity='z' is not one of unit, dataset_minmax, image_minmax, zscore"):
        Intensity("z")  # type: ignore[arg-type]
