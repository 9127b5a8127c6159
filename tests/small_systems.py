"""The four systems, at a size that trains in seconds on phantoms of a few images."""

from __future__ import annotations

import functools
from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from ushydra_lab import experiment, phantom
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.validation import check

SCENES = {
    "nt_phase2": "nt", "biometry_stage3": "head", "brain_attention_unet": "head", "hydra_vit": "planes",
    "hydra_unet": "heart",
}  # fmt: skip
BRAIN = "data.structures={parenchyma: 1, csp: 2, lv: 3}"
SMALL = {
    "nt_phase2": ["loss=roi", "network.widths=[2,4,4,8]", "canvas=[168,176]", "held_out=hospital_c"],
    "biometry_stage3": [
        "arm=biometry/soft_argmax", "network.widths=[2,4,4]", "canvas=[64,64]", BRAIN, "held_out=hospital_c",
    ],
    "brain_attention_unet": ["network.widths=[2,4,8]", "canvas=[64,64]", BRAIN, "held_out=hospital_c"],
    "hydra_vit": [
        "arm=hydra/weight_10", "network.hidden_size=16", "network.layers=2", "network.heads=2", "canvas=[32,32]",
        "held_out=clinic_unseen",
    ],
    "hydra_unet": [
        "arm=hydra/weight_10", "network.widths=[2,4,8]", "canvas=[32,32]", "data.structures={lv: 1}",
        "held_out=echo_unseen",
    ],
}  # fmt: skip


def write_images(system: str, root: Path) -> Path:
    """The phantom of a system, ten images a site; the path of its manifest."""
    scene = SCENES[system]
    return phantom.write(root, scene, 0, dict.fromkeys(phantom.SCENES[scene].machines, 10))


def words(system: str, manifest: Path, root: Path, epochs: int, *more: str) -> list[str]:
    """What is typed to train a system on its phantom for some epochs a stage, one job into run_root=root."""
    chosen = [f"+experiment={system}", "scale=laptop", "seed=1000", "batch_size=4", "panel_images=1", *SMALL[system]]
    chosen += ["logger.mode=disabled", "data=manifest", f"data.path='{manifest}'", f"run_root='{root}'"]
    return [*chosen, *(f"stages.{stage}.max_epochs={epochs}" for stage in stages_of(system)), *more]


@functools.cache
def stages_of(system: str) -> list[str]:
    return list(composed([f"+experiment={system}", "scale=laptop", "data.root=here"]).stages)


def composed(overrides: list[str]) -> DictConfig:
    """The configuration of one job, as typed."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=overrides)


def train(overrides: list[str]) -> Path:
    """Run one job in this process; its directory."""
    cfg = composed(overrides)
    experiment.run(check(cfg), run_path(cfg))
    return run_path(cfg)
