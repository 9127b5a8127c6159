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
    cells = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    assert {name: values for name, *values in cells} == {
        "images": ["3", "2"],
        "subjects": ["3", "2"],
        "with nt_box": ["3", "2"],
        "with nt_mm": ["2", "2"],
        "with pixel_mm": ["3", "0"],
        "mm per px": ["0.1 .. 0.25", "-"],
        "height, px": ["30", "30"],
        "width, px": ["40", "40"],
        "30 x 80 filled, %": ["50", "50"],
    }
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
