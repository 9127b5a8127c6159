"""Registry of the papers whose tables a report can have, by the word that an experiment declares as `paper`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ushydra_lab.report.document import Document, Note
from ushydra_lab.report.papers.declared import papers_of
from ushydra_lab.report.papers.multicentre import tables as multicentre
from ushydra_lab.report.papers.nt import ablation, calibration, phases
from ushydra_lab.report.papers.nt import probes as nt_probes
from ushydra_lab.report.papers.thesis import tables as thesis
from ushydra_lab.report.papers.ushydranet import tables as ushydranet
from ushydra_lab.report.sections import probes
from ushydra_lab.results.collect import Collected

Section = Callable[[Collected, Path], Document]
"""(all runs, the report's folder) -> what is shown; CSV and figures are written into the folder."""


@dataclass(frozen=True)
class Paper:
    """A paper's sections in the order of the report, and the columns of per_image.csv that they need."""

    sections: tuple[Section, ...]
    columns: frozenset[str] = frozenset()


HEARTS, PLANES = ushydranet.SYSTEMS["hydra_unet"], ushydranet.SYSTEMS["hydra_vit"]
PAPERS = {
    "nt": Paper((phases.section, nt_probes.section), frozenset(phases.COLUMNS)),
    "nt/ablation": Paper((ablation.section, nt_probes.section_if_probed), frozenset(ablation.COLUMNS)),
    "nt/calibration": Paper((calibration.section, nt_probes.section_if_probed), frozenset(calibration.ERRORS)),
    "biometry": Paper((probes.section,)),  # what it prints is in the tables of all landmark experiments
    "multicentre": Paper((multicentre.section, probes.section), frozenset(multicentre.METRICS)),
    "ushydranet/planes": Paper((partial(ushydranet.section, PLANES), probes.section), frozenset({"true", "predicted"})),
    "ushydranet/hearts": Paper((partial(ushydranet.section, HEARTS), probes.section), frozenset({"dice_lv"})),
    "thesis": Paper((thesis.section, probes.section), frozenset({"hits_csp"})),
}
NONE = Paper((probes.section,))
"""The sections of experiments that belong to no paper."""


def section(collected: Collected, folder: Path) -> Document:
    """The tables of every paper that the runs declare, and the results of the probes."""
    blocks: Document = []
    for name in papers_of(collected) or [""]:
        paper = PAPERS.get(name, NONE)
        there = set(collected.images.columns[collected.images.notna().any()])
        if name and name not in PAPERS:
            blocks.append(Note(f"No paper is called {name}; those whose tables can be made: {', '.join(PAPERS)}."))
        if lacking := sorted(paper.columns - there):
            blocks.append(Note(f"The tables of paper {name} need {', '.join(lacking)}, which these runs do not have."))
            continue
        blocks += [block for part in paper.sections for block in part(collected, folder)]
    return blocks
