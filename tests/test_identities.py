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
from ushydra_lab.config import CONF, register_resolvers, to_yaml
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.runs import directory
from ushydra_lab.validation import check

KNOWN = json.loads(Path(__file__).with_name("identities.json").read_text())
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


class Images:
    def fingerprint(self, parts: tuple[str, ...]) -> str:
        return "the same"


def identities(experiment: str, scale: str) -> dict[str, str]:
    """Beginnings of the hashes: of config.yaml, of the job and of each stage."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = check(compose("config", overrides=[f"+experiment={experiment}", f"scale={scale}", "data.root=here"]))
    keys: dict[str, str] = {}
    for name, stage in config["stages"].items():
        keys[name] = training.stage_key(config | stage["instead"], name, cast(UltrasoundData, Images()), keys)
    hashes = {"config.yaml": hashlib.sha256(to_yaml(config).encode()).hexdigest()}
    hashes |= {"job": directory.job_identity(config, "the same"), **keys}
    return {name: value[:16] for name, value in hashes.items()}


@pytest.mark.parametrize("scale", ["laptop", "paper"])
@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_what_is_stored_and_hashed_of_an_experiment_stays(
    experiment: str, scale: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (training, directory):
        monkeypatch.setattr(module, "__version__", "any")
    assert identities(experiment, scale) == KNOWN.get(f"{experiment} {scale}")
