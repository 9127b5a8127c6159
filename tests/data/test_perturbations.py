import pytest
import torch

from ushydra_lab.data.perturbations import SWEEPS, contrast, gain, noise, speckle


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def image() -> torch.Tensor:
    return 0.3 + 0.4 * torch.rand(4, 1, 64, 64, generator=drawn(9))


@pytest.mark.parametrize("name", SWEEPS)
def test_one_strength_changes_nothing_and_others_change_more_and_more(name: str, image: torch.Tensor) -> None:
    perturb, strengths = SWEEPS[name]
    neutral = 1.0 if name == "contrast" else 0.0
    assert neutral in strengths
    torch.testing.assert_close(perturb(image, neutral, drawn()), image)
    changes = [(perturb(image, s, drawn()) - image).abs().mean().item() for s in strengths if s >= neutral]
    assert changes == sorted(changes)
    for strength in strengths:
        changed = perturb(image, strength, drawn())
        assert 0 <= changed.min() <= changed.max() <= 1
        assert torch.equal(changed, perturb(image, strength, drawn()))


def test_strengths_mean_what_they_say(image: torch.Tensor) -> None:
    assert (noise(image, 0.05, drawn()) - image).std().item() == pytest.approx(0.05, rel=0.02)
    assert (speckle(image, 0.1, drawn()) / image - 1).std().item() == pytest.approx(0.1, rel=0.02)
    assert (contrast(image, 0.5, drawn()).std() / image.std()).item() == pytest.approx(0.5, rel=1e-4)
    torch.testing.assert_close(contrast(image, 0.5, drawn()).mean(), image.mean())
    torch.testing.assert_close(gain(image, 0.1, drawn()), image + 0.1)
    black = torch.zeros(1, 1, 4, 4)
    assert torch.equal(gain(black, 0.1, drawn()), black)
