"""The files of a run on disk, and the one place where they are read.

config.yaml     resolved configuration
split.csv       part of every image (local: it names images and subjects)
per_image.csv   stage, part, record and the metrics of every validation and test image
checkpoints/    the selected weights of every stage
history/        curves of every stage
triage.json     rules with thresholds of the last stage: which images it should not be asked about
triage.npz      mean and inverse covariance of its training codes, where the network has codes
triage.csv      how triage judges every validation and test image, and damaged copies of some
figures/        pictures
run.json        status, stages, versions, and the SHA-256 of each file above but the pictures; written last
.verified.json  size and time of each file when it was last compared with its sum: a second command does nothing by it
.lock           held by the process that runs the job

Whatever is read is compared with its sum in run.json first: a file that was damaged, edited or cut short is named and
gives no number. Versions before 0.3.0 wrote no sums; their runs can be read, as `verified` = False.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import pandas as pd

from ushydra_lab.data.split import LeaveSitesOut
from ushydra_lab.data.vocabulary import GROUP, LABEL_FLAG, PUBLISHED, SEEN_TEST
from ushydra_lab.errors import UserError
from ushydra_lab.files import DamagedFile, read_json, read_table, refuse_change, sha256
from ushydra_lab.runs.safe_yaml import read_config
from ushydra_lab.runs.summary import FINISHED, Summary, parse_summary

SUMMARY, CONFIG, SPLIT, IMAGES = "run.json", "config.yaml", "split.csv", "per_image.csv"
IMAGE_TEXTS = {"stage", "part", "site"}
"""Columns of per_image.csv that are texts; all others are numbers."""
SPLIT_TEXTS = {"image", "site", "subject", "part", PUBLISHED, LABEL_FLAG}
SEED = re.compile(r"seed\d+")
"""The directory of all variants of one seed."""


class Run:
    """The results of one job in the directory `path`, <experiment>/<held out>/seed<seed>/<variant>.

    Two objects of the same directory are equal. Each attribute that reads files raises `DamagedFile`.
    """

    def __init__(self, path: str | PathLike[str]) -> None:
        self.path = Path(path)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and other.path == self.path

    def __hash__(self) -> int:
        return hash(self.path)

    def __lt__(self, other: Run) -> bool:
        return self.path < other.path

    def __repr__(self) -> str:
        return f"Run({str(self.path)!r})"

    @property
    def name(self) -> str:
        """`<held out>/seed<seed>/<variant>`, the end of the directory's path."""
        return "/".join(self._place.parts[-3:])

    @property
    def fold(self) -> str:
        """The held-out site, or one of several folds."""
        return self._place.parent.parent.name

    @property
    def inner(self) -> bool:
        """Whether it is an inner fold, which calibrates intervals for a new hospital and is compared with no method."""
        return self._split.get("inner") is not None

    @property
    def experiment(self) -> Path:
        """The directory of the experiment's runs."""
        return self._place.parent.parent.parent

    @property
    def siblings(self) -> list[Run]:
        """The other finished runs of its experiment. Raises DamagedFile: a record of theirs."""
        places = (file.parent for file in sorted(self.experiment.glob(f"*/seed*/*/{SUMMARY}")))
        others = (Run(place) for place in places if place != self._place)
        return [run for run in others if run.summary.status == FINISHED]

    @property
    def _place(self) -> Path:
        return self.path if len(self.path.parts) > 3 else self.path.resolve()

    @property
    def remedy(self) -> str:
        """What the user can do about a damaged file."""
        return f"Copy it again, or remove {self.path} and run the command that trained it: what is lost is made again."

    @cached_property
    def summary(self) -> Summary:
        file = self.path / SUMMARY
        content = read_json(file, self.remedy, old=True)
        try:
            return parse_summary(content)
        except ValueError as error:
            raise DamagedFile(file, f"is damaged ({error})", self.remedy) from error

    @property
    def verified(self) -> bool:
        """Whether run.json has checksums of the files."""
        return self.summary.files is not None

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration as it was stored, plain values; `check_stored` makes an experiment of it."""
        self.file(CONFIG)
        return read_config(self.path / CONFIG, self.remedy)

    @property
    def deidentified(self) -> bool:
        """Whether its images are declared free of burnt-in names, when it was started or later."""
        declared = self.summary.deidentified
        return self.config.get("deidentified") is True if declared is None else declared

    @property
    def _split(self) -> dict[str, Any]:
        split = self.config.get("split")
        return split if isinstance(split, dict) else {}

    @cached_property
    def split(self) -> pd.DataFrame:
        """record, image, site, subject, part (ALL_PARTS, unused), groups of every image; it names subjects.

        PUBLISHED and LABEL_FLAG too, where there are any.
        """
        return self._table(SPLIT, SPLIT_TEXTS, {"record", "site", "subject", "part"}, GROUP)

    @property
    def images(self) -> pd.DataFrame:
        """stage, part, record, site and every metric, one row for each stage and evaluated image; read anew each time.

        Raises:
            DamagedFile: rows are missing, or are of other images or stages than those of the run.
        """
        table = self._table(IMAGES, IMAGE_TEXTS, {"stage", "part", "record", "site"})
        evaluated = self.split[self.split["part"].isin(["val", SEEN_TEST, "test"])]
        expected = sorted((stage, record) for stage in self.summary.stages for record in evaluated["record"])
        if sorted(zip(table["stage"], table["record"], strict=True)) != expected:
            count = f"has {len(table)} of {len(expected)} rows"
            raise DamagedFile(
                self.path / IMAGES,
                count if len(table) != len(expected) else "is damaged (its rows are not those of the run)",
                self.remedy,
            )
        return table

    def weights(self, stage: str) -> Path:
        """The checkpoint with a stage's selected weights, compared with its checksum."""
        return self.file(f"checkpoints/{stage}.ckpt")

    @cached_property
    def curves(self) -> dict[str, pd.DataFrame]:
        """Curves of each stage, one row per epoch; of a run without checksums only those that exist."""
        files = {stage: f"history/{stage}.csv" for stage in self.summary.stages}
        kept = {stage: file for stage, file in files.items() if self.verified or (self.path / file).is_file()}
        return {stage: self._table(file, set(), {"epoch"}) for stage, file in kept.items()}

    @property
    def weight_checksums(self) -> dict[str, str]:
        """SHA-256 of each stage's weights, which identifies results made with them."""
        known = self.summary.files or {}
        weights = {stage: self.weights(stage) for stage in self.summary.stages}  # compared with the known sums by that
        return {stage: known.get(f"checkpoints/{stage}.ckpt") or sha256(file) for stage, file in weights.items()}

    def refuse_misplaced(self) -> None:
        """
        Raises:
            DamagedFile: it lies in the folder of another held-out site, seed or variant, as a copy does.
        """
        site = self._split.get("held_out")
        several = self.inner or isinstance(site, list)
        place = LeaveSitesOut(site or [], self._split.get("inner")).name if several else site
        own = [self.fold if place is None else str(place), f"seed{self.summary.seed}", self.summary.variant]
        if "/".join(own) != self.name:
            remedy = f"Remove {self.path}, or give its folders back their names."
            raise DamagedFile(self.path / SUMMARY, f"belongs to {'/'.join(own)}", remedy)

    def picture(self, name: str) -> Path:
        """Path of the picture figures/NAME.png, which need not exist."""
        return self.path / "figures" / f"{name}.png"

    def require_finished(self) -> None:
        """
        Raises:
            UserError: this is no run, or it is not finished.
        """
        if not (self.path / SUMMARY).exists():
            layout = "multirun/<experiment>/<held out>/seed<seed>/<variant>"
            what = "is no run directory (no run.json)" if self.path.exists() else "does not exist"
            raise UserError(f"{self.path} {what}. Run directories are {layout}.")
        if self.summary.status != FINISHED:
            raise UserError(f"{self.path} is not finished ({self.summary.status}). Its own command continues it.")

    @property
    def missing_files(self) -> list[str]:
        """Files of a finished run that no longer exist."""
        return [name for name in self._files if not (self.path / name).is_file()]

    def verify(self) -> None:
        """Compare every file with its checksum. Raises DamagedFile."""
        for name in self._files:
            self.file(name)

    @property
    def _files(self) -> Iterable[str]:
        if self.summary.files is not None:
            return self.summary.files
        checkpoints = [f"checkpoints/{stage}.ckpt" for stage in self.summary.stages]
        return [CONFIG, SPLIT, IMAGES, *checkpoints]

    def file(self, name: str) -> Path:
        """The path of one of the run's files, compared with its checksum. Raises DamagedFile."""
        file = self.path / name
        if self.verified and self.summary.status == FINISHED:
            assert self.summary.files is not None
            if name not in self.summary.files:
                raise DamagedFile(file, "is not one of the run's files", self.remedy)
            refuse_change(file, self.summary.files[name], self.remedy)
        elif not file.is_file():
            raise DamagedFile(file, "is missing", self.remedy)
        return file

    def _table(self, name: str, texts: set[str], needed: set[str], prefix: str = "") -> pd.DataFrame:
        table = read_table(self.file(name), texts, self.remedy, prefix)
        if lost := sorted(needed - set(table)):
            raise DamagedFile(self.path / name, f"is damaged (no column {', '.join(lost)})", self.remedy)
        return table


