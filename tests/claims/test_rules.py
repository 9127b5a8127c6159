"""Every rule: a table with one fault gives one finding, the same table without it none."""

from pathlib import Path

import pytest

from ushydra_lab.claims.audit import audit

FAULTS: dict[str, tuple[str, str, str]] = {
    "range": ("method,Dice\nA,1.02\nB,0.91", "1.02", "0.99"),
    "range in per cent": ("method,Accuracy (%)\nA,101.3\nB,91.2", "101.3", "99.3"),
    "range of a correlation": ("method,MCC\nA,-1.20\nB,0.40", "-1.20", "-0.20"),
    "range of a distance": ("method,HD95 (mm)\nA,-3.1\nB,4.0", "-3.1", "3.1"),
    "standard deviation": ("method,Dice\nA,0.90 ± 0.45\nB,0.88 ± 0.05", "0.45", "0.40"),
    "standard deviation in brackets": ("method,IoU (%),n\nA,90.0 (31.2),20\nB,88.0 (5.0),20", "31.2", "30.7"),
    "standard deviation of a correlation": ("method,MCC\nA,0.00 ± 1.60\nB,0.40 ± 0.10", "1.60", "0.90"),
    "possible at n": ("method,Accuracy,n\nA,0.85,10\nB,0.90,10", "0.85", "0.80"),
    "possible at n over seeds": ("method,Accuracy,n\nA,0.825 ± 0.050,2 x 10\nB,0.900 ± 0.050,2 x 10", "0.825", "0.850"),
    "possible at n of a label": ("method,set,Accuracy\nA,Anna (n = 90),64.50\nB,Berta,64.55", "64.50", "64.44"),
    "Dice and IoU": ("method,Dice,IoU\nA,0.929,0.858\nB,0.900,0.830", "0.858", "0.869"),
    "Dice and IoU too large": ("method,Dice,IoU\nA,0.890,0.900\nB,0.900,0.830", "0.890", "0.910"),
    "Dice and IoU of a structure": ("method,Dice LV,IoU LV,IoU LA\nA,0.90,0.70,0.70", "0.70,", "0.82,"),
    "Dice and IoU with spreads": ("model,Dice (mean ± SD),IoU ± std\nA,0.929 ± 0.1,0.858 ± 0.1", "0.858", "0.868"),
    "Dice and IoU in two units": ("method,DSC (%),Jaccard\nA,92.9,0.858\nB,90.0,0.830", "0.858", "0.868"),
    "Dice and IoU of all pixels": ("method,Dice (micro),IoU (micro)\nA,0.900,0.850", "0.850", "0.818"),
    "HD95 and Hausdorff distance": ("method,HD (mm),HD95 (mm)\nA,7.1,7.3\nB,9.0,6.1", "7.3", "7.1"),
    "average surface distance and Hausdorff distance": ("method,HD,ASSD\nA,1.1,2.0\nB,9.0,6.1", "2.0", "1.0"),
    "precision, recall and F1": ("method,Precision,Recall,F1\nA,0.90,0.60,0.74", "0.74", "0.72"),
    "precision, recall and F1 too low": ("method,PPV,Sensitivity,F1\nA,0.95,0.95,0.85", "0.85", "0.90"),
    "prevalence": ("method,Sensitivity,Specificity,Accuracy\nA,0.90,0.80,0.92", "0.92", "0.88"),
    "prevalence by PPV": ("method,Sens,Spec,PPV,Prevalence\nA,0.900,0.800,0.900,0.500", "0.900,0.500", "0.818,0.500"),
    "prevalence by NPV": ("method,Sens,Spec,NPV,Acc\nA,0.900,0.800,0.500,0.850", "0.500", "0.889"),
    "prevalence of a data set": (
        "method,set,Sens,Spec,Acc\nA,Anna,0.900,0.500,0.700\nB,Anna,0.800,0.600,0.780", "0.780", "0.700"
    ),
    "whole and parts": (
        "method,set,Accuracy\nA,Anna,0.80\nA,Berta,0.70\nA,Mixture,0.82\nB,Anna,0.8\nB,Berta,0.9\nB,Mixture,0.85",
        "0.82", "0.75",
    ),
    "whole and parts of means": (
        "method,structure,Dice,HD95\nA,LV,0.80,4\nA,LA,0.70,5\nA,Average,0.75,7\nB,LV,0.9,1\nB,LA,0.9,1\nB,Average,0.9,1",
        "Average,0.75,7", "Average,0.75,5",
    ),
    "whole and parts of structures": ("Structure,Dice,IoU\nLV,0.90,0.85\nLA,0.80,0.70\nMean,0.92,0.85", "0.92", "0.88"),
    "whole and parts of columns": ("method,Dice LV,Dice LA,Mean Dice\nA,0.80,0.70,0.82\nB,0.9,0.8,0.9", "0.82", "0.75"),
    "total": ("set,Brain,Femur,Total\nAnna,100,90,191\nBerta,10,10,20", "191", "190"),
    "total of rows": ("set,Brain,Femur\nAnna,100,90\nBerta,10,10\nTotal,110,101", "101", "100"),
    "equal rows": (
        "method,Dice,HD95\nA,0.91234,4.213\nB,0.91234,4.213\nC,0.90111,4.991\nD,0.88211,5.882\nE,0.92111,3.981",
        "B,0.91234", "B,0.91134",
    ),
    "recall and accuracy": (
        "method,set,Recall,Accuracy\nA,Anna,0.8123,0.8123\nB,Anna,0.8345,0.8345\nC,Anna,0.7911,0.7911\nD,Anna,0.8012,0.8211",
        "0.8211", "0.8012",
    ),
}  # fmt: skip
"""Name, which begins with the rule's -> a CSV table with a fault, and a text to replace by another that mends it."""


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_by_its_rule_and_its_absence_is_not(name: str, tmp_path: Path) -> None:
    text, faulty, mended = FAULTS[name]
    path = tmp_path / "results.csv"
    path.write_text(text)
    (finding,) = audit(path)
    assert name.startswith(finding.rule)
    assert finding.table == "results"
    assert finding.row.split(",")[0] in text
    assert finding.reading
    assert finding.consistent
    assert text.count(faulty) == 1
    path.write_text(text.replace(faulty, mended))
    assert audit(path) == []


