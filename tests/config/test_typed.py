"""What is typed means what it says; what Hydra refuses comes back as something that can be typed."""

import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from ushydra_lab.config.explain import explain
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.stored import chosen_data
from ushydra_lab.config.typed import normalise, quoted, split_at_spaces
from ushydra_lab.config.validation import check
from ushydra_lab.data.io.masks import MaskCode
from ushydra_lab.errors import UserError
from ushydra_lab.sweep.sweeper import drop_missing_keys, expand


def values(word: str) -> list[Any]:
    """What Hydra makes of a word, one value a job."""
    override = OverridesParser.create().parse_override(normalise(word))
    if not override.is_sweep_override():
        return [override.value()]
    return [OverridesParser.create().parse_override(f"x={v}").value() for v in override.sweep_string_iterator()]


def composed(*words: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=["scale=laptop", "+experiment=nt_phase2", *map(normalise, words)])


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("seed=01,09", [1, 9]),
        ("seed=0", [0]),
        ("seed=00", [0]),
        ("seed=1000, 0010", [1000, 10]),
        ("data.images_per_site=024", [24]),
        ("stages.phase1.min_delta=01e-5", [1e-5]),
        ("held_out=1_000", ["1_000"]),
        ("held_out=001,01", ["001", "01"]),
        ("held_out=1e5,1.10,nan,inf", ["1e5", "1.10", "nan", "inf"]),
        ("held_out=TRUE,false,NA,N/A", ["TRUE", "false", "NA", "N/A"]),
        ("held_out=St Anna,Zürich", ["St Anna", "Zürich"]),
        ("held_out=null", [None]),
        ("held_out=NULL", ["NULL"]),
        ("held_out=12", ["12"]),
        ("variant=1_0", ["1_0"]),
        ("run_root=2024_01", ["2024_01"]),
        ("++data.root=2024_01", ["2024_01"]),
        ("held_out='a,b'", ["a,b"]),
        ("loss=global,roi", ["global", "roi"]),
        ("canvas=[168,176]", [[168, 176]]),
        ("variant=2024-01-05", ["2024-01-05"]),
    ],
)
def test_a_value_is_what_was_typed(word: str, expected: list[Any]) -> None:
    assert values(word) == expected
    assert [type(value) for value in values(word)] == [type(value) for value in expected]


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_characters="'\"[](){}$\\,", exclude_categories=["C", "Z"]), min_size=1))
def test_a_site_of_any_name_is_held_out_under_it(site: str) -> None:
    assert values(f"held_out={site}") == ([None] if site == "null" else [site])


