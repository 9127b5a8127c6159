"""Numbers printed for the multicentre fetal biometry benchmark (C. Di Vece et al., arXiv 2512.16710), its heads."""

from __future__ import annotations

Printed = tuple[str, str]
"""NME by each diameter's own length, BPD and OFD."""
ALL, POOLED = ("FP", "HC18", "UCL"), "test parts"
PRINTED: dict[tuple[tuple[str, ...], str], Printed] = {
    (("HC18",), "FP"): ("0.06", "0.06"),
    (("FP",), "HC18"): ("0.08", "0.08"),
    (("FP",), "UCL"): ("0.38", "0.22"),
    (("HC18",), "UCL"): ("0.15", "0.19"),
    (("UCL",), "FP"): ("0.10", "0.09"),
    (("UCL",), "HC18"): ("0.17", "0.13"),
    (ALL, POOLED): ("0.04", "0.03"),
}
"""(sites trained on, tested on) -> printed values."""
TRAIN_IMAGES = {"HC18": 737, "FP": 757, "UCL": 110}
TEST_IMAGES = {"HC18": 262, "FP": 880, "UCL": 49}
"""Heads of the published parts."""
