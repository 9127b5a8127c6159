"""The LightningDataModule of every experiment: from manifest, split and canvas size to batches (dicts of tensors).

A batch holds `image` float32 (B, 1, H, W) in [0, 1]; `record` int64 (B,), the row of the manifest; `digest` int64 (B,)
from 0, a hash of the image on the canvas, whatever else the manifest holds; `site` int64 (B,), the index into
`manifest.sites`; `content` float32 (B, 4), the box of the image on the canvas, outside is padding; `native_px` (B, 2),
native px per canvas px along x and y; and the manifest's annotations on the canvas (`vocabulary`): boxes float32 (B, 4)
px, such as `nt_box`; points (B, P, 2) px, such as `landmarks`; numbers (B,), such as `nt_mm`; `pixel_mm` (B,) mm per
canvas px; categories int64 (B,), such as `plane`; `mask` uint8 (B, H, W), labels of `manifest.masks.structures`. An
annotation that no row of the manifest has is an absent key; one that this row lacks is NaN, NO_LEVEL or all NO_LABEL.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from lightning import LightningDataModule
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from ushydra_lab.data.affine import Batch
from ushydra_lab.data.augment import Augmentation
from ushydra_lab.data.canvases import Canvases
from ushydra_lab.data.fields import chunks, hash_given, on_canvas
from ushydra_lab.data.io.cache import CanvasCache
from ushydra_lab.data.io.mapped import as_tensor
from ushydra_lab.data.io.recipe import Crop
from ushydra_lab.data.manifest import Manifest
from ushydra_lab.data.needs import required
from ushydra_lab.data.sampler import EpochSampler, Oversample
from ushydra_lab.data.split import Split
from ushydra_lab.data.usable import crops, usable
from ushydra_lab.data.vocabulary import ALL_PARTS, IMAGE, MASK, PART, PUBLISHED, SITE, SUBJECT, groups
from ushydra_lab.errors import UserError
from ushydra_lab.geometry.letterbox import Letterbox

UNUSED = "unused"
LABEL_WEIGHT = "label_weight"
LabelAudit = Callable[[pd.DataFrame], NDArray[np.float64]]
"""Training rows of a manifest -> how much each one's labels count, 0 to 1."""
LISTED = 5
CALIBRATION = 2**31
"""Where training has the number of batches trained on: no training reaches it, so their augmentations differ."""


