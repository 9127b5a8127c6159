"""A stored configuration is held to the rules of a new one; what has moved since is found."""

from pathlib import Path

import pytest
import yaml

from ushydra_lab.errors import UserError
from ushydra_lab.files import sha256, write_json
from ushydra_lab.runs.run import Run
from ushydra_lab.runs.stored_experiment import MOVED, check_stored, moved_targets

from ..small_systems import composed, words


@pytest.fixture(scope="module")
def content() -> dict:
    from ushydra_lab.config.validation import check

    return check(composed(words("nt_phase2", Path("/a/manifest.csv"), Path("/a/runs"), 1))).as_dict()


def stored(folder: Path, content: dict, **summary: object) -> Run:
    (folder / "config.yaml").write_text(yaml.safe_dump(content))
    whole = {"status": "finished", "seed": 1000, "variant": "roi", "stages": {"phase1": {"key": "k"}}}
    write_json(folder / "run.json", whole | {"files": {"config.yaml": sha256(folder / "config.yaml")}} | summary)
    return Run(folder)


def test_what_was_stored_is_the_experiment_that_ran(tmp_path: Path, content: dict) -> None:
    found = check_stored(stored(tmp_path, content)).as_dict()
    assert {key: value for key, value in found.items() if key != "trust"} == {
        key: value for key, value in content.items() if key != "trust"
    }


def test_what_is_not_finished_or_refers_to_other_values_is_refused(tmp_path: Path, content: dict) -> None:
    with pytest.raises(UserError, match=r"is not finished \(running\)"):
        check_stored(stored(tmp_path, content, status="running"))
    with pytest.raises(UserError, match=r"config\.yaml cannot be used(.|\n)*name: a stored value refers to no other"):
        check_stored(stored(tmp_path, content | {"name": "${oc.env:HOME}"}))


def test_components_that_have_moved_are_found_wherever_they_stand_and_nothing_else_is_renamed() -> None:
    for before, now in MOVED.items():
        node = {"_target_": f"{before}thing.Name", "name": f"{before}thing", "n": 3}
        for place in (lambda it: {"a": it}, lambda it: {"a": [1, it]}, lambda it: {"_partial_": True, "b": {"c": it}}):
            assert moved_targets(place(node)) == place(node | {"_target_": f"{now}thing.Name"})
    unmoved = {"_target_": "ushydra_lab.callbacks_of_mine.X", "b": {"_target_": 3}}
    assert moved_targets(unmoved) == unmoved
