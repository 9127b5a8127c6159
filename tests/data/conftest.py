import os
from collections.abc import Callable

import pytest


@pytest.fixture
def fuzz_seeds() -> Callable[[int], range]:
    """fuzz_seeds(500): every tenth of 500 seeds, all of them with USHYDRA_FUZZ=full."""
    step = 1 if os.environ.get("USHYDRA_FUZZ") == "full" else 10
    return lambda count: range(0, count, step)
