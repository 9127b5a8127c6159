"""The benchmark: the lab's speed and memory on this machine, beside named references and the machine's own limit."""

SCALES = ("paper", "laptop", "tiny")
"""Sizes of what is measured; tiny is for tests."""
PART_NAMES = (
    "loss", "training", "systems", "memory", "limit", "growth", "predict", "startup", "protocol", "phantom", "evidence",
    "endtoend",
)  # fmt: skip
"""Each a module of this name, whose `rows(lab)` yields rows."""
LONG = ("endtoend",)
"""Parts that are measured only where they are asked for."""
