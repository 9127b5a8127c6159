"""What is stored and hashed of every experiment is what earlier commits stored and hashed: their runs are found again.

Where a configuration changes on purpose, `python -m pytest tests/test_identities.py` shows which experiments, and
deleting their lines of identities.json has the test fail with what belongs there.
"""

import hashlib
import json
from pathlib import Path
from typing import cast

import pytest
from hydra import compose, initialize_config_dir

from ushydra_lab import training
from ushydra_lab.config.identity import to_yaml
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers
from ushydra_lab.config.validation import check
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.runs import directory

KNOWN = json.loads(Path(__file__).with_name("identities.json").read_text())
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


class Images:
    def fingerprint(self, parts: tuple[str, ...]) -> str:
        return "the same"


def identities(name: str, scale: str) -> dict[str, str]:
    """Beginnings of the hashes: of config.yaml, of the job and of each stage."""
    register_resolvers()
    overrides = [f"+experiment={name}", f"scale={scale}", "data.root=here"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        experiment = check(compose("config", overrides=overrides))
    images = cast(UltrasoundData, Images())
    keys: dict[str, str] = {}
    for stage in experiment.stages:
        keys[stage] = training.stage_key(experiment.with_own(experiment.stages[stage]), stage, images, keys)
    hashes = {"config.yaml": hashlib.sha256(to_yaml(experiment.as_dict()).encode()).hexdigest()}
    hashes |= {"job": directory.job_identity(experiment, "the same"), **keys}
    return {what: value[:16] for what, value in hashes.items()}


@pytest.mark.parametrize("scale", ["laptop", "paper"])
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_is_stored_and_hashed_of_an_experiment_stays(
    name: str, scale: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (training, directory):
        monkeypatch.setattr(module, "__version__", "any")
    assert identities(name, scale) == KNOWN.get(f"{name} {scale}")
