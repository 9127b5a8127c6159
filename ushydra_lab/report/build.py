"""The report of an experiment: its finished runs as a document, drawn in four formats."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
from rich.text import Text

from ushydra_lab.errors import UserError
from ushydra_lab.files import OLD_S, disk_errors, remove_temporary, write_text
from ushydra_lab.report.comparisons import compare_sites
from ushydra_lab.report.document import Document, Gap, Heading, Note
from ushydra_lab.report.papers import registry
from ushydra_lab.report.protocol import SYNTHETIC, synthetic
from ushydra_lab.report.render import html, latex, markdown, terminal
from ushydra_lab.report.sections import (
    checklist,
    claim,
    classification,
    curves,
    measurements,
    networks,
    new_hospital,
    nt_caliper,
    routing,
    segmentation,
    selection,
    sites,
    subgroups,
    triage,
    trust,
    uncertainty,
    values,
)
from ushydra_lab.report.tables import PART_TITLES, metrics_in
from ushydra_lab.results.collect import Collected, collect
from ushydra_lab.results.lost import bounded

PART_SECTIONS: tuple[Callable[[pd.DataFrame, Path], Document], ...] = (
    segmentation.section,
    measurements.section,
    classification.section,
    routing.section,
    subgroups.section,
)
"""Sections that depend on the kind of task: (images of one part, beginning of the files' names) -> blocks.

Each writes its own CSV and figures, and returns nothing where the images lack its columns.
"""
EXPERIMENT_SECTIONS: tuple[registry.Section, ...] = (
    trust.section,
    sites.section,
    networks.section,
    selection.section,
    nt_caliper.section,
    registry.section,
    uncertainty.section,
    new_hospital.section,
    triage.section,
    curves.section,
    checklist.section,
)
"""Sections over all parts and held-out sites."""


class NoFinishedRun(UserError):
    """An experiment has no run to report on."""


def report(experiment: Path) -> Collected:
    """Write the tables of one experiment, then print them; say which runs are missing from them. Returns its runs.

    Raises:
        NoFinishedRun: there is no finished run, which the page says too.
        UserError: the tables cannot be written; or they are written, without the runs that are damaged.
    """
    collected, folder = collect(experiment), experiment / "report"
    with disk_errors(folder, "run the report on a copy of the runs"):
        remove_temporary(folder, OLD_S)
        if collected.images.empty:
            page = html.write(collected, html.Results(), experiment)
            reasons = [f"{run.path}: {reason.text}" for run, reason in collected.unfinished.items()]
            raise NoFinishedRun.listing(f"No finished run below {experiment}; {page} says so too.", reasons)
        collected, replaced = _without_infinities(collected)
        claims = claim.stated(experiment, collected)
        sections, changes = build(collected, folder)
        answered, rest = claim.section(claims, collected, folder), [*replaced, *sections]
        results = [*answered, *rest]
        page = html.write(collected, html.Results(claims, answered, rest, changes), experiment)
        whole = [*title(collected, experiment.name), *results, *unfinished(collected)]
        write_text(folder / "tables.md", markdown.render(whole))
        write_text(folder / "tables.tex", latex.render(whole))
    _show(collected, results, folder, page)
    damaged = [reason.text for reason in collected.unfinished.values() if reason.damaged]
    if damaged := [*damaged, *(one for block in results if isinstance(block, Gap) for one in block.damage)]:
        raise UserError.listing("Damaged, and so not in the tables:", damaged)
    return collected


def build(collected: Collected, folder: Path) -> tuple[Document, dict[str, pd.DataFrame]]:
    """Return all sections, and for each held-out site the comparisons on its test images; write CSV and figures."""
    blocks: Document = []
    sites = {str(held_out): images for held_out, images in collected.images.groupby("held_out")}
    changes = {part: compare_sites(_of_part(sites, part)) for part in PART_TITLES}
    for held_out, images in sites.items():
        stages = collected.stages[collected.stages["held_out"] == held_out]
        blocks += _held_out(held_out, images, changes, folder)
        blocks += [*starting_weights(stages), *unverified(stages)]
    test = {held_out: changes["test"].get(held_out, pd.DataFrame()) for held_out in sites}
    return blocks + [block for section in EXPERIMENT_SECTIONS for block in section(collected, folder)], test


def _of_part(sites: dict[str, pd.DataFrame], part: str) -> dict[str, pd.DataFrame]:
    """The images of one part of each held-out site that has some."""
    chosen = {held_out: images[images["part"] == part] for held_out, images in sites.items()}
    return {held_out: images for held_out, images in chosen.items() if len(images)}


def _without_infinities(collected: Collected) -> tuple[Collected, Document]:
    """The images with finite values alone, and a note on those that were infinite: the PSNR of a perfect image is."""
    images, replaced = bounded(collected.images, metrics_in(collected.images))
    labels = {name: metric.label for name, metric in metrics_in(collected.images).items()}
    words = ", ".join(f"{count} of {labels[name]}" for name, count in replaced.items())
    notes: Document = [Note(f"Infinite values count as the furthest finite one: {words}.")] if replaced else []
    return replace(collected, images=images), notes


def title(collected: Collected, name: str) -> Document:
    """The report's title, and a note where all images are synthetic."""
    return [Heading(name, 1), *([Note(SYNTHETIC)] if synthetic(collected) else [])]


def unfinished(collected: Collected) -> Document:
    """List the runs that are not in the tables; the reasons may name paths and are printed on the terminal only."""
    return (
        [Heading("Not in the tables", 2), *(Gap(run.name) for run in collected.unfinished)]
        if collected.unfinished
        else []
    )


def starting_weights(stages: pd.DataFrame) -> Document:
    """Notes that say which networks began with weights trained elsewhere, and which from scratch."""
    words = {True: "Began with weights trained elsewhere", False: "Trained from scratch"}
    chosen = {word: stages.loc[stages["pretrained"] == value, "variant"].unique() for value, word in words.items()}
    return [Note(f"{word}: {', '.join(variants)}.") for word, variants in chosen.items() if len(variants)]


def unverified(stages: pd.DataFrame) -> Document:
    """A note that names the runs of versions that wrote no checksums."""
    runs = [run.name for run in stages["run"].unique() if not run.verified]
    why = "made by a version before 0.3.0, which wrote no checksums, so that damage to their files would go unnoticed"
    return [Note(f"Unverified: {', '.join(runs)} ({why}).")] if runs else []


def _held_out(
    held_out: str, images: pd.DataFrame, changes: dict[str, dict[str, pd.DataFrame]], folder: Path
) -> Document:
    """The tables of each part. changes: part -> what was held out -> comparisons."""
    blocks: Document = [Heading(f"held out: {held_out}", 2)]
    for part in PART_TITLES:
        chosen = images[images["part"] == part]
        if len(chosen):
            file = folder / f"{held_out}_{part}"
            blocks += values.section(chosen, changes[part][held_out], held_out, part, file)
            blocks += [block for section in PART_SECTIONS for block in section(chosen, file)]
    return blocks


def _show(collected: Collected, results: Document, folder: Path, page: Path) -> None:
    console = terminal.new_console()
    terminal.show(console, results)
    for run, reason in collected.unfinished.items():
        console.print(Text("not in the tables", style="yellow"), Text(f"- {run.path}: {reason.text}"))
    written = f"Written: {folder / 'tables.md'}, .tex, CSV and figures beside it; pictures in each run's figures/"
    console.print(f"{written}\nTo read: {page}", markup=False, soft_wrap=True)
