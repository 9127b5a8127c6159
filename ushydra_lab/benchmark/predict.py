"""Prediction of a folder of files beside loops that a user would write: a file at a time, and with threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ushydra_lab import experiment
from ushydra_lab.benchmark.counting import peak_bytes
from ushydra_lab.benchmark.lab import Lab, canvas_of, data_of, quiet
from ushydra_lab.benchmark.memory import MIB
from ushydra_lab.benchmark.rows import Row, faster
from ushydra_lab.benchmark.timing import Quartiles, interleaved
from ushydra_lab.data.vocabulary import IMAGE
from ushydra_lab.geometry.letterbox import Letterbox
from ushydra_lab.prediction.inputs import read_input
from ushydra_lab.prediction.members import Ensemble, load_ensemble
from ushydra_lab.prediction.predict import predict_to

PART = "predict"
FASTER_THAN_PLAIN, FASTER_THAN_COMPETENT = 1.4, 1.0
OVERLAY = 512, 512
"""px, the most of an overlay, as that of `prediction`."""
COLOUR = 255, 0, 0
Decoded = tuple[NDArray[np.uint8], Letterbox, NDArray[np.uint8]]
"""An image in native px, its letterbox, and its canvas."""


def rows(lab: Lab) -> Iterator[Row]:
    """Masks and overlays of the phantom's heads, by a segmentation trained for an epoch, from files to files.

    The loops write the same masks and overlays; they judge no image, keep no table and cannot be continued.
    """
    trained = lab.experiment("brain_attention_unet", "stages.train.max_epochs=1", "panel_images=1")
    place = lab.folder / "predict" / "hospital_c" / "seed1000" / "hybrid"
    with quiet():
        experiment.run(trained, place)
    files = [Path(file) for file in data_of(trained).manifest.table[IMAGE]]
    loops = Loops(load_ensemble([place], lab.device.type), files, lab.folder)
    works = {"ours": loops.ours, "plain": loops.plain, "competent": loops.competent}
    times = interleaved(works, lab.repeats, lab.device)
    for name, against, aim in (
        ("plain", "loop over files", FASTER_THAN_PLAIN),
        ("competent", "threads and batches", FASTER_THAN_COMPETENT),
    ):
        size = f"{len(files)} files, {canvas_of(trained)}"
        yield faster(PART, "masks, overlays, table, triage", size, times["ours"], against, times[name], aim)
    each = Quartiles.of([one / len(files) for one in times["ours"]])
    yield Row(PART, "an image of these", canvas_of(trained, 1), each, "s")
    held = Quartiles.exact(peak_bytes(loops.ours, lab.device) / MIB)
    yield Row(PART, "tensors at their peak", canvas_of(trained), held, "MiB")


@dataclass(frozen=True)
class Loops:
    """Three ways from the same files to masks and overlays; each call writes into a new folder."""

    ensemble: Ensemble
    files: list[Path]
    folder: Path

    def ours(self) -> None:
        with quiet():
            predict_to(self._new(), self.ensemble, read_input(Path(os.path.commonpath(self.files)) / "manifest.csv"))

    def plain(self) -> None:
        out = self._made()
        for file in self.files:
            decoded = self._decode(file)
            _write(out / file.parent.name / file.stem, decoded, self._labels([decoded])[0])

    def competent(self) -> None:
        """Decodes ahead and writes in threads, and answers batches."""
        out, size = self._made(), self.ensemble.members[0].batch_size
        with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
            decoded = [pool.submit(self._decode, file) for file in self.files]
            written = []
            for start in range(0, len(decoded), size):
                batch = [one.result() for one in decoded[start : start + size]]
                for file, image, labels in zip(self.files[start:], batch, self._labels(batch), strict=False):
                    written.append(pool.submit(_write, out / file.parent.name / file.stem, image, labels))
            for done in written:
                done.result()

    def _new(self) -> Path:
        return self.folder / uuid4().hex

    def _made(self) -> Path:
        out = self._new()
        for file in self.files:
            (out / file.parent.name).mkdir(parents=True, exist_ok=True)
        return out

    def _decode(self, file: Path) -> Decoded:
        grey = np.array(Image.open(file).convert("L"))
        fit = Letterbox.fit((grey.shape[0], grey.shape[1]), self.ensemble.canvas)
        return grey, fit, fit.apply_image(grey)

    @torch.inference_mode()
    def _labels(self, batch: list[Decoded]) -> NDArray[np.uint8]:
        images = torch.from_numpy(np.stack([canvas for *_, canvas in batch]))[:, None].to(self.ensemble.device)
        logits = self.ensemble.members[0].task(images.float() / 255)
        labels: NDArray[np.uint8] = logits.argmax(1).to(torch.uint8).cpu().numpy()
        return labels


def _write(stem: Path, decoded: Decoded, labels: NDArray[np.uint8]) -> None:
    grey, fit, _ = decoded
    mask = fit.invert_labels(labels)
    Image.fromarray(mask).save(stem.with_suffix(".png"), compress_level=1)
    drawn = Image.fromarray(np.where((mask > 0)[..., None], np.array(COLOUR, np.uint8), grey[..., None]))
    drawn.thumbnail(OVERLAY)
    drawn.save(stem.with_suffix(".jpg"), quality=85)
