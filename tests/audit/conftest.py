"""A phantom data set for the audits, rendered once, and copies of it in which faults are planted."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from ushydra_lab import phantom
from ushydra_lab.audit import report
from ushydra_lab.data import listings
from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.data.readers import manifest_csv
from ushydra_lab.data.source import Source

STRUCTURES: dict[str, int | list[int]] = {"parenchyma": 1, "csp": 2, "lv": 3}


@pytest.fixture(scope="session")
def heads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """manifest.csv of 60 phantom heads of two hospitals, with masks, landmarks, hc_mm and spacing."""
    folder = tmp_path_factory.mktemp("heads")
    return phantom.write(folder / "set", "head", 0, {"hospital_a": 30, "hospital_b": 30})


@pytest.fixture(scope="session")
def head_rows(heads: Path) -> pd.DataFrame:
    """The rows, index: line of the file; paths are absolute."""
    table = manifest_csv.read(heads, STRUCTURES).table
    return table.assign(
        **{column: [str(heads.parent / cell) for cell in table[column]] for column in ("image", "mask")}
    )


@pytest.fixture
def audited(tmp_path: Path) -> Callable[[pd.DataFrame], dict[str, list[str]]]:
    """Kind of finding -> texts of its flags, for a table of heads; what blocks training is of kind `problems`."""

    def run(table: pd.DataFrame) -> dict[str, list[str]]:
        found = report.audit(Source(table, "heads", tmp_path, MaskCode.of(STRUCTURES)))
        kinds = {finding.kind: [flag.text for flag in finding.flags] for finding in found.findings}
        return {"problems": listings.located(found.examined), **kinds}

    return run
