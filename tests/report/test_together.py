"""Several experiments side by side: compared where they tested the same images, and only there."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from ushydra_lab.commands import report as command
from ushydra_lab.errors import UserError
from ushydra_lab.report.together import ALONE, EXPLORATORY
from ushydra_lab.results.collect import collect

from .test_claim import CLAIM, experiment, planned
from .test_same_tables import fast


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    fast(monkeypatch)


def said(page: Path) -> str:
    text = re.sub(r"<(style|script)>.*?</\1>", "", page.read_text(), flags=re.S)
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


def both(tmp_path: Path, of_data: tuple[str, str]) -> list[Path]:
    """An experiment with a claim, and one with other gains; of_data: fingerprints of their images."""
    folders = []
    for name, gains, data in zip(("first", "second"), ((0.0, 0.3), (0.1, 0.2)), of_data, strict=True):
        root = experiment(tmp_path / "made", ("anna",), (1, 2, 3), *gains)
        for file in root.rglob("run.json"):
            file.write_text(file.read_text().replace('"status"', f'"data": "{data}", "status"', 1))
        folders.append(Path(shutil.move(root, tmp_path / name)))
    planned(folders[0], (CLAIM, 0))
    return folders


def test_experiments_of_the_same_images_are_compared_and_link_to_their_pages(tmp_path: Path) -> None:
    folders = both(tmp_path, ("same", "same"))
    assert command.main([str(folder) for folder in folders]) == 0
    page = tmp_path / "together" / "first+second" / "index.html"
    text = said(page)
    assert "it is shown that phase2 roi is better" in text
    assert "No claim was stated before its results." in text
    assert EXPLORATORY in text
    for link in re.findall(r'<h2><a href="([^"]+)"', page.read_text()):
        assert (page.parent / link).exists()
    values = pd.read_csv(page.parent / "anna_test_values.csv").set_index("method")
    for folder in folders:
        images = collect(folder).images
        own = images[(images["part"] == "test") & (images["method"] == "phase2 roi")].groupby("seed")["roi_mae"].mean()
        assert float(values.loc[f"{folder.name}: phase2 roi", "ROI-MAE ↓"].split(" ± ")[0]) == pytest.approx(
            own.mean(), abs=1e-5
        )
    pairs = pd.read_csv(page.parent / "anna_test_changes.csv")[["method", "against"]].drop_duplicates()
    assert len(pairs) == 6, "all pairs of four methods"


@pytest.mark.parametrize("of_data", [("one", "another"), ("", "")])
def test_experiments_of_other_images_are_shown_and_not_compared(tmp_path: Path, of_data: tuple[str, str]) -> None:
    folders = both(tmp_path, of_data)
    command.main([str(folder) for folder in folders])
    assert ALONE in said(tmp_path / "together" / "first+second" / "index.html")
    assert not list((tmp_path / "together").rglob("*.csv"))


def test_a_folder_of_experiments_has_no_such_page(tmp_path: Path) -> None:
    both(tmp_path / "all", ("same", "same"))
    command.main([str(tmp_path / "all")])
    assert not list(tmp_path.rglob("together"))


def test_many_experiments_with_long_names_have_a_page(tmp_path: Path) -> None:
    one, other = both(tmp_path, ("same", "same"))
    copies = [Path(shutil.copytree(one, tmp_path / f"{number:03}_{'long' * 20}")) for number in range(3)]
    command.main([str(folder) for folder in (*copies, other)])
    (page,) = (tmp_path / "together").rglob("index.html")
    assert all(copy.name in said(page) for copy in copies)


def test_an_experiment_is_not_compared_with_itself(tmp_path: Path) -> None:
    one, _ = both(tmp_path, ("same", "same"))
    link = tmp_path / "link"
    link.symlink_to(one, target_is_directory=True)
    command.main([str(one), str(one.parent / "second" / ".." / one.name), str(link)])
    assert not list(tmp_path.rglob("together"))


def test_experiments_that_are_below_a_folder_and_not_named_have_no_such_page(tmp_path: Path) -> None:
    both(tmp_path / "all", ("same", "same"))
    one, other = both(tmp_path / "more", ("same", "same"))
    command.main([str(tmp_path / "all"), str(one), str(other)])
    assert not list(tmp_path.rglob("together"))


def test_methods_with_other_seeds_or_canvases_are_told_apart(tmp_path: Path) -> None:
    one, other = both(tmp_path, ("same", "same"))
    shutil.rmtree(next(other.rglob("seed3")))
    for folder, canvas in ((one, "[168, 176]"), (other, "[84, 88]")):
        for file in folder.rglob("config.yaml"):
            file.write_text(f"{file.read_text()}\ncanvas: {canvas}\n")
    command.main([str(one), str(other)])
    (page,) = (tmp_path / "together").rglob("index.html")
    counts = pd.read_csv(page.parent / "anna_test_values.csv").set_index("method")["images x seeds"]
    assert counts["first: phase2 roi"].endswith(" x 3")
    assert counts["second: phase2 roi"].endswith(" x 2")
    assert "2 to 3 seeds" in said(page)
    assert "CANVASES DIFFER (first: [168, 176]; second: [84, 88])" in said(page)


def test_where_tables_are_not_complete_it_is_told_that_there_is_no_such_page(tmp_path: Path) -> None:
    one, other = both(tmp_path, ("same", "same"))
    for file in other.rglob("run.json"):
        file.write_text("{")
    with pytest.raises(UserError, match=rf"(?s)No page side by side: .* {other}$"):
        command.main([str(one), str(other)])
