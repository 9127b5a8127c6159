"""The tutorial's own system, its metric, loss and data set, outside of the package: trained, reported, evaluated."""

from pathlib import Path

import pandas as pd
import pytest

from tests.forked import ForkServer
from tests.tutorials import commands_of, write_files
from ushydra_lab.files import read_json


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """The folder with my_lab.py and its configuration that the tutorial has the reader write."""
    wanted = [
        "my_conf/data/squares.yaml",
        "my_conf/experiment/brightness.yaml",
        "my_conf/network/mean.yaml",
        "my_lab.py",
    ]
    assert write_files("tutorial_system", tmp_path) == wanted
    return tmp_path


@pytest.mark.slow
def test_a_system_of_one_s_own_needs_no_change_of_the_lab(lab: Path, fork_server: ForkServer) -> None:
    def run(*words: str) -> str:
        status, said = fork_server.run(list(words), lab)
        assert status == 0, said
        return said

    small, large, *_ = commands_of("tutorial_system")
    run(*small, "scale=laptop", "logger.mode=disabled")
    said = run(*large, "scale=laptop", "logger.mode=disabled", "stages.train.task.loss.delta=10")
    assert "Brightness error" in said
    own = lab / "multirun" / "brightness" / "clara" / "seed1" / "small"
    assert [column["name"] for column in read_json(own / "run.json")["columns"]] == ["brightness_error"]

    run("report", "multirun")  # which knows nothing of my_lab
    tables = (lab / "multirun" / "brightness" / "report" / "tables.md").read_text()
    assert "Brightness error ↓" in tables
    assert "train large against train small" in tables

    said = run(
        "evaluate", str(own), "hydra.searchpath=[file://my_conf]", "data=squares", "trust=[my_lab]",
        "data.sites=[clara,doris]", "data.root=others",
    )  # fmt: skip
    assert "Brightness error" in said
    (folder,) = own.glob("external/squares-*")
    evaluated = pd.read_csv(folder / "per_image.csv")
    assert set(evaluated["site"]) == {"clara", "doris"}
    assert evaluated["brightness_error"].between(0, 1).all()
