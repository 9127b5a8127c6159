"""What identifies every experiment's jobs and stages is what earlier commits hashed: their runs are found again.

Where one changes on purpose, `python tests/test_identities.py` writes identities.json anew.
"""

import json
from pathlib import Path
from typing import cast
from unittest.mock import patch

import pytest
import torch
from hydra import compose, initialize_config_dir

from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers
from ushydra_lab.config.schema import SCALES
from ushydra_lab.config.validation import check
from ushydra_lab.data.datamodule import UltrasoundData
from ushydra_lab.runs import directory
from ushydra_lab.training import stages as training

FILE = Path(__file__).with_name("identities.json")
EXPERIMENTS = sorted(path.stem for path in (CONF / "experiment").glob("*.yaml"))


class Images:
    def fingerprint(self, parts: tuple[str, ...]) -> str:
        return "the same"


def identities(name: str, scale: str) -> dict[str, str]:
    """Beginnings of the hashes of the job and of each stage, whatever the lab's version."""
    register_resolvers()
    overrides = [f"+experiment={name}", f"scale={scale}", "data.root=here"]
    without_gpu = patch.object(torch.cuda, "is_available", return_value=False)  # where the precision is another
    with without_gpu, initialize_config_dir(str(CONF), version_base="1.3"):
        experiment = check(compose("config", overrides=overrides))
    images = cast(UltrasoundData, Images())
    keys: dict[str, str] = {}
    with patch.object(training, "__version__", "any"), patch.object(directory, "__version__", "any"):
        for stage, settings in experiment.stages.items():
            keys[stage] = training.stage_key(experiment.with_own(settings), stage, images, keys)
        job = directory.job_identity(experiment, "the same")
    return {what: value[:16] for what, value in {"job": job, **keys}.items()}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_what_identifies_an_experiment_stays(name: str, scale: str) -> None:
    assert identities(name, scale) == json.loads(FILE.read_text()).get(f"{name} {scale}")


if __name__ == "__main__":
    known = {f"{name} {scale}": identities(name, scale) for name in EXPERIMENTS for scale in SCALES}
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in known.items())
    FILE.write_text(f"{{\n{lines}\n}}\n")
