"""The faults of the USHydraNet paper's tables, as they are printed, are found, and nothing else is called a fault."""

from pathlib import Path

import pytest

from ushydra_lab.claims.audit import audit
from ushydra_lab.report.papers.ushydranet.printed import HEART, PLANES, UNSEEN, Printed
from ushydra_lab.report.papers.ushydranet.tables import SYSTEMS

DATA = """
## Table 1

| Dataset | Brain | Thorax | Femur | Abdomen | Total |
|---|---|---|---|---|---|
| Africa | 125 | 75 | 125 | 125 | 450 |
| Europe | 3,092 | 1,718 | 1,040 | 711 | 6,565 |
| Macau | 123 | 94 | 102 | 112 | 431 |

## Text on Table 1

| Dataset | Egypt | Algeria | Uganda | Ghana | Malawi | Total |
|---|---|---|---|---|---|---|
| Africa | 100 | 100 | 100 | 100 | 100 | 450 |

## Table 2 and its text

| Dataset | Train | Val | Test | Total |
|---|---|---|---|---|
| Camus | 400 | 50 | 50 | 500 |
| Echo | 6,014 | 2,004 | 2,006 | 10,030 |
"""
"""Tables 1 and 2, and what the text beside them says of the same numbers."""
LISTED = {
    *(("equal rows", f"Table 5; ResNet18, {data}") for data in PLANES["vit"]),
    ("equal rows", "Table 6; SegNet, Mixture"),
    ("precision, recall and F1", "Table 3; ViT, Mixture"),
    ("precision, recall and F1", "Table 5; ResNet18, Mixture"),
    ("precision, recall and F1", "Table 5; ResNet50, European"),
    ("precision, recall and F1", "Table 5; DenseNet121, Macao"),
    ("precision, recall and F1", "Table 3; USHydra-ViT, Mixture"),
    ("precision, recall and F1", "Table 5; USHydra-ViT, Mixture"),
    ("recall and accuracy", "Table 3; ViT, Mixture"),
    ("recall and accuracy", "Table 5; ResNet18, Mixture"),
    ("Dice and IoU", "Table 4; USHydra-UNet, Mixture"),
    ("Dice and IoU", "Table 6; USHydra-UNet, Mixture"),
    ("Dice and IoU", "Table 6; SegNet, Mixture"),
    ("Dice and IoU", "Table 6; DoFE, Camus"),
    *(("whole and parts", f"Table 5; {name}, Mixture") for name in ("ResNet50", "VGG16", "DenseNet121")),
    *(("whole and parts", f"Table 6; {name}, Mixture") for name in ("DoFE", "SegNet", "DeepLab v3", "FCN")),
    ("possible at n", "Table 3; ViT, African"),
    *(("possible at n", f"Table 5; {name}, African") for name in ("ResNet18", "ResNet50", "VGG16", "DenseNet121")),
    ("total", "Table 1; Europe"),
    ("total", "Text on Table 1; Africa"),
    ("total", "Table 2 and its text; Echo"),
}
"""Rule and place of the faults that a reader of the paper listed."""
BEYOND = {
    ("precision, recall and F1", "Table 5; VGG16, European"),  # 86.20 > (86.12 + 86.19) / 2 by nine times the rounding
    ("recall and accuracy", "Table 5; DenseNet121, Mixture"),  # 92.76, 92.67
}
"""Faults that the reader overlooked."""


def markdown(printed: Printed, experiment: str) -> str:
    """The tables of one half of the paper, each method's name in the first of its rows only."""
    system, lines = SYSTEMS[experiment], []
    for title, variants in system.tables.items():
        lines += [
            f"\n## {title}\n",
            f"| Methods | Dataset | {' | '.join(f'{c} (%)' for c in system.columns.values())} |",
        ]
        lines.append("|---" * (2 + len(system.columns)) + "|")
        for variant in (v for v in variants if v in printed):
            data = [(name, cells) for name, cells in printed[variant].items() if (title, name) != ("Table 4", UNSEEN)]
            for place, (name, cells) in enumerate(data):
                lines.append(f"| {'' if place else system.methods[variant]} | {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    path = tmp_path / "ushydranet.md"
    path.write_text(DATA + markdown(PLANES, "hydra_vit") + markdown(HEART, "hydra_unet"))
    return path


def test_the_papers_faults_are_found_and_nothing_consistent_is_called_one(paper: Path) -> None:
    findings = audit(paper, n={"African": 90})  # 20 % of 450 for testing
    assert {(f.rule, f"{f.table}; {f.row}") for f in findings} == LISTED | BEYOND
    assert all(finding.reading and finding.consistent for finding in findings)


def test_the_numbers_of_a_finding_are_the_papers(paper: Path) -> None:
    texts = [str(finding) for finding in audit(paper, n={"African": 90})]
    for fault in (
        "precision 88.04, recall 88.15, F1 89.12",
        "Dice 86.86, IoU 76.49",
        "consistent: IoU 76.77 to 86.86",
        "64.50 would be 58.05 of 90 images",
        "91.33, while its parts (European, African, Macao) have 68.00 to 88.15",
        "3,092 + 1,718 + 1,040 + 711 = 6,561, printed 6,565",
        "recall 68.97, accuracy 75.39",
        "92.90 85.84: digit by digit the row USHydra-UNet, Mixture of Table 4",
    ):
        assert any(fault in text for text in texts), fault


def test_the_papers_accuracies_are_possible_at_200_images(paper: Path) -> None:
    assert not [f for f in audit(paper, n={"African": 200}) if f.rule == "possible at n"]


def test_rows_that_leave_out_the_cell_of_the_method_are_read_alike(paper: Path, tmp_path: Path) -> None:
    shifted = tmp_path / "shifted.txt"
    lines = paper.read_text().splitlines()
    shifted.write_text("\n".join(f"{line[4:]} |" if line.startswith("|  | ") else line for line in lines))
    assert audit(shifted, n={"African": 90}) == audit(paper, n={"African": 90})
