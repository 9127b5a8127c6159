"""`python -m ushydra_lab.report multirun/nt_phase2`: tables from run directories, printed and written beside them."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from ushydra_lab.errors import UserError, use_any_display
from ushydra_lab.report import (
    classification,
    curves,
    measurements,
    nt_ablation,
    nt_caliper,
    nt_tables,
    probes,
    routing,
    segmentation,
    sites,
    thesis,
    uncertainty,
    ushydranet,
)
from ushydra_lab.report.collect import Collected, collect
from ushydra_lab.report.latex import document
from ushydra_lab.report.page import write as write_page
from ushydra_lab.report.protocol import SYNTHETIC, synthetic
from ushydra_lab.report.statistics import INTERVAL
from ushydra_lab.report.tables import PARTS, comparison_cells, comparisons, markdown, metrics_in, values_table
from ushydra_lab.report.verdict import briefly, of_subjects
from ushydra_lab.runs.files import OLD_S, disk_errors, remove_temporary, write_csv, write_text
from ushydra_lab.runs.run import experiments_below

CAPTION = "Mean ± SD over seeds (ddof 1) of the mean over images; {}checkpoints selected on validation images."
CHANGE_CAPTION = (
    f"Change from the method named last, on the same images and seeds: % of its mean, or Δ the difference; {INTERVAL}. "
    "* The interval leaves out zero and p < 0.05: Wilcoxon signed-rank over subjects, averaged over these seeds, "
    "Holm-adjusted within the table."
)

SECTIONS: tuple[Callable[[pd.DataFrame, Path], list[str]], ...] = (
    segmentation.section,
    measurements.section,
    classification.section,
    routing.section,
)
"""What a system adds to the tables of one part: (its images, what the files' names begin with) -> Markdown.

It writes its own CSV and figures; it adds nothing where the images lack its columns.
"""

OF_EXPERIMENT: tuple[Callable[[Collected, Path], list[str]], ...] = (
    sites.section,
    nt_caliper.section,
    nt_tables.section,
    nt_ablation.section,
    ushydranet.section,
    thesis.section,
    probes.section,
    uncertainty.section,
    curves.section,
)
"""What is added over all parts and held-out sites, the tables of the papers among it: (all runs, folder) -> Markdown.

Each writes its own CSV and figures, and adds nothing to experiments that are not its own.
"""


class NoFinishedRun(UserError):
    """An experiment has no run to report on."""


def report(experiment: Path) -> None:
    """Print and write the tables of one experiment; say which runs are missing from them.

    Raises:
        NoFinishedRun: there is no finished run, which the page says too.
        UserError: the tables cannot be written; or they are written, without the runs that are damaged.
    """
    console = Console(width=None if sys.stdout.isatty() else 160)
    found = collect(experiment)
    folder = experiment / "report"
    with disk_errors(folder, "run the report on a copy of the runs"):
        remove_temporary(folder, OLD_S)
        if found.images.empty:
            html = write_page(found, [], {}, experiment)
            reasons = [f"{run.path}: {reason.text}" for run, reason in found.unfinished.items()]
            raise NoFinishedRun.listing(f"No finished run below {experiment}; {html} says so too.", reasons)
        sections, changes = _tables(console, found, folder)
        html = write_page(found, sections[1:], changes, experiment)
        sections += _unfinished(console, found)
        write_text(folder / "tables.md", "\n".join(sections))
        write_text(folder / "tables.tex", document("\n".join(sections)))
    written = f"Written: {folder / 'tables.md'}, .tex, CSV and figures beside it; pictures in each run's figures/"
    console.print(f"{written}\nTo read: {html}", markup=False, soft_wrap=True)
    if damaged := [reason.text for reason in found.unfinished.values() if reason.damaged]:
        raise UserError.listing("Damaged, and so not in the tables:", damaged)


def _tables(console: Console, found: Collected, folder: Path) -> tuple[list[str], dict[str, pd.DataFrame]]:
    """All sections as Markdown, the title first; and what was held out -> the comparisons on its test images."""
    sections, changes = [f"# {folder.parent.name}\n"], {}
    if synthetic(found):
        sections[0] += f"\n{SYNTHETIC}\n"
    for held_out, images in found.images.groupby("held_out"):
        stages = found.stages[found.stages["held_out"] == held_out]
        texts, changes[str(held_out)] = _held_out(console, str(held_out), images, folder)
        sections += texts + _say(console, [*starts(stages), *unverified(stages)])
    for section in OF_EXPERIMENT:
        sections += _say(console, section(found, folder))
    return sections, changes


def unverified(stages: pd.DataFrame) -> list[str]:
    """Which runs come from a version that wrote no checksums."""
    runs = [run.name for run in stages["run"].unique() if not run.verified]
    why = "made by a version before 0.3.0, which wrote no checksums, so that damage to their files would go unnoticed"
    return [f"Unverified: {', '.join(runs)} ({why}).\n"] if runs else []


def _held_out(console: Console, held_out: str, images: pd.DataFrame, folder: Path) -> tuple[list[str], pd.DataFrame]:
    """The tables of each part as Markdown, and the comparisons on the test images."""
    texts, changes = [f"## held out: {held_out}\n"], {}
    for part, where in PARTS.items():
        chosen = images[images["part"] == part]
        if len(chosen):
            if of_subjects(held_out):
                where = where.replace("sites", "subjects").replace("site", "subjects")
            seeds, count = chosen["seed"].nunique(), chosen.groupby(["seed", "method"])["record"].nunique().max()
            title = f"{where}, held out {held_out} ({count} images, {seeds} seed{'s' * (seeds > 1)})"
            file = folder / f"{held_out}_{part}"
            changes[part] = comparisons(chosen)
            texts += _part(console, title, chosen, changes[part], file)
            texts += _say(console, [text for section in SECTIONS for text in section(chosen, file)])
    return texts, changes.get("test", pd.DataFrame())


def starts(stages: pd.DataFrame) -> list[str]:
    """Which networks that can begin with weights from elsewhere did."""
    words = {True: "Began with weights trained elsewhere", False: "Trained from scratch"}
    chosen = {word: stages.loc[stages["pretrained"] == value, "variant"].unique() for value, word in words.items()}
    return [f"{word}: {', '.join(variants)}.\n" for word, variants in chosen.items() if len(variants)]


def _say(console: Console, texts: list[str]) -> list[str]:
    """Print Markdown but for its figures."""
    console.print(Markdown("\n".join(text for text in texts if not text.startswith("!["))))
    return texts


def _part(console: Console, title: str, images: pd.DataFrame, changes: pd.DataFrame, file: Path) -> list[str]:
    values = values_table(images)
    file.with_name(f"{file.name}_changes.csv").unlink(missing_ok=True)
    write_csv(file.with_name(f"{file.name}_values.csv"), values)
    notes = dict.fromkeys(metric.note for metric in metrics_in(images).values() if metric.note)
    caption = CAPTION.format("".join(f"{note}; " for note in notes))
    console.print(rich_table(values, title, caption))
    texts = [f"### {title}\n", markdown(values), f"\n{caption}\n"]
    if len(changes):
        cells = comparison_cells(changes)
        write_csv(file.with_name(f"{file.name}_changes.csv"), changes)
        console.print(rich_table(cells, "", CHANGE_CAPTION))
        texts += [markdown(cells), f"\n{CHANGE_CAPTION}\n"]
    for sentence in briefly(changes):
        console.print(sentence + "\n", style="bold", markup=False)
        texts.append(f"{sentence}\n")
    return texts


def _unfinished(console: Console, found: Collected) -> list[str]:
    """Paths and reasons on the terminal; in the file, which may be passed on, the runs' names alone."""
    if not found.unfinished:
        return []
    for run, reason in found.unfinished.items():
        console.print(f"[yellow]not in the tables[/] - {escape(str(run.path))}: {escape(reason.text)}")
    return ["## Not in the tables\n", *(f"- {run.name}" for run in found.unfinished)]


def rich_table(table: pd.DataFrame, title: str, caption: str) -> Table:
    """The table as it is shown on a terminal; brackets in names stay the text that they are."""
    shown = Table(title=escape(title), caption=escape(caption), title_justify="left", caption_justify="left")
    for column in table:
        shown.add_column(escape(str(column)), justify="left" if column in ("method", "comparison") else "right")
    for row in table.itertuples(index=False):
        shown.add_row(*(escape(str(cell)) for cell in row))
    return shown


def main() -> None:
    """The command line."""
    use_any_display()
    parser = argparse.ArgumentParser(prog="python -m ushydra_lab.report", description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path, help="multirun, or experiments below it")
    problems = []
    try:
        for experiment in experiments_below(parser.parse_args().folders):
            try:
                report(experiment)
            except UserError as error:  # the other experiments have their tables all the same
                problems.append(str(error))
    except UserError as error:
        problems.append(str(error))
    if problems:
        sys.exit("\n".join(problems))


if __name__ == "__main__":
    main()
