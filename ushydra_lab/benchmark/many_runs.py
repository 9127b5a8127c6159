"""An experiment of many finished runs, all copies of one, to see how its report grows."""

from __future__ import annotations

import shutil
from pathlib import Path

from ushydra_lab import experiment
from ushydra_lab.benchmark.lab import ROI_EXPERIMENT, Lab, quiet
from ushydra_lab.files import read_json, write_json
from ushydra_lab.runs.run import SUMMARY

VARIANTS = "global", "roi"


def trained(lab: Lab) -> Path:
    """The directory of a job that has trained for an epoch."""
    short = [f"stages.{phase}.max_epochs=1" for phase in ("phase1", "phase2")]
    short += ["seed=0", "panel_images=1", "data.images_per_site=6"]
    place = lab.folder / "one" / "hospital_c" / "seed0" / "roi"
    with quiet():
        experiment.run(lab.experiment(ROI_EXPERIMENT, *short), place)
    return place


def copied(run: Path, root: Path, count: int) -> Path:
    """The directory of an experiment of so many runs, half of them of either variant, each of a seed of its own."""
    summary = read_json(run / SUMMARY, "")
    for number in range(count):
        seed, variant = number // 2, VARIANTS[number % 2]
        place = root / run.parents[1].name / f"seed{seed}" / variant
        shutil.copytree(run, place)
        own = {"seed": seed, "variant": variant, "settings": variant, "identity": f"{number:064x}"}
        write_json(place / SUMMARY, summary | own)
    return root
