import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ushydra_lab import check

Write = Callable[..., pd.DataFrame]


def test_a_usable_manifest_is_summarised_by_site(
    write_images: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    table = write_images({"a": 3, "b": 2}, size=(30, 40))
    table.loc[0, ["nt_mm", "pixel_mm"]] = [np.nan, 0.25]
    table.loc[3:, "pixel_mm"] = np.nan
    table.to_csv(tmp_path / "m.csv", index=False)
    assert check.main([str(tmp_path / "m.csv"), "--canvas", "30", "80"]) == 0
    lines = capsys.readouterr().out.splitlines()
    cells = {line.split()[1]: line.replace("│", " ").split() for line in lines if line.startswith("│")}
    assert cells["a"] == "a 3 3 3 2 3 0.1 .. 0.25 30 40 50".split()
    assert cells["b"] == "b 2 2 2 2 0 - 30 40 50".split()
    assert "5 images of 2 sites are usable" in lines[-1]


def test_an_unusable_one_lists_its_problems_and_fails(
    write_images: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_images({"a": 2}).assign(nt_x2=99, pixel_mm=9).to_csv(tmp_path / "m.csv", index=False)
    assert check.main([str(tmp_path / "m.csv")]) == 1
    assert "4 problems" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import ushydra_lab.check as c; c.main(['--help'])", {"torch", "pandas"}),
        ("import ushydra_lab.data.readers.manifest_csv", {"torch"}),
    ],
)
def test_the_command_does_not_wait_for_heavy_imports(statement: str, absent: set[str]) -> None:
    code = f"import sys\ntry: {statement}\nfinally: sys.exit(len({absent!r} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0
