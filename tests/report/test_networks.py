"""The report counts the parameters of every method's network, and does not guess where a run did not."""

from pathlib import Path
from typing import Any

import pandas as pd

from ushydra_lab.report.document import Table
from ushydra_lab.report.sections.networks import section
from ushydra_lab.results.collect import Collected
from ushydra_lab.runs.run import Run

from .. import fake_runs


def stage(run: Path, method: str, counts: dict[str, Any], **network: Any) -> dict[str, Any]:
    images = pd.DataFrame({"record": [0], "site": ["a"], "part": ["val"]})
    config = {"network": {"_target_": "my_lab.Net", **network}}
    fake_runs.write(run, {"train": {"key": "k", **counts}}, images, config=config)
    return {"run": Run(run), "stage": "train", "method_name": method}


def shown(rows: list[dict[str, Any]], folder: Path) -> list[Table]:
    blocks = section(Collected(pd.DataFrame(), pd.DataFrame(rows), {}), folder)
    return [block for block in blocks if isinstance(block, Table)]


def test_every_method_has_its_count_and_several_where_runs_differ(tmp_path: Path) -> None:
    big = {"parameters": 146_782_273, "trainable": 146_782_273}
    rows = [
        stage(tmp_path / "e/c/seed1/latent", "latent", big),
        stage(tmp_path / "e/c/seed1/map", "map", {"parameters": 2000, "trainable": 1000}, auxiliary="detached"),
        stage(tmp_path / "e/b/seed1/map", "map", {"parameters": 3000, "trainable": 1000}),
        stage(tmp_path / "e/c/seed1/old", "old", {}),
    ]
    (table,) = shown(rows, tmp_path)
    assert table.frame.to_dict("records") == [
        {"method": "latent", "network": "Net", "parameters": "146,782,273", "trained": "146,782,273"},
        {"method": "map", "network": "Net", "parameters": "2,000 or 3,000", "trained": "1,000"},
    ]
    assert "auxiliary decoder" in table.caption
    assert "auxiliary decoder" not in shown(rows[:1], tmp_path)[0].caption


def test_runs_that_did_not_count_have_no_table(tmp_path: Path) -> None:
    assert shown([stage(tmp_path / "e/c/seed1/old", "old", {})], tmp_path) == []