def runs_below(folder: Path) -> list[Run]:
    """Every run at or below a folder, whatever its state: `multirun`, an experiment's directory or a part of it."""
    files = [file for file in sorted(folder.rglob(f"seed*/*/{SUMMARY}")) if SEED.fullmatch(file.parent.parent.name)]
    if not files:  # the folder is one seed's, or the run's itself
        files = [file for file in (*sorted(folder.glob(f"*/{SUMMARY}")), folder / SUMMARY) if file.exists()]
    return [Run(file.parent) for file in files]


def experiments_below(folders: Iterable[Path]) -> dict[Path, list[Run]]:
    """Map the directory of each experiment at or below the folders to its runs.

    Raises:
        UserError: below one of them there is none; or one is part of an experiment, outside of which nothing is read
            or written.
    """
    found: dict[Path, list[Run]] = {}
    of_folder = {folder: runs_below(folder) for folder in folders}
    if empty := [str(folder) for folder, runs in of_folder.items() if not runs]:
        raise UserError(f"No run below {', '.join(empty)}. Start one: python -m ushydra_lab +experiment=nt_phase2")
    for folder, runs in of_folder.items():
        for run in runs:
            if not run.experiment.resolve().is_relative_to(folder.resolve()):
                raise UserError(f"{folder} is part of an experiment; name its directory: {run.experiment}")
            found.setdefault(run.experiment, []).append(run)
    return found
