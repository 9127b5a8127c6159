"""`python tests/stored_settings.py` writes settings.json: what each experiment is made of, as one hash a job.

The hashes are of every resolved key of every job of an experiment's own sweep, at both scales, and of commands as the
README shows them. `test_stored_settings.py` compares the configuration files with them, so that files can be rearranged
without moving a number of a paper's table. Write them again only if a setting is meant to change.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig

from ushydra_lab.config.identity import digest
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.validation import check

STORED = Path(__file__).with_name("settings.json")
SCALES = ("laptop", "paper")
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))
TYPED = [
    "+experiment=nt_phase2 data=manifest data.path=images.csv held_out=st_anna",
    "+experiment=nt_phase2 data=fetus_framework data.root=here roi=midbrain_box",
    "+experiment=nt_phase2 data=phantom_heart loss=l1",
    "+experiment=nt_phase2 loss=sobel weighting=unit",
    "+experiment=nt_phase2 weighting=manual weighting.module.weights=[1,5,2]",
    "+experiment=nt_phase2 weighting=uncertainty network.decoder_input=grid",
    "+experiment=nt_phase2 weighting=gradnorm split=random",
    "+experiment=nt_phase2 stages.phase1.max_epochs=2 stages.phase2.max_epochs=2 run_root=try",
    "+experiment=nt_phase2 canvas=[64,96] network.widths=[2,4] stages.phase2.task.optimizer.lr=3e-3",
    "+experiment=nt_fetus_framework data.root=here split=k_fold split.fold=3",
    "+experiment=brain_attention_unet structures=[csp]",
    "+experiment=brain_attention_unet structures=['head=parenchyma+csp+lv']",
    "+experiment=brain_attention_unet network=unet loss=ce",
    "+experiment=brain_attention_unet network=segnet data=large_fetal_head data.root=here",
    "+experiment=brain_attention_unet data=manifest data.path=a.csv data.structures={head:255} split=stratified",
    "+experiment=biometry_stage1 network=hrnet",
    "+experiment=biometry_stage1 network=coordinate_regressor loss=coordinates",
    "+experiment=biometry_stage2 data=multicentre_landmarks data.root=here data.resample=declared",
    "+experiment=biometry_stage3 arm=biometry/hrnet",
    "+experiment=biometry_stage1 label_audit={_target_:ushydra_lab.audit.landmarks.LabelWeights,flagged:0.2}",
    "+experiment=hydra_vit network.weights=google/vit-base-patch16-224-in21k",
    "+experiment=hydra_vit stages.specialise.task.domains=[low,medium] arm=hydra/soft",
    "+experiment=hydra_vit data=fetal_planes data.root=here",
    "+experiment=hydra_unet data=camus data.root=here",
    "+experiment=hydra_unet network.widths=[2,4,8] arm=hydra/single",
    "+experiment=hydra_baselines arm=hydra_baselines/unet network=segnet",
]


@functools.cache
def jobs_of(name: str, scale: str) -> list[DictConfig]:
    """Every job of an experiment's own sweep, or of a command of the README; not to be changed."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        if name.startswith("+"):
            return [compose("config", overrides=[f"scale={scale}", *name.split()])]
        return list(_own_jobs(name, scale))


def _own_jobs(experiment: str, scale: str) -> Iterator[DictConfig]:
    start = [f"+experiment={experiment}", f"scale={scale}", "data.root=here"]
    params = compose("config", overrides=start, return_hydra_config=True).hydra.sweeper.params or {}
    own = [f"{key}={value}" for key, value in params.items() if value and key != "seed"]  # the scale's
    swept = OverridesParser.create().parse_overrides(own)
    choices = [
        [f"{one.get_key_element()}={value}" for value in one.sweep_string_iterator()]
        if one.is_sweep_override()
        else [str(one.input_line)]
        for one in swept
    ]
    for job in product(*choices):
        yield compose("config", overrides=[*start, *job])


def identity(job: DictConfig) -> str:
    """Hash of all that is resolved, and of the orders that matter: of the stages, and of what is summed."""
    content = {key: value for key, value in check(job).as_dict().items() if key != "paper"}  # it changes no number
    content["weighting"] = {key: value for key, value in content["weighting"].items() if key != "name"}  # nor does this
    for stage in content["stages"].values():
        if stage["epoch"] == "best":  # which the stored ones did not say yet
            del stage["epoch"]
    orders = [(name, _orders(stage)) for name, stage in content["stages"].items()]
    return digest([content, orders, _orders(content)])[:16]


def _orders(node: Any) -> list[Any]:
    if not isinstance(node, dict):
        return []
    own = [list(value) for key, value in node.items() if key in ("terms", "geometry", "callbacks") and value]
    return own + [order for value in node.values() for order in _orders(value)]


def hashes(name: str) -> dict[str, dict[str, str]]:
    """Scale -> run directory -> hash of its settings, of an experiment or of a command of the README."""
    with patch.object(torch.cuda, "is_available", return_value=False):  # where there is a GPU the precision is another
        return {scale: {str(run_path(job)): identity(job) for job in jobs_of(name, scale)} for scale in SCALES}


if __name__ == "__main__":
    everything = {name: hashes(name) for name in (*EXPERIMENTS, *TYPED)}
    STORED.write_text(json.dumps(everything, indent=1, sort_keys=True) + "\n", encoding="utf-8")
