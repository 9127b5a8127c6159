"""A paper's tables follow from what the configuration declares: not from a folder's name, nor from columns."""

import shutil
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir

from ushydra_lab.config.identity import determining
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers
from ushydra_lab.config.validation import check
from ushydra_lab.report.build import report
from ushydra_lab.report.document import Heading, Note
from ushydra_lab.report.papers import registry
from ushydra_lab.report.papers.declared import BEFORE_0_3, paper_of
from ushydra_lab.results.collect import collect

from .small_experiments import EXPERIMENTS
from .test_same_tables import fast, written


@pytest.mark.parametrize("name", ["nt_ablation", "hydra_vit", "brain_csp_only"])
def test_runs_copied_to_a_folder_of_another_name_have_the_same_tables(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast(monkeypatch)
    EXPERIMENTS[name](tmp_path / name)
    shutil.copytree(tmp_path / name, tmp_path / "copied")
    tables = []
    for folder in (name, "copied"):
        report(tmp_path / folder)
        found = written(tmp_path / folder / "report")
        found["tables.md"] = [line for line in found["tables.md"] if "|" in line or line.startswith("##")]
        tables.append(found)
    assert tables[0] == tables[1]


def declare(experiment: Path, **changed: str | None) -> None:
    for file in experiment.rglob("config.yaml"):
        file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | changed, sort_keys=False))


@pytest.mark.parametrize(
    ("paper", "said"),
    [
        ("nt/ablation", "Table 2: "),
        ("nt", "Table 1: the splits"),
        (None, ""),
        ("thesis", "need hits_csp"),
        ("x", "No paper"),
    ],
)
def test_a_paper_is_what_the_configuration_says_whatever_the_experiment_is_called(
    paper: str | None, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast(monkeypatch)
    EXPERIMENTS["nt_ablation"](tmp_path / "nt_phase2")
    declare(tmp_path / "nt_phase2", name="mine", paper=paper)
    blocks = registry.section(collect(tmp_path / "nt_phase2"), tmp_path / "report")
    texts = [block.text for block in blocks if isinstance(block, Heading | Note)]
    numbers = {text.partition(":")[0] for text in texts if text.startswith("Table ")}
    expected = {"nt": {"Table 1", "Table 3", "Table 10"}, "nt/ablation": {"Table 2", "Table 9"}}
    assert numbers == expected.get(str(paper), set())
    assert any(said in text for text in texts)


def experiments() -> list[str]:
    return sorted(file.stem for file in (CONF / "experiment").glob("*.yaml"))


@pytest.mark.parametrize("name", experiments())
def test_every_experiment_names_a_paper_that_there_is_or_none_and_older_runs_get_the_same(name: str) -> None:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", [f"+experiment={name}"])
    assert config.paper is None or config.paper in registry.PAPERS
    if config.name in BEFORE_0_3:
        assert paper_of({"name": config.name}) == config.paper


def test_the_baselines_name_the_half_of_the_paper_that_they_stand_in() -> None:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for arm in sorted((CONF / "arm" / "hydra_baselines").glob("*.yaml")):
            config = compose("config", ["+experiment=hydra_baselines", f"arm=hydra_baselines/{arm.stem}"])
            assert config.paper == BEFORE_0_3[config.name]


def test_the_paper_changes_no_number_and_so_neither_a_run_s_identity() -> None:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        one, other = (
            determining(check(compose("config", ["+experiment=nt_phase2", *words])).as_dict())
            for words in ([], ["paper=null"])
        )
    assert one == other
