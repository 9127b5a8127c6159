"""What the lab costs on this machine, beside named references and the machine's own limit."""

SCALES = ("paper", "laptop", "tiny")
"""Sizes of what is measured; tiny is for tests."""
PARTS = ("loss", "training", "systems", "memory", "limit", "growth", "protocol", "phantom")
"""Each a module of this name, whose `measure(lab)` yields rows."""
