"""What configuration files ask for while they are composed."""

import pytest
import torch

from .test_validation import composed


@pytest.mark.parametrize(
    ("words", "on_gpu"),
    [
        (["+experiment=nt_phase2", "scale=paper"], "bf16-mixed"),
        (["+experiment=nt_phase2", "scale=laptop"], "32-true"),
        (["+experiment=nt_phase2", "scale=paper", "trainer.precision=32-true"], "32-true"),
        (["+experiment=brain_attention_unet", "scale=paper"], "16-mixed"),
    ],
)
def test_half_precision_is_that_of_the_papers_sizes_on_a_gpu_unless_another_is_named(
    words: list[str], on_gpu: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    for there, expected in ((True, on_gpu), (False, on_gpu.replace("bf16-mixed", "32-true"))):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert composed(*words).trainer.precision == expected
