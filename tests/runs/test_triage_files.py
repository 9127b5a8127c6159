"""The triage of a run is found with its checksums; of a run without one it is said."""

from pathlib import Path

import pytest

from ushydra_lab.errors import UserError
from ushydra_lab.files import DamagedFile, sha256, write_json
from ushydra_lab.runs.run import Run
from ushydra_lab.runs.triage_files import CODES, JUDGED, RULES, judged_images, kept, triage_file

JUDGEMENTS = "kind,part,record,site,status,reasons,ood_score\nimage,test,3,007,accept,,0.5\n"


def run_with(folder: Path, *files: str) -> Run:
    for name in files:
        (folder / name).write_text(JUDGEMENTS)
    content = {"status": "finished", "seed": 0, "variant": "v", "stages": {"a": {"key": "k"}}}
    sums = {name: sha256(folder / name) for name in files}
    write_json(folder / "run.json", content | {"files": sums, "versions": {"ushydra_lab": "0.3.0"}})
    return Run(folder)


def test_a_run_has_the_triage_files_that_it_lists(tmp_path: Path) -> None:
    assert kept(run_with(tmp_path, RULES, JUDGED, "per_image.csv")) == [RULES, JUDGED]
    assert kept(run_with(tmp_path, RULES, CODES, JUDGED)) == [RULES, CODES, JUDGED]


def test_of_judged_images_sites_stay_texts_and_scores_are_numbers(tmp_path: Path) -> None:
    (row,) = judged_images(run_with(tmp_path, RULES, JUDGED)).to_dict("records")
    assert (row["site"], row["record"], row["ood_score"], row["reasons"]) == ("007", 3, 0.5, "")


def test_an_edited_file_is_damaged(tmp_path: Path) -> None:
    run = run_with(tmp_path, RULES, JUDGED)
    (tmp_path / JUDGED).write_text(JUDGEMENTS.replace("accept", "refuse"))
    with pytest.raises(DamagedFile, match=r"triage\.csv is damaged"):
        judged_images(run)


def test_a_run_of_a_version_without_triage_says_which_and_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no triage \(version 0\.3\.0 made it.*run_root=FOLDER"):
        triage_file(run_with(tmp_path, "per_image.csv"), RULES)
    write_json(tmp_path / "run.json", {"status": "finished", "seed": 0, "variant": "v", "stages": {"a": {"key": "k"}}})
    with pytest.raises(UserError, match="version unknown made it"):
        triage_file(Run(tmp_path), RULES)
