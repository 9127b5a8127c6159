"""The NT paper's second claim (section 2.4): ways to weigh Phase 2's terms, by ROI error, NT drift and gradients."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from ushydra_lab.files import write_csv
from ushydra_lab.report.document import Document, Heading, Table
from ushydra_lab.report.missing import expected_runs, gap_list, held_out_key, variant_gaps
from ushydra_lab.report.papers.nt.ablation import origin
from ushydra_lab.report.tables import NOT_RUN, NOTHING, count_cell, mean_cell, metrics_in, parts_in, spread_cell
from ushydra_lab.results.collect import Collected

FIRST, FINAL = "phase1", "phase2"
CALIBRATED = "calibrated"
WEIGHTINGS = {
    CALIBRATED: "calibrated at the start",
    "unit": "1 each",
    "manual": "set by hand",
    "uncertainty": "learned uncertainty",
    "gradnorm": "GradNorm, moving",
}
"""Variant -> the row's name; the paper has the first alone."""
MOVING = ("UncertaintyWeights", "GradNormWeights")
"""Classes of weightings that begin with 1 for each term, whatever they end with."""
ERRORS = ("roi_mae", "roi_edge_mae")
SHOWN = (*ERRORS, "nt_abs_drift_mm", "nt_abs_drift_px", "nt_lost")
COLUMNS = {"Gradient norm": ("norm", 4), "Share (%)": ("share", 1), "Weight at the end": ("weight", 3)}
"""Title -> what `_terms` measures of a term, and its decimals."""
ERRORS_CAPTION = (
    "Mean ± SD over seeds (ddof 1) of the mean over images; n: seeds x images. NT drift: over the images with a "
    "measurable NT before and after, the fewer the more are lost; NT lost: of those measurable before. {phase1} "
    "Network of each row: the epoch with the lowest validation loss of its own objective; for learned and moving "
    "weights, of the plain sum. The paper prints no such comparison."
)
GRADIENTS_CAPTION = (
    "Mean ± SD over seeds. Gradient norm: of the unweighted term at the start of Phase 2, as the calibration measured "
    "it. Share: what the term's weight makes of it, in % of all terms' weighted norms, at the "
    "start, where learned and moving weights are 1 each. Weight: at the end of the training; made to sum to the number "
    "of terms but for weights set by hand and learned ones."
)


def section(collected: Collected, folder: Path) -> Document:
    """Errors and gradients for every held-out site and what is missing of them; written as CSV into `folder` too."""
    blocks: Document = [Heading("How Phase 2's terms are weighed", 2)]
    for held_out, images in collected.images.groupby("held_out", sort=False):
        stages = collected.stages[collected.stages["held_out"] == held_out]
        runs = expected_runs(stages, collected, list(WEIGHTINGS))
        for part, where in parts_in(images).items():
            errors = error_table(images, part, runs)
            write_csv(folder / f"{held_out}_{part}_calibration.csv", errors)
            title = f"{where.capitalize()}, held out {held_out}"
            blocks += [Heading(title, 3), Table(errors, ERRORS_CAPTION.format(phase1=origin(stages)))]
        gradients = gradient_table(stages)
        write_csv(folder / f"{held_out}_gradients.csv", gradients)
        blocks += [Heading(f"Weights and gradients, held out {held_out}", 3), Table(gradients, GRADIENTS_CAPTION)]
        site = held_out_key(collected, str(held_out))
        blocks += gap_list(variant_gaps(runs, WEIGHTINGS, "weighting", site, folder.parent))
    return blocks


def error_table(images: pd.DataFrame, part: str, runs: pd.DataFrame) -> pd.DataFrame:
    """Phase 1 and each weighting: ROI errors, NT drift and lost NT on the images of one part."""
    evaluated, rows = images[images["part"] == part], []
    metrics = {name: metric for name, metric in metrics_in(evaluated).items() if name in SHOWN}
    first = evaluated[evaluated["stage"] == FIRST].drop_duplicates(["seed", "fold", "record"])
    final = evaluated[evaluated["stage"] == FINAL]
    chosen = {variant: final[final["variant"] == variant] for variant in WEIGHTINGS}
    for variant, own in {FIRST: first, **chosen}.items():
        planned = runs[runs["variant"] == variant]
        cells = {m.title: spread_cell(own, n, m.digits) if len(own) else NOT_RUN for n, m in metrics.items()}
        count = {"n": count_cell(own, (planned["reason"] != "").sum(), len(planned))}
        rows.append({"Weights": WEIGHTINGS.get(variant, "Phase 1")} | cells | count)
    return pd.DataFrame(rows)


def gradient_table(stages: pd.DataFrame) -> pd.DataFrame:
    """Each weighting and term: its gradient norm and share at the start, and its weight at the end."""
    final = stages[stages["stage"] == FINAL]
    norms = {
        (run.fold, run.summary.seed): run.summary.stages[FINAL].gradient_norms
        for run in final.loc[final["variant"] == CALIBRATED, "run"]
    }
    of_runs = (_terms(run, norms.get((run.fold, run.summary.seed), {})) for run in final["run"])
    found, rows = pd.DataFrame(chain.from_iterable(of_runs)), []
    for variant, name in WEIGHTINGS.items():
        own = found[found["variant"] == variant]
        for term, values in own.groupby("term", sort=False):
            cells = {title: _cell(values[key], digits) for title, (key, digits) in COLUMNS.items()}
            rows.append({"Weights": name, "Term": term} | cells)
    return pd.DataFrame(rows, columns=["Weights", "Term", *COLUMNS])


def _terms(run: Any, norms: dict[str, float]) -> Iterator[dict[str, Any]]:
    """The terms of one run's Phase 2; norms: of its split and seed, empty where no run was calibrated."""
    weights = run.summary.stages[FINAL].loss_weights
    moving = run.config["weighting"]["module"]["_target_"].rpartition(".")[2] in MOVING
    pulls = {term: norm * (1.0 if moving else weights[term]) for term, norm in norms.items() if term in weights}
    for term, weight in weights.items():
        share = 100 * pulls[term] / sum(pulls.values()) if term in pulls else float("nan")
        values = {"norm": norms.get(term, float("nan")), "share": share, "weight": weight}
        yield {"variant": run.summary.variant, "term": term} | values


def _cell(values: pd.Series, digits: int) -> str:
    measured = values.dropna()
    return mean_cell(measured.mean(), measured.std(ddof=1), digits) if len(measured) else NOTHING
