"""Predicting all that INPUT stands for: into a folder, or frame by frame for whoever asks."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import torch

from ushydra_lab import __version__
from ushydra_lab.config.identity import digest
from ushydra_lab.errors import UserError
from ushydra_lab.files import disk_errors
from ushydra_lab.prediction.answer import DOUBTS, Prediction, columns, predict_frames
from ushydra_lab.prediction.batches import Batches, FrameBatch, ahead
from ushydra_lab.prediction.folder import write_pictures, write_tables
from ushydra_lab.prediction.frames import Frame
from ushydra_lab.prediction.inputs import Input
from ushydra_lab.prediction.intervals import told
from ushydra_lab.prediction.members import Ensemble
from ushydra_lab.prediction.progress import ELSE, Progress
from ushydra_lab.prediction.systems.base import Cells


@dataclass(frozen=True)
class Done:
    """What predict.json says of a finished prediction.

    statuses: how many frames triage accepts, sends to review and refuses; again: whether it was finished before.
    """

    folder: Path
    frames: int
    not_read: int
    statuses: Mapping[str, int]
    again: bool = False


def predictions(ensemble: Ensemble, given: Input, every: int = 1) -> Iterator[Prediction]:
    """Each frame's prediction, in order; nothing is written.

    Raises:
        UserError: a file cannot be read; the message names it.
    """
    for batch in ahead(Batches(ensemble.canvas, ensemble.members[0].batch_size, every).of(given.items)):
        for name, reason in batch.problems:
            raise UserError(f"{name}: {reason}")
        yield from predict_frames(ensemble, batch)


def notices_of(ensemble: Ensemble, given: Input) -> list[str]:
    """What the user should know beside the answers, a sentence each."""
    lacking = ensemble.system.lacking({name for item in given.items for name in item.boxes})
    in_mm = any(re.search(r"_mm(_|$)", column) for column in ensemble.system.columns)
    spacing = (
        f"{given.unspaced} of {len(given.items)} files have no spacing: what is measured in mm is empty. Give it in a "
        "table's column pixel_mm, or as --pixel-mm"
    )
    return [*ensemble.notices, *[lacking] * bool(lacking), *[spacing] * (in_mm and given.unspaced > 0)]


def predict_to(folder: Path, ensemble: Ensemble, given: Input, every: int = 1) -> Done:
    """Write the predictions of all files, or what is missing of them, into a folder.

    Raises:
        UserError: the folder holds something else, or cannot be written.
    """
    size = ensemble.members[0].batch_size
    members = [member.made_from for member in ensemble.members]
    about = _about(ensemble) | {"members": members, "every": every, "ignored": dict(given.ignored)}
    progress = Progress(
        folder,
        digest([__version__, members, given.state, every, size, ensemble.device.type, about["intervals"], DOUBTS]),
    )
    with disk_errors(folder, ELSE):
        before = progress.finished()  # which also refuses a folder that holds anything else
        if not before:
            with progress.held():
                before = progress.finished()
                counts = before or _predict_rest(progress, ensemble, given, every, about)
        content = before or counts
    return Done(folder, content["frames"], content["not_read"], content["statuses"], again=bool(before))


def _predict_rest(
    progress: Progress, ensemble: Ensemble, given: Input, every: int, about: dict[str, Any]
) -> dict[str, Any]:
    """Answer what is not done, and end the prediction; how many frames and problems there are."""
    progress.begin()
    started = time.perf_counter()
    batches = Batches(ensemble.canvas, ensemble.members[0].batch_size, every, progress.done)
    answered = _answer_all(progress, ensemble, ahead(batches.of(given.items)), every)
    seconds = time.perf_counter() - started
    made_by = [f"{one.run.experiment.name}/{one.run.name}" for one in ensemble.members]
    notices = notices_of(ensemble, given)
    counts = write_tables(progress, columns(ensemble), ensemble.system.legend, made_by, notices)
    speed = {"seconds": round(seconds, 3), "frames_per_second": round(answered / seconds, 2)}
    progress.end(counts | about | speed)
    return counts


def _about(ensemble: Ensemble) -> dict[str, Any]:
    return {
        "ushydra_lab": __version__,
        "torch": torch.__version__,
        "device": str(ensemble.device),
        "precision": "float32",
        "triage": [[rule.content for rule in triage.rules] for triage in ensemble.triages],
        "intervals": {measure: told(interval) for measure, interval in ensemble.intervals.items()},
    }


def _answer_all(progress: Progress, ensemble: Ensemble, batches: Iterator[FrameBatch], every: int) -> int:
    """Answer batches and write them, the pictures of one in threads while the next is answered; how many frames."""
    answered = 0
    noted: Future[None] | None = None
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool, ThreadPoolExecutor(1) as notes:
        for batch in batches:
            made = predict_frames(ensemble, batch)
            answered += len(made)
            pictures = [
                pool.submit(write_pictures, progress.folder, item, one, _is_drawn(one.shown.frame, every))
                for (item, _), one in zip(batch.shown, made, strict=True)
            ]
            if noted:
                noted.result()
            noted = notes.submit(_note, progress, batch, pictures)
        if noted:
            noted.result()
    return answered


def _note(progress: Progress, batch: FrameBatch, pictures: list[Future[Cells]]) -> None:
    """Note the rows of a batch when its pictures are written."""
    progress.note(batch.key, [picture.result() for picture in pictures], batch.problems)


def _is_drawn(frame: Frame, every: int) -> bool:
    """Whether a frame gets an overlay: one each second of a video, all of files that tell no rate."""
    if frame.frame is None or not isfinite(frame.rate):
        return True
    return frame.frame % (every * max(1, round(frame.rate / every))) == 0