class UltrasoundData(LightningDataModule):
    """requires: annotations (names in `vocabulary`) an image must have to be used; canvas: (rows, columns).

    The split is drawn on the whole manifest and rows that lack a required annotation are left out afterwards,
    so the part of an image does not depend on the task.
    """

    def __init__(
        self,
        manifest: Manifest,
        split: Split,
        seed: int,
        canvas: tuple[int, int],
        batch_size: int,
        requires: Sequence[str],
        cache_dir: str | Path,
        cache_gb: float = 20.0,
        augment: Augmentation | None = None,
        oversample: Oversample | None = None,
        label_audit: LabelAudit | None = None,
        split_seed: int | None = None,
    ) -> None:
        """split_seed: draws the split; None: the seed does.

        Raises UserError: a required annotation is unknown or no row has it; the split is impossible.
        """
        super().__init__()
        self.manifest, self.seed, self.batch_size = manifest, seed, batch_size
        self.augment, self.oversample = augment, oversample
        self.canvas = int(canvas[0]), int(canvas[1])
        self.requires = required(manifest, requires)
        self.cache = CanvasCache(Path(cache_dir), self.canvas, cache_gb)
        self.part = split.assign(manifest.table, seed if split_seed is None else split_seed).copy()
        self.wanted = sorted(set(self.part) - {UNUSED})
        for annotation in self.requires:
            has = manifest.has(annotation)
            self._leave_out(~has, f"have no {annotation.name}")
            lost = has & ~usable(manifest.table, annotation, self.canvas)
            self._leave_out(lost, f"lose their {annotation.name} on the canvas")
        self._refuse_empty_parts()
        self.label_weight = self._audited(label_audit) if label_audit else None
        self._refuse_empty_parts()
        self._loaded = False

    def _audited(self, audit: LabelAudit) -> pd.Series:
        """The weight of every row; training rows that the audit gives none are left out."""
        weights = pd.Series(1.0, index=self.part.index)
        trained = self.part == "train"
        weights[trained] = audit(self.manifest.table[trained])
        self._leave_out(weights == 0, "have labels that the audit rejects")
        return weights

    def setup(self, stage: str | None = None) -> None:
        """Letterbox every image in use, or map those of the cache into memory. Raises UserError."""
        if self._loaded:
            return
        self.records = np.flatnonzero(self.part != UNUSED)
        table = self.manifest.table.iloc[self.records]
        shown = crops(table)
        canvases = self.cache.load(list(table[IMAGE]), shown)
        self.pixels, self.digests = as_tensor(canvases.pixels), canvases.digests
        fits = [Letterbox.fit(native, self.canvas, crop) for native, crop in zip(canvases.native, shown, strict=True)]
        self.fields = self._fields(table, fits, shown)
        self._loaded = True

    def __getstate__(self) -> dict[str, Any]:
        """For another process, which maps the canvases itself."""
        return vars(self) | dict.fromkeys(("pixels", "fields")) | {"_loaded": False}

    def _refuse_empty_parts(self) -> None:
        if empty := [part for part in self.wanted if not (self.part == part).any()]:
            raise UserError(f"{self.manifest.name}: no usable image is left in {', '.join(empty)}; see the lines above")

    def _leave_out(self, rows: pd.Series, reason: str) -> None:
        left = rows.index[rows & (self.part[rows.index] != UNUSED)]
        if len(left):
            names = [Path(path).name for path in self.manifest.table.loc[left, IMAGE]]
            shown = ", ".join(names[:LISTED]) + ", ..." * (len(names) > LISTED)
            print(f"left out: {len(names)} images that {reason} ({shown})")
            self.part[left] = UNUSED

    def _fields(self, table: pd.DataFrame, fits: list[Letterbox], shown: list[Crop | None]) -> Batch:
        site = torch.tensor([self.manifest.sites.index(name) for name in table[SITE]])
        content = torch.tensor([fit.content for fit in fits], dtype=torch.float32)
        native = torch.tensor([fit.native_px for fit in fits], dtype=torch.float32)
        digest = torch.tensor([int.from_bytes(digest[:8]) >> 1 for digest in self.digests])
        fields = {"record": torch.from_numpy(self.records), "digest": digest, "site": site}
        fields |= {"content": content, "native_px": native}
        for name, annotation in self.manifest.annotations.items():
            if annotation.kind == "mask":
                fields[name] = as_tensor(self.cache.load(list(table[MASK]), shown, self.manifest.masks).pixels)
            else:
                fields[name] = on_canvas(annotation, table[list(annotation.columns)], fits)
        if self.label_weight is not None:
            audited = torch.from_numpy(self.label_weight[table.index].to_numpy(np.float32))
            fields[LABEL_WEIGHT] = audited * fields.get(LABEL_WEIGHT, audited.new_ones(len(audited))).nan_to_num(1)
        return fields

    @property
    def parts(self) -> list[str]:
        """The parts that have images, in the order of ALL_PARTS."""
        return [part for part in ALL_PARTS if (self.part == part).any()]

    def part_loader(self, part: str) -> DataLoader[Batch]:
        """The images of a part in the order of the manifest. Raises UserError where there are none."""
        return self._loader(self._dataset(part))

    def train_dataloader(self) -> DataLoader[Batch]:
        """Shuffled, or drawn by their weights, by (seed, epoch); the last incomplete batch is kept."""
        dataset = self._dataset("train")
        weights = None
        if self.oversample:
            if MASK not in self.fields:
                raise UserError(f"oversample: {self.manifest.name} has no masks; set oversample=null")
            weights = self.oversample.weights(chunks(self.fields[MASK], self._positions("train")), self.manifest.masks)
        return self._loader(dataset.near(self._device), EpochSampler(len(dataset), self.seed, weights))

    def val_dataloader(self) -> DataLoader[Batch]:
        return self._loader(self._dataset("val").near(self._device))

    def test_dataloader(self) -> DataLoader[Batch]:
        return self.part_loader("test")

    def predict_dataloader(self) -> list[DataLoader[Batch]]:
        """One loader for each of `parts`."""
        return [self.part_loader(part) for part in self.parts]

    @property
    def _device(self) -> torch.device:
        """Where the trainer computes; the CPU without one."""
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    def _dataset(self, part: str) -> Canvases:
        self.setup()
        if part not in self.parts:
            raise UserError(f"the split has no images in {part!r}; it has {', '.join(self.parts)}")
        return Canvases(self.pixels, self.fields, torch.from_numpy(self._positions(part)))

    def _positions(self, part: str) -> np.ndarray:
        return np.flatnonzero(self.part.iloc[self.records] == part)

    def _loader(self, dataset: Canvases, sampler: EpochSampler | None = None) -> DataLoader[Batch]:
        # A loader draws from its generator: from the global one it would shift what the network draws.
        own = torch.Generator()
        pinned = self._device.type == "cuda" and not dataset.pixels.is_cuda
        return DataLoader(
            dataset, self.batch_size, sampler=sampler, collate_fn=_as_is, generator=own, pin_memory=pinned
        )

    def on_after_batch_transfer(self, batch: Batch, dataloader_idx: int) -> Batch:
        """Augments training batches on their device by (seed, batches trained on), so a resumed run sees the same."""
        if self.trainer is None or not self.trainer.training:
            return batch
        rank = [self.trainer.global_rank] if self.trainer.global_rank else []
        trained = self.trainer.fit_loop.epoch_loop.batch_progress.total.completed
        return self._augmented(batch, trained, *rank)

    def calibration_batches(self, count: int) -> Iterator[Batch]:
        """The first batches of the first epoch (all, if there are fewer), whole for every process that trains.

        Each is augmented by (seed, its number), with other draws than in training.
        """
        for number, batch in zip(range(count), self.train_dataloader(), strict=False):
            yield self._augmented(batch, CALIBRATION, number)

    def _augmented(self, batch: Batch, *key: int) -> Batch:
        """The batch augmented by (seed, key) alone."""
        return self.augment(batch, np.random.default_rng([self.seed, *key])) if self.augment else batch

    def split_table(self) -> pd.DataFrame:
        """Columns record, image, site, subject, part (ALL_PARTS or unused), groups, PUBLISHED where the data set has
        parts of its own. Stays local: it names subjects.
        """
        self.setup()
        whole = self.manifest.table
        table = whole[[IMAGE, SITE, SUBJECT]].assign(**{PART: self.part}).join(whole[groups(whole)])
        if PART in whole:
            table[PUBLISHED] = whole[PART]
        return table.rename_axis("record").reset_index()

    def fingerprint(self, parts: Sequence[str] = ("train", "val")) -> str:
        """sha256 of what these parts hold: canvases, sites and annotations in order; of no other image."""
        self.setup()
        total = hashlib.sha256(repr(self.canvas).encode())
        for part in parts:
            positions = self._positions(part)
            total.update(f"{part} {len(positions)}".encode())
            total.update(b"".join(self.digests[position] for position in positions))
            total.update("\0".join(self.manifest.table[SITE].iloc[self.records[positions]]).encode())
            for name in self.manifest.annotations:
                hash_given(total, name, self.fields[name], positions)
        return total.hexdigest()


def _as_is(batch: Any) -> Any:
    return batch
