"""Evaluating a finished run on other labelled images.

Writes the same per-image table and metrics below RUN/external/, and says which sites the run has never seen.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd

from ushydra_lab import __version__
from ushydra_lab.config.identity import digest
from ushydra_lab.config.schema import Experiment, Node
from ushydra_lab.config.stored import Local, chosen_data, on_this_machine
from ushydra_lab.evaluation.finished import seen_sites
from ushydra_lab.evaluation.per_image import evaluate_stages, part_means
from ushydra_lab.evaluation.pictures import draw_panels
from ushydra_lab.files import (
    OLD_S,
    DamagedFile,
    disk_errors,
    read_json,
    read_table,
    refuse_change,
    remove_temporary,
    sha256,
    write_csv,
    write_json,
)
from ushydra_lab.runs.run import IMAGE_TEXTS, IMAGES, Run
from ushydra_lab.runs.stored_experiment import check_stored
from ushydra_lab.training.assembly import build_data
from ushydra_lab.training.stages import finished_tasks

EXTERNAL = {"_target_": "ushydra_lab.data.split.External"}
"""The split of a data set that is tested as a whole."""
METRICS = "metrics.json"
WEIGHTS = "network.weights="


def evaluate(run: Run, overrides: list[str]) -> Path:
    """Apply a run's selected weights, stage by stage, to all images of another data set; the folder of the results.

    Results stand for the weights, the images and the version of the lab that they were made with: where one of these is
    another, they go into another folder.

    Raises:
        UserError: RUN is not a finished run or is damaged, or the data cannot be used.
    """
    local = Local.of([word for word in overrides if word.startswith(("trust=", "cache_dir=", WEIGHTS))])
    overrides = [word for word in overrides if not word.startswith(WEIGHTS)]
    own = on_this_machine(check_stored(run, local.trust), local)
    name, reader = chosen_data(overrides, own.scale, own.cache_dir, local.trust)
    seen = seen_sites(run, own)
    experiment = with_external(own, reader)
    data = build_data(experiment)
    data.setup("fit")
    made_from = {"weights": run.weight_checksums, "images": data.fingerprint(data.parts), "ushydra_lab": __version__}
    folder = run.path / "external" / f"{name}-{digest(made_from)[:8]}"
    if (folder / METRICS).exists():
        table, _ = read_results(folder)
        print(f"Evaluated before: {folder} ({len(table)} rows)")
        return folder
    with disk_errors(folder):
        for part in (folder, folder / "figures"):
            remove_temporary(part, OLD_S)
        tasks = finished_tasks(run, experiment)
        table = evaluate_stages(experiment, tasks, data)
        draw_panels(experiment, tasks, data, folder)
        write_csv(folder / IMAGES, table)
        never_seen = sorted(set(data.manifest.sites) - seen)
        results = {"never_seen": never_seen, "metrics": part_means(table), "made_from": made_from}
        write_json(folder / METRICS, results | {"files": {IMAGES: sha256(folder / IMAGES)}})
    return folder


def with_external(experiment: Experiment, reader: Node) -> Experiment:
    """An experiment on a data set that is tested as a whole: nothing of it is trained on."""
    return replace(experiment, data=reader, split=EXTERNAL, oversample=None, label_audit=None)


def read_results(folder: Path) -> tuple[pd.DataFrame, set[str]]:
    """Read the results of `evaluate`: the per-image table, and the sites that the run has never seen.

    Raises:
        DamagedFile: a file is missing or not as it was written.
    """
    remedy = f"Remove {folder} and evaluate again."
    content = read_json(folder / METRICS, remedy)
    try:
        checksum, never_seen = content["files"][IMAGES], set(content["never_seen"])
    except (KeyError, TypeError) as error:
        raise DamagedFile(folder / METRICS, f"is damaged (no {error})", remedy) from error
    refuse_change(folder / IMAGES, checksum, remedy)
    return read_table(folder / IMAGES, IMAGE_TEXTS, remedy), never_seen
