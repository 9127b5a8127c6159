"""Several experiments side by side: their claims, and the last stages of those that have the same images."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import pandas as pd

from ushydra_lab.config.identity import digest
from ushydra_lab.files import disk_errors, write_text
from ushydra_lab.report.comparisons import compare_sites
from ushydra_lab.report.document import Document, Note
from ushydra_lab.report.render import html
from ushydra_lab.report.sections import claim, values
from ushydra_lab.report.tables import PART_TITLES, last_stage
from ushydra_lab.results.collect import Collected

FOLDER = "together"
EXPLORATORY = (
    "These comparisons were not stated beforehand: they may suggest a claim to test on other seeds or subjects, not "
    "more. They are adjusted for all of this page."
)
ALONE = "No two of these experiments tested the same images with the same site held out, so nothing can be compared."


@dataclass(frozen=True)
class _Shown:
    name: str
    link: str
    claims: list[claim.Stated]


def together(experiments: Mapping[Path, Collected]) -> Path:
    """Write `together/NAME/index.html` and its tables beside the first experiment; return the page's path.

    Experiments are compared where the same site was held out of the same images (`Summary.data`).
    """
    names = _names(list(experiments))
    folder = next(iter(experiments)).parent / FOLDER / _folder_name(sorted(names.values()))
    with disk_errors(folder, "run the report on a copy of the runs"):
        shown = [
            _Shown(
                names[path],
                quote(os.path.relpath(path / "report" / "index.html", folder)),
                claim.stated(path, collected),
            )
            for path, collected in experiments.items()
        ]
        results = html.to_html(_results({names[path]: one for path, one in experiments.items()}, folder))
        file = folder / "index.html"
        write_text(file, html.page("together.html", " and ".join(names.values()), experiments=shown, results=results))
    return file


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """The experiments' names, with the folder above where two have the same."""
    plain = [path.name for path in paths]
    return {path: path.name if plain.count(path.name) == 1 else f"{path.parent.name} {path.name}" for path in paths}


def _folder_name(names: Sequence[str]) -> str:
    """All names; where that is long, since a file system takes 255 bytes, how many they are and a digest."""
    name = "+".join(names)
    return name if len(name.encode()) <= 200 else f"{len(names)} experiments {digest(list(names))[:8]}"


def _results(experiments: Mapping[str, Collected], folder: Path) -> Document:
    blocks: Document = []
    same = _same_images(experiments)
    for part in PART_TITLES:
        chosen = {site: images[images["part"] == part] for site, images in same.items()}
        chosen = {site: images for site, images in chosen.items() if len(images)}
        changes = compare_sites(chosen)
        for held_out, images in chosen.items():
            blocks += values.main_tables(images, changes[held_out], held_out, part, folder / f"{held_out}_{part}")
    return [Note(EXPLORATORY), *_canvases(experiments), *blocks] if blocks else [Note(ALONE)]


def _canvases(experiments: Mapping[str, Collected]) -> list[Note]:
    """A warning where images were shown to the networks at different sizes."""
    found = {
        name: {str(run.config.get("canvas", "unknown")) for run in one.stages["run"]}
        for name, one in experiments.items()
    }
    if len(set[str]().union(*found.values())) < 2:
        return []
    sizes = "; ".join(f"{name}: {' and '.join(sorted(of))}" for name, of in found.items())
    return [Note(f"CANVASES DIFFER ({sizes}): PSNR, SSIM and what else is measured on the canvas cannot be compared.")]


def _same_images(experiments: Mapping[str, Collected]) -> dict[str, pd.DataFrame]:
    """What was held out -> the last stages' images of the experiments that share them, methods named after both."""
    found: dict[tuple[str, str], list[pd.DataFrame]] = {}
    for name, collected in experiments.items():
        for held_out, images in collected.images.groupby("held_out"):
            runs = collected.stages.loc[collected.stages["held_out"] == held_out, "run"]
            last = last_stage(images)
            named = last.assign(
                method=f"{name}: " + last["method"], stage=pd.Categorical(["last"] * len(last), ordered=True)
            )
            data = runs.iloc[0].summary.data or name  # versions before 0.3.0 did not note it
            found.setdefault((str(held_out), data), []).append(named)
    shared = {key: tables for key, tables in found.items() if len(tables) > 1}
    sites = [site for site, _ in shared]
    return {
        site if sites.count(site) == 1 else f"{site} ({data[:6]})": pd.concat(tables, ignore_index=True)
        for (site, data), tables in shared.items()
    }
