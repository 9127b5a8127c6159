"""The configuration as objects: an `Experiment` and its `Stage`s, built by validation."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from enum import Enum
from typing import Any

from ushydra_lab.config.regions import regions

SCALES = ("paper", "laptop")
LOGGER_MODES = ("offline", "online", "disabled")
Node = dict[str, Any]
"""Plain values below one key: a component, its `_target_` and settings, or settings that components refer to."""


class Inherited(Enum):
    """A sentinel: the stage uses the experiment's setting."""

    INHERITED = "inherited"


INHERITED = Inherited.INHERITED


@dataclass(frozen=True)
class OwnSettings:
    """Settings of the experiment that one stage overrides (`instead`)."""

    data: Node | Inherited = INHERITED
    split: Node | Inherited = INHERITED
    structures: list[str] | Inherited | None = INHERITED
    oversample: Node | Inherited | None = INHERITED

    @property
    def given(self) -> dict[str, Any]:
        """The settings that the stage overrides, including those set to null."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in values.items() if value is not INHERITED}


class Epoch(Enum):
    """Which epoch's weights a trained stage stands for."""

    best = "best"
    last = "last"


@dataclass(frozen=True)
class Stage:
    """One fit: a task from the weights of `init` (an earlier stage), early stopping on the validation loss.

    epoch: whose weights are evaluated and begun from: that with the best score on validation images, or the last one.
    Two stages that differ in it alone are trained once. instead: settings of the experiment that differ in this stage,
    to pre-train on other images; it is evaluated on the experiment's own.
    """

    task: Node
    max_epochs: int
    init: str | None = None
    patience: int | None = None
    min_delta: float = 0.0
    epoch: Epoch = Epoch.best
    callbacks: dict[str, Node] = field(default_factory=dict)
    instead: OwnSettings = OwnSettings()

    def as_dict(self) -> dict[str, Any]:
        """Plain values, in the order in which they are stored."""
        return vars(self) | {"epoch": self.epoch.value, "instead": self.instead.given}


class Kind(Enum):
    """What a claim says of the difference between two methods."""

    superiority = "superiority"
    non_inferiority = "non_inferiority"
    equivalence = "equivalence"


@dataclass(frozen=True)
class Claim:
    """The question an experiment asks, stated before any test image is evaluated; all other comparisons are secondary.

    endpoint: a column of the per-image table, at each variant's last stage. against: the variant to compare with;
    method: the one that the claim is about, null for the only other one. margin: the smallest change that matters, in
    the unit that changes of the endpoint are told in (per cent, or its own); superiority: better than `against`;
    non_inferiority: not worse by the margin; equivalence: neither better nor worse by the margin. source: where the
    margin comes from.
    """

    endpoint: str
    against: str | None = None
    method: str | None = None
    margin: float = 0.0
    kind: Kind = Kind.superiority
    source: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return vars(self) | {"kind": self.kind.value}


@dataclass(frozen=True)
class Experiment:
    """A data set, a held-out site, a seed and an ordered list of stages.

    split_seed: draws the split in place of the seed, so that seeds differ in initialisation and order alone. roi: one
    region of interest or several with their weights (`regions`), or null.
    """

    name: str
    variant: str
    seed: int
    scale: str
    held_out: str | None
    deidentified: bool
    panel_images: int
    run_root: str
    cache_dir: str
    cache_gb: float
    canvas: list[int]
    batch_size: int
    augment: Node | None
    data: Node
    split: Node
    network: Node
    trainer: Node
    logger: Node
    stages: dict[str, Stage]
    loss: Node = field(default_factory=dict)
    weighting: Node = field(default_factory=dict)
    fail_fast: bool = False
    claim: Claim | None = None
    split_seed: int | None = None
    paper: str | None = None
    roi: Any = None
    structures: list[str] | None = None
    planes: list[str] | None = None
    oversample: Node | None = None
    label_audit: Node | None = None

    @property
    def seed_of_split(self) -> int:
        return self.seed if self.split_seed is None else self.split_seed

    @property
    def main_roi(self) -> str | None:
        """The first region of interest, which pictures show."""
        return next(iter(regions(self.roi))) if self.roi is not None else None

    def with_own(self, stage: Stage) -> Experiment:
        """The experiment with the settings that a stage overrides."""
        return replace(self, **stage.instead.given)

    def as_dict(self) -> dict[str, Any]:
        """Plain values, in the order in which they are stored."""
        stages = {name: stage.as_dict() for name, stage in self.stages.items()}
        return vars(self) | {"stages": stages, "claim": self.claim and self.claim.as_dict()}
