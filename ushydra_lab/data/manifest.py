"""The manifest: a checked table with one row per image.

Columns: `image`, `site`, `subject` (unique only together with the site), optionally `part` (the data set's
own train/val/test), the annotations of `vocabulary`, and what the check adds: native `height` and `width`
(px), the file's `sha256`, the structures its mask `shows` (`csp+lv`). A cell that is empty has no annotation.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import pandas as pd

from ushydra_lab.data import checks, listings
from ushydra_lab.data.io.mask_codes import AnyCode
from ushydra_lab.data.source import Source
from ushydra_lab.data.vocabulary import IMAGE, MASK, SITE, Annotation, annotations, filled, groups
from ushydra_lab.errors import UserError


@dataclass(frozen=True, eq=False)
class Manifest:
    """A checked table, index 0..n-1, `image` an absolute path; name: for messages; lacks: as of the source."""

    table: pd.DataFrame
    name: str
    masks: AnyCode | None = None
    lacks: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def sites(self) -> list[str]:
        return sorted(self.table[SITE].unique())

    @cached_property
    def annotations(self) -> dict[str, Annotation]:
        """The annotations that some image has, by name."""
        return {name: a for name, a in annotations(self.table.columns).items() if self.has(a).any()}

    def has(self, annotation: Annotation) -> pd.Series:
        """Whether each row has all values of the annotation; False where the columns are missing."""
        return filled(self.table, annotation)

    def fingerprint(self) -> str:
        """sha256 of every row's image, site, subject and annotations, wherever the files lie; not of its groups."""
        return self._fingerprint

    @cached_property
    def _fingerprint(self) -> str:
        table = self.table.drop(columns=[IMAGE, MASK, *groups(self.table)], errors="ignore")
        total = hashlib.sha256(table.to_csv(index=False).encode())
        for mask in self.table.get(MASK, pd.Series()).dropna():
            total.update(hashlib.sha256(Path(mask).read_bytes()).digest() if mask else b"no mask")
        return total.hexdigest()

    def with_structures(self, structures: Sequence[str]) -> "Manifest":
        """The same images, their masks' labels 1, 2, ... being these (`relabelled` of the code). Raises UserError."""
        if self.masks is None:
            raise UserError(f"{self.name}: has no masks, so structures={list(structures)} cannot be segmented")
        return replace(self, masks=self.masks.relabelled(structures))


def check_manifest(source: Source) -> Manifest:
    """Validate the table and every file it names. Raises UserError listing every problem: place and remedy."""
    found = checks.examine(source)
    if found.problems:
        raise listings.problems(source.name, found)
    table = found.table.assign(**{IMAGE: list(map(str, found.paths))})
    if MASK in table:
        table[MASK] = [str(path or "") for path in found.masks]
    if found.absent:
        print(f"{source.name}: {len(found.absent)} of {len(table)} rows name images that are not there: left out")
    if found.unusable:
        print(listings.left_out(found))
    table = table.drop(index=table.index[found.left_out])
    if table.empty:
        raise listings.no_image(source)
    table = table.astype({"height": int, "width": int}).reset_index(drop=True)
    return Manifest(table, source.name, source.masks, source.lacks)
