"""A report is drawn once for what a sweep's runs hold, and again as soon as anything of it or of them has changed."""

from pathlib import Path

import pytest

from ushydra_lab.files import write_text
from ushydra_lab.report.drawn import is_drawn, remember

RUN = "site/seed1/roi"


@pytest.fixture
def experiment(tmp_path: Path) -> Path:
    for name in (f"{RUN}/run.json", f"{RUN}/figures/panels.png", "report/index.html"):
        write_text(tmp_path / name, "as it was")
    remember(tmp_path)
    return tmp_path


def test_what_has_not_changed_is_drawn_whatever_commands_log(experiment: Path) -> None:
    assert is_drawn(experiment)
    write_text(experiment / RUN / "run.log", "another command")
    write_text(experiment / "multirun.yaml", "another command")
    assert is_drawn(experiment)


@pytest.mark.parametrize("name", [f"{RUN}/run.json", "site/seed2/roi/run.json", "plan.json", "report/tables.md"])
def test_a_run_a_plan_or_a_page_that_is_new_is_drawn_again(experiment: Path, name: str) -> None:
    write_text(experiment / name, "new")
    assert not is_drawn(experiment)


@pytest.mark.parametrize("name", [f"{RUN}/run.json", f"{RUN}/figures/panels.png", "report/index.html"])
def test_what_is_lost_is_drawn_again(experiment: Path, name: str) -> None:
    (experiment / name).unlink()
    assert not is_drawn(experiment)