CONSISTENT = {
    "mean plus SD above 1": "method,Dice\nA,0.95 ± 0.10",
    "macro and micro": "method,Dice,IoU (micro)\nA,0.90,0.70",
    "IoU with background": "method,Dice,mIoU\nA,0.80,0.90",
    "of two structures": "method,Dice LV,IoU LA\nA,0.90,0.70",
    "medians": "method,Median Dice,Mean IoU\nA,0.90,0.70",
    "changes": "comparison,Dice Δ,IoU Δ\nA vs B,-0.10,+0.30",
    "improvements in a row": "method,Dice,IoU\nA,0.90,0.82\nImprovement,-0.02,0.30",
    "macro accuracy": "method,Sensitivity (macro),Specificity (macro),Accuracy\nA,0.80,0.90,0.70",
    "over folds": "method,Sensitivity,Specificity,Accuracy\nA,0.80 ± 0.1,0.90 ± 0.1,0.70 ± 0.1",
    "accuracy over folds": "method,Accuracy,n\nA,0.85 ± 0.05,10",
    "pixels are no images": "method,Pixel accuracy,n\nA,0.85,10",
    "a mixture's AUC": "method,set,AUC\nA,Anna,0.80\nA,Berta,0.70\nA,Mixture,0.95\nB,Anna,0.8\nB,Berta,0.7",
    "a mixture over folds": "method,set,Accuracy\nA,Anna,0.80 ± 0.1\nA,Berta,0.79 ± 0.1\nA,Mixture,0.81 ± 0.1",
    "a total of other things": "set,Patients,Images,Total\nAnna,10,90,90",
    "perfect methods": "method,Dice,HD95\nA,1.0000,0.000\nB,1.0000,0.000\nC,0.9211,2.123",
    "two methods of few images": "method,Accuracy,F1\nA,85.00,84.21\nB,85.00,84.21\nC,50.00,49.00",
    "the same method in two tables": "method,set,Dice,IoU\nA,Anna,0.91234,0.84321\nA (ours),Anna,0.91234,0.84321",
    "distances in two units": "method,HD (mm),HD95 (px)\nA,3.0,9.0",
    "no metric": "what,how much\ntime,3.0",
}


@pytest.mark.parametrize("name", CONSISTENT)
def test_nothing_is_found_where_a_rule_does_not_hold(name: str, tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text(CONSISTENT[name])
    assert audit(path) == []


def test_metrics_may_stand_in_rows(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    path.write_text("metric,A,B\nDice,0.929,0.900\nIoU,0.858,0.830")
    (finding,) = audit(path)
    assert (finding.rule, finding.row) == ("Dice and IoU", "A")
