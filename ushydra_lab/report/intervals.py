"""Table cells of a score that has a confidence interval in every seed."""

from __future__ import annotations

import numpy as np
import pandas as pd

from ushydra_lab.report.tables import mean_cell
from ushydra_lab.results.clustered import Clustered

ONE_SEED = "Mean ± SD over seeds (ddof 1); in brackets the 95 % interval of one seed's, subjects as units"


def numbers(name: str, found: Clustered) -> dict[str, float]:
    """NAME, NAME_low and NAME_high."""
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}


def interval_cell(scores: pd.DataFrame, name: str, digits: int = 3) -> str:
    """Mean ± SD over seeds of `numbers`, and the mean over seeds of the interval's ends."""
    of_seeds = scores.groupby("seed")[[name, f"{name}_low", f"{name}_high"]].mean()
    shown = mean_cell(of_seeds[name].mean(), of_seeds[name].std(ddof=1), digits)
    low, high = of_seeds[f"{name}_low"].mean(), of_seeds[f"{name}_high"].mean()
    return shown if np.isnan(low) else f"{shown} [{low:.{digits}f}, {high:.{digits}f}]"
