"""A stored configuration is plain values with the keys that every one has, and not too many."""

from pathlib import Path

import pytest
import yaml

from ushydra_lab.files import DamagedFile
from ushydra_lab.runs import safe_yaml
from ushydra_lab.runs.safe_yaml import DEEPEST, parse_yaml, read_config

WHOLE = {"data": {"_target_": "a.b"}, "network": {}, "stages": {"one": {"task": {}, "max_epochs": 3, "init": None}}}


def read(folder: Path, content: object) -> dict:
    (folder / "config.yaml").write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return read_config(folder / "config.yaml", "Copy it again.")


def test_a_configuration_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read(tmp_path, WHOLE) == WHOLE
    assert read(tmp_path, WHOLE | {"seed": 3, "lr": 1e-3, "canvas": [1, 2]})["canvas"] == [1, 2]


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ([1], "no keys"),
        ({}, "no usable data, network, stages"),
        (WHOLE | {"data": {}}, "no usable data._target_"),
        (WHOLE | {"network": [1]}, "no usable network"),
        (WHOLE | {"stages": {"one": 1}}, "no usable stages.one.task"),
        (WHOLE | {"stages": {"one": {"task": 1}}}, "no usable stages.one.task"),
        (WHOLE | {"stages": {"one": {"task": {}, "max_epochs": "3"}}}, "no usable stages.one.max_epochs and init"),
        (WHOLE | {"stages": {"one": {"task": {}, "init": 3}}}, "no usable stages.one.max_epochs and init"),
        (WHOLE | {"stages": {"one": {"task": {}, "instead": 3}}}, "no usable stages.one.instead"),
        ("a: [", "while parsing"),
        ("<<: {a: 1}", "merge key"),
        ("a: 2024-01-01", "a date is no value"),
        ("? !!timestamp 2024-01-01\n: 1", "is no key"),
    ],
)
def test_what_a_configuration_lacks_or_may_not_hold_is_named(tmp_path: Path, content: object, fault: str) -> None:
    with pytest.raises(DamagedFile, match=r"(?s)config\.yaml is damaged.*Copy it again\.") as error:
        read(tmp_path, content)
    assert fault in str(error.value).replace("\n", " ")


def test_values_are_counted_and_their_depth_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safe_yaml, "MOST_VALUES", 100)
    deep = "[" * DEEPEST + "0" + "]" * DEEPEST
    assert parse_yaml(deep)
    assert len(parse_yaml(f"[{'0,' * 99}]")) == 99  # the list itself is one
    for text in (f"[{deep}]", f"[{'0,' * 100}]", "a: &a [*a]"):
        with pytest.raises(ValueError, match="without end"):
            parse_yaml(text)
