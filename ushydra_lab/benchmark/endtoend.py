"""Whole experiments, from image files to tables and figures, beside the script that a competent user would write."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd

from ushydra_lab.benchmark.lab import Lab, composed, quiet
from ushydra_lab.benchmark.rows import Row, longer
from ushydra_lab.benchmark.script import Plan
from ushydra_lab.benchmark.timing import Quartiles, seconds
from ushydra_lab.data.vocabulary import IMAGE
from ushydra_lab.runs.run import Run, runs_below
from ushydra_lab.training.assembly import build_data

PART = "endtoend"
AT_MOST = 1.1
"""Times as long as the script: the price of continuing, checking, logging, triage, tables and the report."""
ROUNDS = 2
"""Most repeats; the script that shares nothing takes part in the first one alone."""
SCRIPT = "ushydra_lab.benchmark.script"
SHARING, SEPARATE = "script, one Phase 1 for all variants", "script, a Phase 1 for each"


@dataclass(frozen=True)
class Sweep:
    """An experiment, what it sweeps over in place of its own values, and settings for the tiny scale."""

    experiment: str
    swept: tuple[str, ...] = ()
    tiny: tuple[str, ...] | None = None


SHORT = (
    "network.widths=[2,4,4,8]", "canvas=[168,176]", "data.images_per_site=6", "panel_images=1",
    "stages.phase1.max_epochs=2", "stages.phase2.max_epochs=2", "logger.mode=disabled",
)  # fmt: skip
SWEEPS = (
    Sweep("nt_phase2", tiny=("seed=1000", *SHORT)),
    Sweep("nt_ablation", ("loss=global,l1,sobel,roi",)),
)
"""`make demo`, and `make ablation` without the terms that need DINO's weights."""
AGAIN_S = 20
SEEDS = {"tiny": 1}
MANY_SEEDS = 30
"""Of the sweep that is typed again; it has two jobs a seed."""


def rows(lab: Lab) -> Iterator[Row]:
    """Each command in a process of its own, as it is typed, at `scale=laptop`; the phantom has been drawn before."""
    for sweep in SWEEPS:
        if lab.scale != "tiny" or sweep.tiny:
            yield from _beside(lab, sweep)
    yield _again(lab, Sweep("nt_phase2", (f"seed=range({SEEDS.get(lab.scale, MANY_SEEDS)})", *SHORT)))


def _beside(lab: Lab, sweep: Sweep) -> Iterator[Row]:
    times: dict[str, list[float]] = {name: [] for name in ("ours", "again", SHARING, SEPARATE)}
    runs: list[Run] = []
    for number in range(min(lab.repeats, ROUNDS)):
        root = lab.folder / f"{sweep.experiment}{number}"
        words = typed(lab, sweep, root)
        with quiet():
            images = build_data(composed(words)).manifest.table  # which draws the phantom before the clock starts
        for name in ("ours", "again"):
            times[name].append(seconds(partial(command, "ushydra_lab", *words, *sweep.swept), lab.device))
        runs = runs_below(root / sweep.experiment)
        plan = plan_of(runs, images, root / "script")
        times[SHARING].append(_scripted(lab, plan))
        if not number:
            times[SEPARATE].append(_scripted(lab, replace(plan, out=f"{plan.out}_separate", shares=False)))
    what, size = f"{sweep.experiment}, from files to tables and figures", f"{len(runs)} jobs"
    yield longer(PART, what, size, times["ours"], SHARING, times[SHARING], at_most=AT_MOST)
    yield longer(PART, what, size, times["ours"][:1], SEPARATE, times[SEPARATE])
    yield Row(PART, f"{sweep.experiment}, the same command again", size, Quartiles.of(times["again"]), "s")


def _again(lab: Lab, sweep: Sweep) -> Row:
    """A finished sweep of many small jobs, typed again: how long until it is clear that nothing is to be done."""
    root = lab.folder / "finished"
    words = [*typed(lab, sweep, root), *sweep.swept]
    command("ushydra_lab", *words)
    times = [seconds(partial(command, "ushydra_lab", *words), lab.device) for _ in range(lab.repeats)]
    what, size = "a finished sweep, the same command again", f"{len(runs_below(root / sweep.experiment))} jobs"
    return Row(PART, what, size, Quartiles.of(times), "s", at_most=AGAIN_S)


def typed(lab: Lab, sweep: Sweep, root: Path) -> list[str]:
    """The words of the command, without what it sweeps over. The phantom lies elsewhere: all rounds have it."""
    tiny = sweep.tiny or () if lab.scale == "tiny" else ()
    places = f"run_root='{root}'", f"data.root='{lab.cache_dir.resolve()}/phantom'"
    return [f"+experiment={sweep.experiment}", "scale=laptop", *places, *tiny]


def plan_of(runs: list[Run], images: pd.DataFrame, out: Path) -> Plan:
    """What the runs of a sweep have done. images: rows of the manifest."""
    config, one = runs[0].config, runs[0]
    used = one.split[one.split["part"].isin(["train", "val", "test"])]
    rows, task = images.loc[used["record"]], {name: stage["task"] for name, stage in config["stages"].items()}
    epochs: dict[str, dict[str, int]] = {}
    for run in runs:
        trained = {stage: summary.epochs or 0 for stage, summary in run.summary.stages.items()}
        of_seed = epochs.setdefault(str(run.summary.seed), {"phase1": trained["phase1"]})
        of_seed[run.summary.variant] = trained["phase2"]
    return Plan(
        files=list(rows[IMAGE]), parts=list(used["part"]), sites=list(used["site"]), records=used["record"].tolist(),
        boxes=rows[["nt_x1", "nt_y1", "nt_x2", "nt_y2"]].to_numpy(float).tolist(), mm=rows["pixel_mm"].tolist(),
        network={key: value for key, value in config["network"].items() if key != "_target_"},
        canvas=(config["canvas"][0], config["canvas"][1]), batch_size=config["batch_size"],
        flip=config["augment"]["flip"], shift=config["augment"]["shift"],
        lr={phase: task[phase]["optimizer"]["lr"] for phase in ("phase1", "phase2")},
        variants={run.summary.variant: list(run.config["stages"]["phase2"]["task"]["terms"]) for run in runs},
        epochs=epochs, panels=config["panel_images"], out=str(out), last="phase2_last" in task,
    )  # fmt: skip


def command(module: str, *words: str) -> None:
    """`python -m MODULE WORDS`; what it says is shown if it fails."""
    done = subprocess.run([sys.executable, "-m", module, *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{module} failed: {done.stdout}{done.stderr}")


def _scripted(lab: Lab, plan: Plan) -> float:
    file = Path(plan.out).with_suffix(".json")
    file.write_text(json.dumps(asdict(plan)), encoding="utf-8")
    return seconds(lambda: command(SCRIPT, str(file)), lab.device)
