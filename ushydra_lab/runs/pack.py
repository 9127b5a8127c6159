"""A copy of a finished run for those who may not see patients' names (`python -m ushydra_lab runs pack`).

FOLDER holds README.txt and the run, as <experiment>/<held out>/seed<seed>/<variant>. Paths, names of subjects and of
files and error texts are left out: a subject becomes a running number, the same wherever it comes in the run, since
statistics count subjects; an image its record. Weights, curves and every number stay as they were, under new checksums.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from ushydra_lab.config.identity import NOT_DETERMINING, PATH, WITHHELD, flatten, to_yaml
from ushydra_lab.data.vocabulary import groups
from ushydra_lab.errors import UserError
from ushydra_lab.files import disk_errors, read_json, sha256, write_csv, write_json, write_text
from ushydra_lab.runs import triage_files
from ushydra_lab.runs.checkpoint_io import AtomicCheckpointIO, read_checkpoint
from ushydra_lab.runs.run import CONFIG, IMAGES, SPLIT, SUMMARY, Run

CACHE = "multirun/.cache"
"""Where a new run of the colleague has its cache."""
_PATHS = "|".join(key.removeprefix("data.") for key in NOT_DETERMINING if key.startswith("data."))
PLACE = re.compile(rf"\.data\.(sources\.[^.]+\.)?({_PATHS})(\.|\Z)")
"""Keys of a configuration whose values say where data lie."""
KEPT = {"state_dict", "epoch", "global_step", "pytorch-lightning_version", "loops"}
"""Of a checkpoint: what weights are used by. Lightning keeps paths in the states of its callbacks."""
OF_RUN = {"status", "name", "seed", "variant", "held_out", "scale", "settings", "identity", "data", "versions", "sweep"}
OF_RUN |= {"planned", "started", "ended", "stages", "metrics", "columns"}
"""Of run.json: what names neither paths nor errors."""
README = """\
{name}: one finished run of ushydra_lab {version}, packed to be passed on.

Left out:
- names of subjects: they are running numbers, the same number for the same subject of this run
- names of image files: in their place stands the image's record, its row in the data
- paths, in {config}: {withheld}
- {figures}
- what was made from the run later (external/, probes, robustness), its log, its wandb files

As they were: weights, curves, metrics of every image, the split, sites, settings, versions. run.json holds their
checksums, and every command compares them.

    python -m ushydra_lab evaluate {folder} data=manifest data.path=images.csv
    python -m ushydra_lab report {folder}

With the same data also

    python -m ushydra_lab probes {folder} {places}--against data=manifest data.path=images.csv

