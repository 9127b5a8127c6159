"""Results of two methods that are equal, or differ by a known amount: phantoms for the statistics, without images.

Any difference that is found between `equal_methods` is false; whether one of `known_effect` is right, is known. Each
value is a sum of independent normal deviations:

    value = mean + effect of the method at the site + subject + (seed, method) + (image, seed, method)
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

METHODS = ("a", "b")


@dataclass(frozen=True)
class Trial:
    """A planned comparison and how much its results vary.

    effect: of method b against a, at a site on average; subject_sd: shared by both methods; seed_sd: of one training,
    shared by all its images; image_sd: of what is left; site_sd: of the effect from one site to the next.
    """

    effect: float = 0.0
    sites: int = 1
    subjects: int = 60
    images: int = 1
    seeds: int = 5
    mean: float = 30.0
    subject_sd: float = 1.0
    seed_sd: float = 0.2
    image_sd: float = 0.5
    site_sd: float = 0.0


def equal_methods(seed: int, trial: Trial = Trial()) -> pd.DataFrame:
    """Results of two methods without any difference but chance. Raises ValueError for a trial with an effect."""
    if trial.effect or trial.site_sd:
        raise ValueError(f"{trial}: methods that are equal have no effect, at no site")
    return known_effect(seed, trial)


def known_effect(seed: int, trial: Trial) -> pd.DataFrame:
    """One row an image, training and method: variant, seed, site, subject, record, value; a function of `seed`."""
    rng = np.random.default_rng(seed)
    shape = (len(METHODS), trial.seeds, trial.sites, trial.subjects, trial.images)
    value = np.full(shape, trial.mean)
    value[1] += trial.effect + trial.site_sd * rng.standard_normal((trial.sites, 1, 1))
    value += trial.subject_sd * rng.standard_normal((trial.sites, trial.subjects, 1))
    value += trial.seed_sd * rng.standard_normal((len(METHODS), trial.seeds, 1, 1, 1))
    value += trial.image_sd * rng.standard_normal(shape)
    method, training, site, subject, image = (index.ravel() for index in np.indices(shape))
    record = np.ravel_multi_index((site, subject, image), shape[2:])
    return pd.DataFrame({
        "variant": np.array(METHODS)[method],
        "seed": 1000 + training,
        "site": [f"site_{k:02d}" for k in site + 1],
        "subject": [f"{k:04d}" for k in subject],
        "record": record,
        "value": value.ravel(),
    })  # fmt: skip
