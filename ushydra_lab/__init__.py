"""Multi-hospital ultrasound experiments: four systems, one data module, an unseen hospital that stays unseen.

What Python code may call stands in `ushydra_lab.api`; it is loaded when it is first asked for.
"""

import importlib
from typing import Any

__version__ = "0.4.0"
__all__ = ["Prediction", "Run", "UserError", "evaluate", "load", "predict", "read_manifest", "train", "write_report"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.api"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