and the command that made it finds it finished, or says what differs, when run_root={folder} is added.
{weights}"""
WEIGHTS = """
The network began with weights from a folder that is not part of this; to use it, give them by network.weights=FOLDER.
"""


def pack(run: Run, out: Path, seen_sites: Callable[[Run], set[str]]) -> Path:
    """Write a finished run without paths, subjects and file names; the packed run's directory.

    seen_sites: what finds the sites that it learnt or selected on, of which the colleague need not have images.

    Raises:
        UserError: the run is not finished, is damaged or has no checksums; the folder exists or cannot be written.
    """
    run.require_finished()
    if not run.verified:
        raise UserError(f"{run.path} has no checksums (a version before 0.3.0 made it), so nobody can vouch for it")
    run.verify()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"{out} exists: choose a folder that does not, --out FOLDER")
    if out.resolve().is_relative_to(run.experiment.resolve()):
        raise UserError(f"{out} is part of the experiment, which would count the run twice: choose one outside of it")
    seen = seen_sites(run)
    place = Path(run.experiment.name, run.name)
    remedy = "choose another folder with --out FOLDER"
    with disk_errors(out, remedy):
        out.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{out.name}.", dir=out.parent) as scratch:
            made = Path(scratch) / out.name
            _write(run, made / place, seen)
            write_text(made / "README.txt", _readme(run, made / place, out))
            made.replace(out)
    return out / place


def _write(run: Run, folder: Path, seen: set[str]) -> None:
    write_text(folder / CONFIG, to_yaml(without_paths(run.config)))
    write_csv(folder / SPLIT, without_names(run.split))
    (folder / IMAGES).write_bytes((run.path / IMAGES).read_bytes())
    files = [CONFIG, SPLIT, IMAGES]
    for stage in run.summary.stages:
        weights, curves = f"checkpoints/{stage}.ckpt", f"history/{stage}.csv"
        _copy_weights(run.weights(stage), folder / weights)
        (folder / curves).parent.mkdir(exist_ok=True)
        (folder / curves).write_bytes((run.path / curves).read_bytes())
        files += [weights, curves]
    for name in triage_files.kept(run):
        (folder / name).write_bytes((run.path / name).read_bytes())
        files.append(name)
    if _with_pictures(run):
        shutil.copytree(run.path / "figures", folder / "figures")
    kept = {key: value for key, value in read_json(run.path / SUMMARY).items() if key in OF_RUN}
    sums = {name: sha256(folder / name) for name in files}
    write_json(folder / SUMMARY, kept | {"files": sums, "packed": True, "seen_sites": sorted(seen)})


def without_names(split: pd.DataFrame) -> pd.DataFrame:
    """The split with records in place of images, and running numbers in place of subjects, by first appearance.

    Without groups, since a rare value may tell who somebody is.
    """
    named = split.drop(columns=groups(split))
    return named.assign(image=split["record"].astype(str), subject=numbered(split))


def numbered(split: pd.DataFrame) -> pd.Series:
    """A running number for every (site, subject), as text: the same whatever they are called."""
    codes, _ = pd.factorize(pd.MultiIndex.from_frame(split[["site", "subject"]]))
    return pd.Series(codes + 1, index=split.index).astype(str)


def without_paths(config: dict[str, Any]) -> dict[str, Any]:
    """A stored configuration without paths; what lies below its cache lies below that of the colleague."""
    cache = str(config["cache_dir"])
    logger = {key: value for key, value in config["logger"].items() if key in ("_target_", "mode")}
    shared: dict[str, Any] = _withheld(config, cache)
    return shared | {"run_root": "multirun", "cache_dir": CACHE, "logger": logger}


def _withheld(value: Any, cache: str, key: str = "") -> Any:
    """key: where the value stands, dotted, which tells relative paths of data from words."""
    place = bool(PLACE.search(key))
    if isinstance(value, dict):
        return {_withheld(one, cache): _withheld(inner, cache, f"{key}.{one}") for one, inner in value.items()}
    if isinstance(value, list):
        return [_withheld(one, cache, key) for one in value]
    if not isinstance(value, str):
        return value
    if place and Path(value).is_relative_to(cache):
        return Path(CACHE, Path(value).relative_to(cache)).as_posix()
    return WITHHELD if place or PATH.search(value) else value


def _copy_weights(source: Path, target: Path) -> None:
    """A checkpoint as it is; written anew where it holds more than weights and where in training they were selected."""
    content = read_checkpoint(source)
    if content.keys() <= KEPT:
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(source.read_bytes())
    else:
        kept = {key: value for key, value in content.items() if key in KEPT}
        AtomicCheckpointIO().save_checkpoint(kept, target)


def _with_pictures(run: Run) -> bool:
    return run.deidentified and (run.path / "figures").is_dir()


def _readme(run: Run, made: Path, out: Path) -> str:
    packed = dict(flatten(without_paths(run.config)))
    withheld = [key for key, value in packed.items() if value == WITHHELD] + ["run_root", "cache_dir", "logger"]
    kept = "no pictures: those made of images declared free of burnt-in names (deidentified=true) are in figures/"
    left = "figures/, pictures of whole images, which may show burnt-in names (deidentified=true: they do not)"
    return README.format(
        name=f"{run.experiment.name}, {run.name}",
        version=run.summary.versions.get("ushydra_lab", ""),
        config=CONFIG,
        withheld=", ".join(withheld),
        places="".join(f"{key}=PLACE " for key in withheld if key.startswith("data.")),
        figures=kept if _with_pictures(run) else left,
        folder=out.name,
        weights=WEIGHTS if packed.get("network.weights") == WITHHELD else "",
    )
