"""Values that are sent to where they already lie are the same, and what does not hold is told at once."""

import numpy as np
import pytest
import torch

from ushydra_lab.devices import ensure, reading_waits, sent

HERE = torch.zeros(1)


def test_values_arrive_in_the_type_that_is_asked_for() -> None:
    assert sent([1, 2], HERE, torch.float64).dtype == torch.float64
    assert sent(0.25, HERE).item() == 0.25
    assert sent(np.array([True, False]), HERE).tolist() == [True, False]
    learned = torch.nn.Parameter(torch.ones(()))
    assert sent(learned, HERE, torch.float32).requires_grad


def test_what_does_not_hold_somewhere_is_told() -> None:
    ensure(torch.tensor([True, True]), lambda: pytest.fail("nothing to tell"))
    with pytest.raises(ValueError, match="the second"):
        ensure(torch.tensor([True, False]), lambda: "the second")


def test_reading_waits_for_another_device_alone() -> None:
    assert not reading_waits(HERE)
    assert reading_waits(HERE.to("meta"))
