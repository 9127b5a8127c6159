"""The intervals in mm of a finished run's measurements: for images of its training sites, and for a new hospital.

Around a measured length both are the length ∓ a half-width, by conformal prediction (`results.conformal`). That of the
training sites is for an image of a new subject, by the run's own validation images. That of a new hospital is by the
errors at each training site of a network trained on the others alone: an inner fold of the run
(`data.split.LeaveSitesOut`), or, of a run trained on all sites of its data, a leave-one-site-out run. No image of a
site that the run has not seen counts.

Networks trained on one site fewer stand for the run's own, as in the jackknife: the bound holds if they err at a site
left out no less than that does at a new one, which is usual, since they have seen less, and no theorem. The jackknife+
has one, for 1 - 2 alpha, and needs all those networks at every prediction (R. F. Barber, E. J. Candes, A. Ramdas and
R. J. Tibshirani, Predictive inference with the jackknife+, Ann. Stat. 49, 2021; of sites: Lee et al., see there).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from math import inf
from typing import Any

import pandas as pd

from ushydra_lab.config.identity import determining
from ushydra_lab.results.conformal import conformal_quantile, units_needed
from ushydra_lab.runs.run import Run

ALPHA = 0.1
MEASURES = ("ofd", "bpd", "hc")


class Validity(Enum):
    """The images that an interval is for; its value is how tables call them."""

    TRAINING_SITES = "training sites"
    NEW_HOSPITAL = "a new hospital"


@dataclass(frozen=True)
class Interval:
    """A measured length ∓ half_width, in `unit`, holds the reference length of 1 - alpha of the images of `validity`.

    measure: ofd, bpd or hc. images, sites: how many calibrate it. method: of calibration.
    """

    measure: str
    unit: str
    alpha: float
    half_width: float
    validity: Validity
    images: int
    sites: int
    method: str


@dataclass(frozen=True)
class Calibration:
    """The errors that calibrate the intervals of one stage of a run: tables with site, subject and all metrics.

    training: the sites that it was trained on. validation: its validation images. left_out: images of training sites,
    each by the network of a run that was trained on the other training sites alone.
    """

    training: frozenset[str]
    validation: pd.DataFrame
    left_out: pd.DataFrame

    def errors(self, measure: str, validity: Validity) -> pd.DataFrame:
        """The calibrating images whose error is known, and that error, in `unit`, as `error`."""
        table = self.validation if validity is Validity.TRAINING_SITES else self.left_out
        column = f"{measure}_abs_error_{self.unit}"
        if column not in table:
            return pd.DataFrame(columns=["site", "subject", "error"])
        return table.assign(error=table[column]).dropna(subset=["error"])

    @property
    def unit(self) -> str:
        """mm where validation images have a length in mm, else px."""
        column = "ofd_abs_error_mm"
        return "mm" if column in self.validation and self.validation[column].notna().any() else "px"

    def interval(self, measure: str, validity: Validity, alpha: float = ALPHA) -> Interval | None:
        """None where too few images, or too few sites, calibrate one: `shortage` says so of a new hospital."""
        known = self.errors(measure, validity)
        if validity is Validity.TRAINING_SITES:
            subjects = known.groupby(["site", "subject"]).ngroup()
            half, method = conformal_quantile(known["error"], subjects, alpha), "conformal by subject"
        else:
            half, method = self._new_hospital(known, alpha), "conformal by site, each training site left out"
        sites = known["site"].nunique()
        return None if half == inf else Interval(measure, self.unit, alpha, half, validity, len(known), sites, method)

    def _new_hospital(self, known: pd.DataFrame, alpha: float) -> float:
        if set(known["site"]) != self.training:  # sites chosen by who has been left out yet are no fair sample
            return inf
        return conformal_quantile(known["error"], known["site"], alpha)

    def shortage(self, alpha: float = ALPHA) -> str:
        """Why there is no interval for a new hospital; '' where there is one."""
        needed, trained = units_needed(alpha), len(self.training)
        if trained < needed:
            return (
                f"{100 * (1 - alpha):g} % of a new hospital's images take {needed} training sites, each left out in "
                f"turn (1/alpha - 1), and it was trained on {trained}"
            )
        if absent := sorted(self.training - set(self.errors("ofd", Validity.NEW_HOSPITAL)["site"])):
            return (
                f"no finished run that leaves out {', '.join(absent)} as well has measured it "
                "(split=leave_sites_out split.inner=SITE)"
            )
        return ""


def calibration(run: Run, stage: str, others: Iterable[Run]) -> Calibration:
    """What calibrates the intervals of a run's stage. others: finished runs, such as all of the same experiment.

    Raises:
        DamagedFile: a file of a run is not as it was written.
    """
    own = stage_images(run, stage)
    folds = ((site, stage_images(other, stage)) for site, other in inner_folds(run, others))
    left_out = [images[(images["part"] == "test") & (images["site"] == site)] for site, images in folds]
    return Calibration(_seen(run), own[own["part"] == "val"], pd.concat(left_out) if left_out else own.iloc[:0])


def inner_folds(run: Run, others: Iterable[Run]) -> list[tuple[str, Run]]:
    """(site, run) for each training site that one of the others has left out, in alphabetical order.

    Such a run has the same settings, seed and data, was trained on all of the run's training sites but one and on
    nothing else, and has tested that one.
    """
    training, comparable, found = _seen(run), _comparable(run), dict[str, Run]()
    for other in sorted(others):
        lacking = training - (seen := _seen(other))
        if seen < training and len(lacking) == 1 and _comparable(other) == comparable:
            (site,) = lacking
            if ((other.split["part"] == "test") & (other.split["site"] == site)).any():
                found.setdefault(site, other)
    return sorted(found.items())


def _seen(run: Run) -> frozenset[str]:
    """Sites with images that the run was trained or selected on."""
    return frozenset(run.split.loc[run.split["part"].isin(["train", "val"]), "site"])


def _comparable(run: Run) -> tuple[Any, ...]:
    """What two runs share that differ in the sites left out alone."""
    settings = determining(run.config)
    return {key: settings[key] for key in settings if key not in ("held_out", "split")}, run.summary.data


def stage_images(run: Run, stage: str) -> pd.DataFrame:
    """The run's evaluated images as one stage answered them, with their subjects."""
    images = run.images
    return images[images["stage"] == stage].merge(run.split[["record", "subject"]], on="record")
