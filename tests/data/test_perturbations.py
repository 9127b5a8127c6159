import pytest
import torch

from ushydra_lab.data.perturbations import SWEEPS, contrast, gain, noise, speckle

WHOLE = torch.tensor([[0.0, 0.0, 64.0, 64.0]])


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
    torch.testing.assert_close(perturb(image, neutral, drawn(), WHOLE), image)
    changes = [(perturb(image, s, drawn(), WHOLE) - image).abs().mean().item() for s in strengths if s >= neutral]
    assert changes == sorted(changes)
    for strength in strengths:
        changed = perturb(image, strength, drawn(), WHOLE)
        assert 0 <= changed.min() <= changed.max() <= 1
        assert torch.equal(changed, perturb(image, strength, drawn(), WHOLE))


def test_strengths_mean_what_they_say(image: torch.Tensor) -> None:
    assert (noise(image, 0.05, drawn(), WHOLE) - image).std().item() == pytest.approx(0.05, rel=0.02)
    assert (speckle(image, 0.1, drawn(), WHOLE) / image - 1).std().item() == pytest.approx(0.1, rel=0.02)
    assert (contrast(image, 0.5, drawn(), WHOLE).std() / image.std()).item() == pytest.approx(0.5, rel=1e-4)
    torch.testing.assert_close(contrast(image, 0.5, drawn(), WHOLE).mean(), image.mean())
    torch.testing.assert_close(gain(image, 0.1, drawn(), WHOLE), image + 0.1)
    black = torch.zeros(1, 1, 4, 4)
    assert torch.equal(gain(black, 0.1, drawn(), WHOLE), black)


@pytest.mark.parametrize("name", SWEEPS)
def test_padding_stays_as_it_is_and_changes_nothing_inside(name: str, image: torch.Tensor) -> None:
    perturb, strengths = SWEEPS[name]
    content = torch.tensor([[0.0, 16.0, 64.0, 48.0]])
    padding = torch.ones(64, 1, dtype=torch.bool)
    padding[16:48] = False
    black, white = (image.masked_fill(padding, value) for value in (0.0, 1.0))
    for strength in strengths:
        changed, beside_white = (perturb(padded, strength, drawn(), content) for padded in (black, white))
        assert changed[..., :16, :].eq(0).all()
        assert changed[..., 48:, :].eq(0).all()
        assert torch.equal(changed[..., 16:48, :], beside_white[..., 16:48, :])


def test_contrast_is_about_the_mean_of_the_image_whatever_the_padding(image: torch.Tensor) -> None:
    padded = torch.nn.functional.pad(image, (0, 0, 32, 0))
    changed = contrast(padded, 0.4, drawn(), torch.tensor([[0.0, 32.0, 64.0, 96.0]]))
    torch.testing.assert_close(changed[..., 32:, :], contrast(image, 0.4, drawn(), WHOLE))
