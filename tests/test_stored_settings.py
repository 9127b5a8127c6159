"""Configuration files may be rearranged, but what they say may not change by accident."""

import json
import re
from copy import deepcopy
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import run_path
from ushydra_lab.config.validation import check

from .config.test_validation import composed
from .stored_settings import EXPERIMENTS, SCALES, STORED, TYPED, hashes, jobs_of

HASHES = json.loads(STORED.read_text(encoding="utf-8"))
REMEDY = "If it is meant: python tests/stored_settings.py, and say in CHANGELOG.md what changed"


@pytest.mark.parametrize("name", [*EXPERIMENTS, *TYPED])
def test_every_job_of_an_experiment_has_the_settings_it_had(name: str) -> None:
    assert hashes(name) == HASHES[name], REMEDY


def test_settings_are_stored_of_what_there_is() -> None:
    assert set(HASHES) == {*EXPERIMENTS, *TYPED}


@pytest.mark.parametrize("file", sorted(CONF.glob("*/**/*/laptop.yaml")), ids=str)
def test_laptop_sizes_stand_beside_the_file_that_takes_them(file: Path) -> None:
    taken = file.parent.with_suffix(".yaml").read_text(encoding="utf-8")
    assert re.search(rf"optional (/[\w/]+/)?{file.parent.name}@_here_", taken)


def test_what_is_typed_wins_over_the_sizes_of_a_scale() -> None:
    typed = composed("+experiment=nt_phase2", "canvas=[168,176]", "stages.phase1.max_epochs=3", "network.widths=[2,4]")
    assert (list(typed.canvas), typed.stages.phase1.max_epochs, list(typed.network.widths)) == ([168, 176], 3, [2, 4])
    assert typed.stages.phase1.patience == 12


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_configuration_can_be_shown_resolved(name: str, scale: str) -> None:
    shown = deepcopy(jobs_of(name, scale)[0])
    OmegaConf.resolve(shown)  # what --cfg job --resolve does
    assert "${" not in OmegaConf.to_yaml(shown)


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_jobs_of_an_experiment_s_own_sweep_have_a_directory_each(name: str) -> None:
    jobs = jobs_of(name, "laptop")
    assert len({run_path(job) for job in jobs}) == len(jobs)
    # baselines join those they are compared with
    assert {check(job).name for job in jobs} == ({"hydra_vit", "hydra_unet"} if name == "hydra_baselines" else {name})
