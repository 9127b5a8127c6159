"""No false alarm: tables computed from confusion counts and masks, the lab's own reports, numbers quoted in them."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ushydra_lab.claims.audit import audit, tables_of
from ushydra_lab.report.build import report

from ..report.small_experiments import EXPERIMENTS
from ..report.test_same_tables import fast
from . import consistent


def test_fuzz_nothing_is_found_in_a_thousand_consistent_tables(
    fuzz_seeds: Callable[[int], range], tmp_path: Path
) -> None:
    alarms = []
    for seed in fuzz_seeds(1000):
        suffix, text = consistent.table(seed)
        path = tmp_path / f"table{suffix}"
        path.write_text(text)
        alarms += [f"{seed}: {finding}" for finding in audit(path)]
    assert alarms == []


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_our_own_reports_pass(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast(monkeypatch)
    EXPERIMENTS[name](tmp_path / name)
    report(tmp_path / name)
    folder = tmp_path / name / "report"
    for file in [folder / "index.html", folder / "tables.md", folder / "tables.tex", *folder.glob("*.csv")]:
        assert audit(file) == [], file


def test_all_formats_of_our_report_give_the_same_scores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fast(monkeypatch)
    EXPERIMENTS["hydra_unet"](tmp_path / "hydra_unet")
    report(tmp_path / "hydra_unet")
    folder = tmp_path / "hydra_unet" / "report"
    of_markdown, of_latex, of_html = (
        {(row.name, c.title, s.value) for table in tables_of(folder / name) for row in table.rows
         for c, s in row.scores.items()}
        for name in ("tables.md", "tables.tex", "index.html")
    )  # fmt: skip
    assert len(of_markdown) > 100
    assert of_markdown == of_latex
    assert of_markdown <= of_html


def test_a_fault_in_our_report_is_found_while_what_it_quotes_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast(monkeypatch)
    EXPERIMENTS["hydra_unet"](tmp_path / "hydra_unet")
    report(tmp_path / "hydra_unet")
    tables = tmp_path / "hydra_unet" / "report" / "tables.md"
    row = "| UNet | site_b | Camus | 79.73 ± 1.54 | 81.72 | 66.50 ± 2.24 | 69.09 |"
    assert row in tables.read_text()
    tables.write_text(tables.read_text().replace(row, row.replace("66.50", "65.50").replace("69.09", "60.00")))
    (finding,) = audit(tables)
    assert finding.rule == "Dice and IoU"
    assert (finding.row, finding.printed) == ("UNet, site_b, Camus", "Dice 79.73 ± 1.54, IoU 65.50 ± 2.24")
