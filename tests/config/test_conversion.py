"""Values are what the schema declares, however they were typed or stored."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import DictConfig

from ushydra_lab.config.conversion import convert
from ushydra_lab.config.identity import determining, to_yaml
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.schema import Experiment, OwnSettings, Stage
from ushydra_lab.config.validation import check
from ushydra_lab.errors import UserError
from ushydra_lab.runs.run import Run
from ushydra_lab.runs.stored_experiment import check_stored

from .. import fake_runs


def composed(*overrides: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=["+experiment=nt_phase2", "scale=laptop", "data.root=here", *overrides])


def test_a_number_that_was_typed_as_a_word_is_the_number_everywhere() -> None:
    words = ["seed='09'", "batch_size='4'", "canvas=['168','176']", "stages.phase1.max_epochs='7'", "held_out=3"]
    words += ["stages.phase1.min_delta='1e-3'", "fail_fast='true'", "data.seed=${seed}"]
    numbers = ["seed=9", "batch_size=4", "canvas=[168,176]", "stages.phase1.max_epochs=7", "held_out='3'"]
    numbers += ["stages.phase1.min_delta=1e-3", "fail_fast=true", "data.seed=9"]
    typed, meant = check(composed(*words)), check(composed(*numbers))
    assert typed == meant
    assert to_yaml(typed.as_dict()) == to_yaml(meant.as_dict())
    assert (typed.seed, typed.data["seed"], typed.network["canvas"], typed.split["held_out"]) == (9, 9, [168, 176], "3")
    assert run_path(composed(*words)) == run_path(composed(*numbers))


def stored(folder: Path, content: dict[str, Any]) -> Run:
    images = pd.DataFrame({"record": [0], "site": "a", "part": "val"})
    keys = dict.fromkeys(content["stages"], "key")
    return Run(fake_runs.write(folder / "exp" / "a" / "seed1" / "v", keys, images, config=content))


def test_so_is_one_of_a_stored_configuration(tmp_path: Path) -> None:
    experiment = check(composed())
    words = experiment.as_dict() | {"seed": str(experiment.seed), "batch_size": f"0{experiment.batch_size}"}
    words["stages"]["phase1"] |= {"min_delta": "2e-5", "patience": str(experiment.stages["phase1"].patience)}
    assert check_stored(stored(tmp_path, words)) == experiment


@pytest.mark.parametrize(
    ("key", "value"),
    [("seed", "${x}"), ("seed", "???"), ("canvas", ["???", 3]), ("seed", 1.5), ("seed", True), ("canvas", [1.5, 2])],
)
def test_what_is_no_such_value_is_refused_by_its_key(key: str, value: object) -> None:
    problems: list[str] = []
    assert convert(Experiment, {key: value, "name": "kept"}, "at.", problems) == {"name": "kept"}
    (problem,) = problems
    assert problem.startswith(f"at.{key}={value}: ")


def test_what_a_stage_has_of_its_own_is_converted_and_checked_as_in_the_experiment() -> None:
    own = check(composed("+stages.phase1.instead={structures: [1, csp], oversample: null}")).stages["phase1"].instead
    assert own == OwnSettings(structures=["1", "csp"], oversample=None)
    wrong = "+stages.phase1.instead={data: null, structures: csp, seed: 3}"
    with pytest.raises(UserError, match=r"unknown key 'stages.phase1.instead.seed'.*known are data, oversample, split"):
        check(composed(wrong))
    expected = r"(?s)stages.phase1.instead.data=None: .*stages.phase1.instead.structures=csp: "
    with pytest.raises(UserError, match=expected):
        check(composed(wrong.replace(", seed: 3", "")))


def test_null_of_a_stage_is_another_configuration_than_nothing() -> None:
    """It takes from the stage what the experiment has."""
    without, null = composed(), composed("+stages.phase1.instead={oversample: null}")
    assert determining(check(without).as_dict()) != determining(check(null).as_dict())


@pytest.mark.parametrize("data", [None, 3, {"root": "/somewhere", "kept": 1}])
def test_whatever_a_stored_stage_has_of_its_own_can_be_compared_without_its_paths(data: object) -> None:
    (stage,) = determining({"stages": {"one": {"instead": {"data": data}}}})["stages"].values()
    assert stage == {"instead": {"data": {"kept": 1} if isinstance(data, dict) else data}}


VALUES = {"max_epochs": st.integers(), "min_delta": st.floats(allow_nan=False), "init": st.none() | st.text("abc1 ")}


@given(st.fixed_dictionaries(VALUES))
def test_right_values_stay_and_their_texts_become_them(values: dict[str, Any]) -> None:
    problems: list[str] = []
    assert convert(Stage, values, "", problems) == values
    texts = {key: value if value is None else str(value) for key, value in values.items()}
    assert convert(Stage, texts, "", problems) == values
    assert not problems


def test_a_whole_number_for_a_float_stays_as_it_was_stored_and_hashed() -> None:
    kept = convert(Stage, {"min_delta": 20}, "", [])["min_delta"]
    assert (kept, type(kept)) == (20, int)


def test_components_stay_as_they_are_written() -> None:
    node = {"_target_": "a.B", "text": "${not} looked at", "numbers": ["09", 20, None]}
    values = {"task": node, "callbacks": {"one": node}}
    assert convert(Stage, values, "", []) == values
    problems: list[str] = []
    assert convert(Stage, {"task": 3, "callbacks": {"one": 3}}, "", problems) == {}
    assert len(problems) == 2