@settings(max_examples=30, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_quoted_text_is_that_text(text: str) -> None:
    assert OverridesParser.create().parse_override(f"x={quoted(text)}").value() == text


@pytest.mark.parametrize("seed", ["09", "'09'", "'9'"])
def test_a_seed_is_a_number_however_it_is_written(seed: str) -> None:
    cfg = composed(f"seed={seed}", "batch_size='08'", "canvas=['0168',176]", "stages.phase1.max_epochs='010'")
    content = check(cfg)
    assert (content.seed, content.batch_size, content.canvas) == (9, 8, [168, 176])
    assert content.stages["phase1"].max_epochs == 10
    assert run_path(cfg) == Path("multirun/nt_phase2/hospital_c/seed9/roi")


def test_a_word_for_false_is_false() -> None:
    assert check(composed("fail_fast=no")).fail_fast is False


@pytest.mark.parametrize("seed", ["4294967296", "99999999999999999999", "-1", "'-1'", "1.5", "1e3", "true", "abc"])
def test_a_seed_that_generators_do_not_take_is_refused(seed: str) -> None:
    with pytest.raises(UserError, match="seed="):
        check(composed(f"seed={seed}"))
    assert check(composed("seed=4294967295")).seed == 2**32 - 1


REFUSED = [
    ("data.path=/home/o'neil/x.csv", {"data.path": "/home/o'neil/x.csv"}),
    ("data.path='/home/o'neil/x.csv'", {"data.path": "/home/o'neil/x.csv"}),
    ("data.path=/a(b)/x.csv", {"data.path": "/a(b)/x.csv"}),
    ('data.path=/a"b/$x`.csv', {"data.path": '/a"b/$x`.csv'}),
    ("data.path=C:\\o'neil\\", {"data.path": "C:\\o'neil\\"}),
    ("seed=1000,", {"seed": 1000}),
    ("data.structures={'left ventricle': 255}", {"data.structures": {"left ventricle": 255}}),
    ('data.structures={"csp": 1, "left v": 2}', {"data.structures": {"csp": 1, "left v": 2}}),
    ("variant=größer", {"variant": "größer"}),
]


@pytest.mark.parametrize(("word", "meant"), REFUSED)
def test_advice_works_when_it_is_copied_into_a_shell(word: str, meant: dict[str, Any]) -> None:
    with pytest.raises(HydraException) as refused:
        OverridesParser.create().parse_overrides([word])
    message = explain(refused.value)
    command = message.partition(": not understood. ")[2].partition(": ")[2] or message.partition("so: ")[2]
    assert in_shell(command) == meant


def in_shell(command: str) -> dict[str, Any]:
    """Key and value that a shell and Hydra make of one typed word."""
    shell = ["bash", "-c", f"printf '%s\\0' {command}"]
    (word,) = subprocess.run(shell, capture_output=True, check=True).stdout.decode().split("\0")[:-1]
    override = OverridesParser.create().parse_override(word)
    return {override.key_or_group: override.value()}


@pytest.mark.parametrize(
    ("typed", "advice"),
    [
        ("seed=1000, 1001", "seed=1000,1001"),
        ("seed=1000 ,1001", "seed=1000,1001"),
        ("seed= 1000", "seed=1000"),
        ("held_out=St Anna loss=roi", "'held_out=St Anna'"),
        ("data.structures={left ventricle: 255}", "'data.structures={left ventricle: 255}'"),
        ("data.path=/my data/x.csv", "'data.path=/my data/x.csv'"),
        ("data.path=/my data (2)/x.csv", "\"data.path='/my data (2)/x.csv'\""),
    ],
)
def test_a_value_that_the_shell_tore_is_put_together(typed: str, advice: str) -> None:
    (problem,) = split_at_spaces(["+experiment=nt_phase2", *typed.split(), "scale=laptop"])
    assert problem.endswith(f"not understood. Type it so: {advice}")
    assert in_shell(advice) or "," in advice


@pytest.mark.parametrize("words", ["--cfg job", "seed=1 -cn config", "seed=1 ~oversample", "-c job --package x seed=1"])
def test_flags_and_deletions_are_not_torn_values(words: str) -> None:
    assert not list(split_at_spaces(words.split()))


def test_the_check_of_data_says_so_too() -> None:
    with pytest.raises(UserError, match=r"Type it so: 'data\.structures=\{left v: 255\}'"):
        chosen_data(["data=manifest", "data.path=x.csv", "data.structures={left", "v:", "255}"])


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data=hc18,camus"], "data=hc18,camus: several values, of which one can be used here."),
        (["data=hc18", "data.root=a,b"], """Quote twice .*: "data.root='a,b'\""""),
        (["data=hc18", "data.root=a", "data.strict=no"], "data.strict=no: true or false"),
        (["data=phantom_nt", "cache_dir="], "cache_dir=: give a folder"),
        (["data=phantom_nt", "cache_dir=null"], "cache_dir=: give a folder"),
    ],
)
def test_what_data_cannot_be_chosen_by_is_refused_with_its_key(words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        chosen_data(words)
    assert chosen_data(["data=hc18", "data.root='a,b'"])[1]["root"] == "a,b"


def test_structures_may_be_named_by_numbers() -> None:
    _, data = chosen_data(["data=manifest", "data.path=x.csv", "data.structures={1: 255, 02: 7}"])
    code = MaskCode.of(data["structures"])
    assert code.structures == ("1", "02")
    assert code.relabelled(["head=1+02"]).colours == {(255, 255, 255): 1, (7, 7, 7): 1}
    assert check(composed("+structures=[1]")).structures == ["1"]


def sweep(experiment: str, *typed: str) -> list[list[str]]:
    """The jobs of a command; None where it is refused."""
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        words = [f"+experiment={experiment}", "scale=laptop", "seed=1000", *typed]
        config = compose("config", overrides=words[:2], return_hydra_config=True)
        OmegaConf.update(config, "hydra.overrides.task", words, force_add=True)
        drop_missing_keys(config)
        jobs = expand(config)
        for job in jobs:
            compose("config", overrides=job)  # each can be composed
        return jobs


@pytest.mark.parametrize(
    ("experiment", "typed", "count", "left"),
    [
        ("biometry_hc18", ["split=random"], 2, "split.fold"),
        ("biometry_hc18", ["split=stratified,random"], 4, "split.fold"),
        ("head_hc18", ["split=official"], 2, "split.fold"),
        ("head_hc18", ["split=k_fold"], 10, ""),
        ("head_hc18", ["split=random", "start=scratch"], 1, "split.fold"),
        ("brain_imbalance", ["oversample=null"], 5, "oversample.factor"),
        ("brain_imbalance", ["~oversample"], 5, "oversample.factor"),
    ],
)
def test_what_an_experiment_sweeps_over_is_left_out_where_another_choice_lacks_it(
    experiment: str, typed: list[str], count: int, left: str, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = sweep(experiment, *typed)
    assert len(jobs) == count
    assert bool(left) == ("is left out" in capsys.readouterr().out)
    assert not left or not any(word.startswith(left) for job in jobs for word in job)


def test_a_sweep_of_which_only_some_have_the_key_is_explained() -> None:
    with pytest.raises(UserError, match=r"split\.fold=0,1,2,3,4, which .* split=random has no such key"):
        sweep("head_hc18", "split=k_fold,random")


def test_the_command_refuses_a_torn_value_and_writes_nothing(tmp_path: Path) -> None:
    words = shlex.split("-m ushydra_lab +experiment=nt_phase2 scale=laptop seed=1000, 1001")
    done = subprocess.run([sys.executable, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, list(tmp_path.iterdir())) == (1, "", [])
    assert done.stderr == "seed=1000, 1001: not understood. Type it so: seed=1000,1001\n"
