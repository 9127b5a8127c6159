"""Per-image tables for the tests of statistics."""

from __future__ import annotations

import numpy as np
import pandas as pd


def table(
    values: np.ndarray, images: int | list[int] = 1, seeds: list[int] | None = None, site: str = "a"
) -> pd.DataFrame:
    """Of values (seeds, images): subjects with so many images each, one after the other; columns as collected."""
    number = values.shape[1]
    counts = [images] * (number // images) if isinstance(images, int) else images
    subject = np.repeat([f"s{j}" for j in range(len(counts))], counts)
    return pd.concat(
        pd.DataFrame({"seed": seed, "site": site, "subject": subject, "record": range(number), "m": row})
        for seed, row in zip(seeds or range(len(values)), values, strict=True)
    ).reset_index(drop=True)


def simulated(
    rng: np.random.Generator, seeds: int, counts: list[int], seed_sd: float, response: float, noise: float
) -> np.ndarray:
    """Differences (seeds, images) of mean 0: by seed, by subject, and of each image."""
    who = np.repeat(np.arange(len(counts)), counts)
    by_subject = rng.normal(0, response, len(counts))[who]
    return rng.normal(0, seed_sd, (seeds, 1)) + by_subject + rng.normal(0, noise, (seeds, len(who)))
