"""Growth of the cost with images, sites, seeds, canvas, rows of a manifest and runs, which should be linear."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from ushydra_lab.benchmark.lab import ROI_EXPERIMENT, SIZES, Lab, data_of, quiet
from ushydra_lab.benchmark.loop import TRAINING, timed_fit
from ushydra_lab.benchmark.many_runs import copied, trained
from ushydra_lab.benchmark.rows import Row
from ushydra_lab.benchmark.steps import Step
from ushydra_lab.benchmark.timing import Quartiles, Work, growth_exponent, interleaved, seconds
from ushydra_lab.config.schema import Experiment
from ushydra_lab.data import checks, geometry, schema
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.data.manifest import Manifest
from ushydra_lab.data.source import Source
from ushydra_lab.data.split import LeaveOneSiteOut
from ushydra_lab.report.build import report

PART, STAGE = "growth", "phase1"
AIM = 1.1
"""Exponent of the growth, fitted to three sizes."""
REPEATS = 2
ROWS = {"tiny": (500, 1000, 2000)}
MANY_ROWS = (30_000, 100_000, 300_000)
RUNS = {"tiny": (2, 4)}
MANY_RUNS = (20, 60, 200)
SEEN = 16
"""Images that are trained or validated on with a site held out; divisible by 2, 4 and 8."""


def rows(lab: Lab) -> Iterator[Row]:
    """Measure each growth with all else fixed; every fit is complete, with Lightning, data, curves and checkpoints."""
    lab = replace(lab, repeats=min(lab.repeats, REPEATS))
    yield from _grown(lab, "training step", "canvas px", _canvases(lab))
    yield from _fits(lab)
    tables = {size: manifest_rows(size) for size in ROWS.get(lab.scale, MANY_ROWS)}
    for what, work in (("check of a manifest", check_rows), ("split of a manifest", _split)):
        work(tables[min(tables)])  # warms up: the largest takes long
        yield from size_rows(what, "rows", {n: [seconds(partial(work, tables[n]), lab.device)] for n in tables})
    run = trained(lab)
    places = {n: copied(run, lab.folder / f"runs{n}", n) for n in RUNS.get(lab.scale, MANY_RUNS)}
    with quiet():
        times = {n: [seconds(partial(report, place), lab.device)] for n, place in places.items()}
    yield from size_rows("report", "runs", times)


def _grown(lab: Lab, what: str, of: str, works: Mapping[int, Work]) -> Iterator[Row]:
    times = interleaved({str(size): work for size, work in works.items()}, lab.repeats, lab.device)
    yield from size_rows(what, of, {size: times[str(size)] for size in works})


def size_rows(what: str, of: str, times: dict[int, list[float]]) -> Iterator[Row]:
    """One row per size, then the exponent of the shortest times, which other load on the machine disturbs least."""
    for size, taken in times.items():
        yield Row(PART, what, f"{size:,} {of}", Quartiles.of(taken), "s")
    fitted = growth_exponent(list(times), [min(taken) for taken in times.values()])
    yield Row(PART, f"{what}: exponent", of, Quartiles.exact(fitted), "", at_most=AIM)


def _canvases(lab: Lab) -> dict[int, Work]:
    experiment = lab.experiment(ROI_EXPERIMENT)
    height, width = experiment.canvas
    found: dict[int, Work] = {}
    for factor in (1, 1.5, 2):
        canvas = [round(height * factor), round(width * factor)]
        sized = replace(experiment, canvas=canvas, network=experiment.network | {"canvas": canvas})
        found[canvas[0] * canvas[1]] = Step(lab, sized, "phase1", size=2)
    return found


def _fits(lab: Lab) -> Iterator[Row]:
    """Training over a quarter, half and all of the images; one epoch for each seed, or with each site held out."""
    experiment = lab.experiment(ROI_EXPERIMENT)
    manifest = data_of(experiment).manifest
    of_site = SIZES[lab.scale].images
    parts = {
        n: _data(experiment, manifest, manifest.table.groupby("site").head(n))
        for n in (of_site // 4, of_site // 2, of_site)
    }
    found = {len(data.train_dataloader().dataset): data for data in parts.values()}  # type: ignore[arg-type]
    yield from size_rows(
        "training on images",
        "images",
        {n: timed_fit(lab, experiment, STAGE, data, {})[TRAINING] for n, data in found.items()},
    )
    few = lab.scale == "tiny"
    seeds = {n: partial(_every_seed, lab, experiment, parts[of_site // 4], n) for n in ((1, 2) if few else (1, 2, 4))}
    yield from _grown(lab, "one epoch for every seed", "seeds", seeds)
    sites = {n: partial(_every_site, lab, experiment, manifest, n) for n in ((2, 3) if few else (3, 5, 9))}
    yield from _grown(lab, "one epoch for every held-out site", "sites", sites)


def _data(
    experiment: Experiment, manifest: Manifest, table: pd.DataFrame, held_out: str | None = None
) -> UltrasoundData:
    """Some rows of a manifest, their canvases from the cache."""
    part = replace(manifest, table=table.reset_index(drop=True))
    held_out, roi = held_out or experiment.held_out, experiment.main_roi
    assert held_out
    assert roi
    split = LeaveOneSiteOut(held_out, experiment.split["val_fraction"])
    size_rows, columns = experiment.canvas
    cache = Path(experiment.cache_dir) / "canvases"
    return UltrasoundData(part, split, experiment.seed, (size_rows, columns), experiment.batch_size, [roi], cache)


def _every_seed(lab: Lab, experiment: Experiment, data: UltrasoundData, seeds: int) -> None:
    for seed in range(seeds):
        timed_fit(replace(lab, repeats=0), replace(experiment, seed=seed), STAGE, data, {})


def _every_site(lab: Lab, experiment: Experiment, manifest: Manifest, sites: int) -> None:
    """As many images to train and validate on, whatever the number of sites: `SEEN`."""
    table = manifest.table.head(SEEN * sites // (sites - 1))
    names = [f"site_{row % sites}" for row in range(len(table))]
    for site in sorted(set(names)):
        data = _data(experiment, manifest, table.assign(site=names), site)
        timed_fit(replace(lab, repeats=0), experiment, STAGE, data, {})


def manifest_rows(size: int) -> pd.DataFrame:
    """A manifest of as many images, three of a subject, at eight sites; no file behind it, but all else filled in."""
    number = np.arange(size)
    site = "site_" + pd.Series(number % 8).astype(str)
    names, subject = [f"{i}.png" for i in number], (number // 24).astype(str)
    digest = [f"{i:064x}" for i in number]
    table = pd.DataFrame({"image": names, "site": site, "subject": subject, "sha256": digest})
    table = table.assign(pixel_mm=0.1, nt_mm=1.5, height=480, width=640, shows="")
    return table.assign(nt_x1=40.0, nt_y1=50.0, nt_x2=90.0, nt_y2=60.0)


def check_rows(table: pd.DataFrame) -> None:
    """Run all checks of a manifest that need no files."""
    source = Source(table, "rows", Path())
    typed, problems = checks.typed(source.table)
    paths: list[Path | None] = [Path(name) for name in table["image"]]
    found = chain(checks.header(source), schema.cells(typed), geometry.boxes(typed), geometry.points(typed))
    problems += [*found, *checks.repeats(typed, paths), *checks.groups(typed)]
    assert not problems, problems[:3]


def _split(table: pd.DataFrame) -> None:
    LeaveOneSiteOut("site_0").assign(table, 0)
