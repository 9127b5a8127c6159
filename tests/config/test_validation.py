"""What a user types is understood or refused, before anything is written."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf

from ushydra_lab.config.explain import explain
from ushydra_lab.config.identity import WITHHELD, determining, digest, flatten, shareable
from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers, run_path
from ushydra_lab.config.validation import check
from ushydra_lab.errors import UserError
from ushydra_lab.runs.run import Run
from ushydra_lab.runs.stored_experiment import check_stored

from .. import fake_runs


def composed(*overrides: str) -> DictConfig:
    register_resolvers()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", overrides=["scale=laptop", *overrides])


def test_scale_chooses_the_column_of_every_setting() -> None:
    laptop = composed("+experiment=nt_phase2")
    paper = composed("+experiment=nt_phase2", "scale=paper")
    assert (list(laptop.canvas), list(paper.canvas)) == ([176, 256], [872, 1280])
    assert paper.stages.phase1.task.optimizer.lr == 1e-4
    assert paper.stages.phase2.task.optimizer.lr == 1e-5


def test_paper_scale_is_table_8() -> None:
    stages = check(composed("+experiment=nt_phase2", "scale=paper")).stages
    shown = {name: (s.max_epochs, s.patience, s.min_delta) for name, s in stages.items()}
    assert shown == {"phase1": (250, 5, 2e-5), "phase2": (250, 7, 5e-5)}


def test_without_an_experiment_the_choices_are_named() -> None:
    with pytest.raises(UserError, match=r"\+experiment=NAME.*nt_phase2"):
        check(composed())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("+network.widhts=[1,2]", r"unknown key 'network.widhts' of .*ConvAutoencoder.*'network.widths'"),
        ("+sede=3", r"unknown key 'sede'.*command line.*'seed'"),
        ("+stages.phase1.max_epoch=3", r"unknown key 'stages.phase1.max_epoch'.*'stages.phase1.max_epochs'"),
        ("+stages.phase2.task.optimizer.lrx=1", r"unknown key 'stages.phase2.task.optimizer.lrx' of torch.optim.Adam"),
        ("+trainer.max_epoks=1", r"unknown key 'trainer.max_epoks' of lightning.pytorch.Trainer.*'trainer.max_epochs'"),
        ("stages.phase2.max_epochs=many", r"stages.phase2.max_epochs=many"),
        ("+stages.phase1.init=phase2", r"stages.phase1.init=phase2: no stage that comes before it"),
        ("+loss.terms.mine=3", r"loss.terms.mine needs a _target_"),
        ("network._target_=ushydra_lab.networks.nothing", r"network._target_=ushydra_lab.networks.nothing"),
        ("data=manifest", r"data\.path"),
        ("batch_size=0", r"batch_size=0: must be at least 1"),
        ("seed=-3", r"seed=-3: must be at least 0"),
        ("deidentified='maybe'", r"deidentified=maybe: true or false"),
        ("canvas=[0,176]", r"canvas=\[0, 176\]: rows and columns must be at least 1"),
        ("cache_gb=-1", r"cache_gb=-1(.0)?: must be at least 0"),
        ("run_root=", r"run_root=: give a folder"),
        ("cache_dir=", r"cache_dir=: give a folder"),
        ("canvas=[176]", r"canvas=\[176\]: two numbers"),
        ("stages.phase1.patience=0", r"stages.phase1.patience=0: must be at least 1"),
        ("stages.phase1=null", r"stages.phase1=None: a stage has a task"),
        ("logger.mode=loud", r"logger.mode=loud: choose one of offline, online, disabled"),
        ("variant=../elsewhere", r"variant=../elsewhere: it names a folder"),
    ],
)  # fmt: skip
def test_a_wrong_key_or_value_is_named_with_the_remedy(override: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        check(composed("+experiment=nt_phase2", override))


def test_all_problems_are_listed_at_once() -> None:
    with pytest.raises(UserError) as refused:
        check(composed("+experiment=nt_phase2", "+foo=1", "+split.bar=2", "+network.baz=3"))
    assert all(key in str(refused.value) for key in ("'foo'", "'split.bar'", "'network.baz'"))


def test_an_unknown_key_names_the_file_it_stands_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ushydra_lab.config.validation.CONF", tmp_path)
    (tmp_path / "mine.yaml").write_text("learning_rat: 3\n")
    with pytest.raises(UserError, match=r"'learning_rat' \(in mine.yaml\)"):
        check(composed("+experiment=nt_phase2", "+learning_rat=3"))


def test_the_run_directory_names_experiment_site_seed_and_variant() -> None:
    cfg = composed("+experiment=nt_phase2", "seed=7", "held_out=hospital_a", "loss=global", "run_root=out")
    assert run_path(cfg) == Path("out/nt_phase2/hospital_a/seed7/global")


def test_identity_follows_what_changes_numbers_and_nothing_else() -> None:
    def identity(*overrides: str) -> str:
        return digest(determining(check(composed("+experiment=nt_phase2", *overrides)).as_dict()))

    same = ["run_root=elsewhere", "logger.mode=disabled", "variant=other", "panel_images=1"]
    same += ["data.difficulty=easy", "data.sites=null", "~data.difficulty"]  # as earlier runs had it
    different = ["seed=1", "batch_size=4", "network.decoder_input=latent", "stages.phase1.patience=6", "loss=l1"]
    different += ["data.difficulty=real", "data.difficulty=hard", "data.sites=9"]
    assert {identity(o) for o in same} == {identity()}
    assert len({identity(), *(identity(o) for o in different)}) == 1 + len(different)


def test_flatten_gives_every_leaf_its_dotted_key() -> None:
    content: dict[str, Any] = {"a": {"b": 1, "c": {}}, "d": [1, 2]}
    assert dict(flatten(content)) == {"a.b": 1, "a.c": {}, "d": [1, 2]}


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_experiment_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 45


def stored(folder: Path, config: dict[str, Any]) -> Run:
    images = pd.DataFrame({"record": [0], "site": "a", "part": "val"})
    keys = dict.fromkeys(config["stages"], "key")
    return Run(fake_runs.write(folder / "exp" / "a" / "seed1" / "v", keys, images, config=config))


@pytest.mark.parametrize("path", sorted((CONF / "experiment").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_stored_configuration_of_every_experiment_is_accepted_as_it_was(path: Path, tmp_path: Path) -> None:
    experiment = check(composed(f"+experiment={path.stem}", "data.root=here"))
    assert check_stored(stored(tmp_path, experiment.as_dict())) == experiment


@pytest.mark.parametrize(
    ("key", "value"),
    [("logger", 3), ("loss", []), ("loss", None), ("loss", {"terms": None}), ("weighting", None), ("canvas", 3)],
)
def test_a_stored_value_of_another_kind_is_named(key: str, value: object, tmp_path: Path) -> None:
    config = check(composed("+experiment=nt_phase2")).as_dict()
    with pytest.raises(UserError, match=rf"config\.yaml cannot be used.*\n  - {key}"):
        check_stored(stored(tmp_path, config | {key: value}))


HOMES = {
    "start=": "head_hc18",
    "scheduler=": "brain_attention_unet",
    "hydra_unet": "hydra_unet",
    "hydra_vit": "hydra_vit",
    "target=structures": "hydra_unet",
    "target=planes": "hydra_vit",
    "attention_unet": "brain_attention_unet",
    "segmentation": "brain_attention_unet",
    "${planes}": "hydra_baselines",
    "[resnet18": "hydra_baselines",
    "landmarks": "biometry_stage1",
}
"""Words of an option's file, or its name -> the experiment it belongs to; others belong to nt_phase2."""


@pytest.mark.parametrize(
    ("typed", "message"),
    [
        (["+stages.phase2.epoch=last"], r"stages.phase2.epoch=last.*add stages.phase2.patience=null"),
        (["+stages.phase2.epoch=middle"], r"stages.phase2.epoch=middle"),
    ],
)
def test_an_epoch_that_cannot_be_had_is_refused(typed: list[str], message: str) -> None:
    check(composed("+experiment=nt_phase2", "+stages.phase2.epoch=last", "stages.phase2.patience=null"))
    with pytest.raises(UserError, match=message):
        check(composed("+experiment=nt_phase2", *typed))


OPTIONS = sorted(path for path in CONF.glob("*/*.yaml") if path.parent.name != "experiment")
MORE = {"weighting=manual": ["weighting.module.weights=[1,5,2]"], "start": ["data.root=here"]}
"""What an option, or all of a group, want besides."""
WANTED = {"sources": "{a: {data: manifest, path: a.csv}, b: {data: images, root: b, site: B}}"}
"""What stands for a setting of data without a value that is no path."""
PLACES = {
    "optimizer": "optimizer@stages.phase1.task.optimizer",
    "scheduler": "scheduler@stages.train.task.scheduler",
}
"""Groups that a stage has one of."""


@pytest.mark.parametrize("path", OPTIONS, ids=lambda path: f"{path.parent.name}={path.stem}")
def test_every_option_of_every_group_composes(path: Path) -> None:
    group = path.parent.name
    text = f"{group}={path.stem} {path.read_text()}".lower()
    home = next((home for word, home in HOMES.items() if word in text), "nt_phase2")
    extra = MORE.get(group, []) or MORE.get(f"{group}={path.stem}", [])
    if group == "data":
        data = OmegaConf.to_container(OmegaConf.load(path).data, resolve=False)
        extra = [f"data.{key}={WANTED.get(key, 'here')}" for key, value in flatten(data) if value == "???"]
    check(composed(f"+experiment={home}", f"{PLACES.get(group, group)}={path.stem}", *extra))


ARM = ("/arm", "override /arm")
"""How an experiment chooses an arm."""


def arms() -> Iterator[tuple[str, str]]:
    """Experiments that choose an arm by themselves, with every arm of its folder."""
    for experiment in sorted((CONF / "experiment").glob("*.yaml")):
        chosen = [entry["/arm"] for entry in OmegaConf.load(experiment).defaults if "/arm" in entry]
        for folder in {arm.partition("/")[0] for arm in chosen}:
            yield from ((experiment.stem, f"{folder}/{path.stem}") for path in (CONF / "arm" / folder).glob("*.yaml"))


@pytest.mark.parametrize(("experiment", "arm"), sorted(arms()))
def test_every_arm_composes_and_names_its_variant(experiment: str, arm: str) -> None:
    content = check(composed(f"+experiment={experiment}", f"arm={arm}"))
    assert content.variant == str(OmegaConf.load(CONF / "arm" / f"{arm}.yaml").variant)


def test_every_folder_of_arms_is_of_some_experiment() -> None:
    files = [OmegaConf.load(file) for file in (CONF / "experiment").glob("*.yaml")]
    chosen = [entry[key] for file in files for entry in file.defaults for key in ARM if key in entry]
    assert {arm.partition("/")[0] for arm in chosen} == {path.name for path in (CONF / "arm").iterdir()}


@pytest.mark.parametrize(
    ("structures", "expected"),
    [("[csp]", ["csp"]), ("[lv,parenchyma]", ["lv"]), ("['head=parenchyma+csp+lv']", ["head"]), ("[heart]", ["heart"])],
)
def test_structures_alone_say_what_is_segmented_selected_by_and_drawn_more_often(
    structures: str, expected: list[str]
) -> None:
    config = check(composed("+experiment=brain_attention_unet", f"structures={structures}"))
    assert config.stages["train"].task["select"] == expected
    assert config.oversample
    assert config.oversample["structures"] == expected


def test_domains_alone_say_how_many_decoders_there_are() -> None:
    two = check(composed("+experiment=hydra_vit", "stages.specialise.task.domains=[low,medium]"))
    assert two.network["domains"] == 2
    assert two.stages["route"].task["domains"] == ["low", "medium"]
    assert check(composed("+experiment=hydra_vit", "arm=hydra/single")).network["domains"] == 1


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("held_out=süd_klinik", "Quote twice .* \"held_out='süd_klinik'\"$"),
        ("data.path=Ärzte/a.csv", "\"data.path='Ärzte/a.csv'\"$"),
        ("+experiment=nt_phase2 loss=rio", r"^loss=rio: .*mean 'roi'\?\); choose one of ce, .*weighted_ce$"),
        ("+experiment=nt_phase2 scale=desk", r"^scale=desk: there is none; choose one of laptop, paper$"),
        ("+experiment=nt_fase2", r"^experiment=nt_fase2: .*did you mean 'nt_phase2'"),
        ("seeed=1", "unknown key 'seeed' on the command line; did you mean 'seed'"),
    ],
)
def test_what_hydra_does_not_take_is_explained_with_its_remedy(override: str, message: str) -> None:
    with pytest.raises(HydraException) as refused:
        composed(*override.split())
    assert re.search(message, explain(refused.value))


PATHS = (
    *("/home/a/b", "C:\\a\\b", "see '/home/a'", "~user/x", "~user\\x", "home/u/x", "Users/u/x", "mnt/d", "a;/home/x"),
    *(
        "x@/home/x",
        "a|/home/x",
        "<../x>",
        "file:///x",
        "$HOME/x",
        "a&~/x",
        "\\\\server\\share",
        "x-/home/x",
        "me@host:/x",
    ),
)
NO_PATHS = ("google/vit-base-patch16-224-in21k", "biometry/hrnet", "athome/x", "mm/px", "a~b", "lv+csp", "${a.b}/x")


@pytest.mark.parametrize("value", [*PATHS, ["x", "/home/a/b"], [{"folder": "~/a"}]], ids=str)
def test_no_path_is_shared_wherever_in_a_value_it_stands(value: object) -> None:
    shared = shareable({"a": value, "data": {"root": value}, "b": [1e-5, "l1", None], "c": "ushydra_lab.data.read"})
    assert shared == {"a": WITHHELD, "b": [1e-5, "l1", None], "c": "ushydra_lab.data.read"}


@pytest.mark.parametrize("value", NO_PATHS)
def test_what_is_no_path_is_shared(value: str) -> None:
    assert shareable({"a": value}) == {"a": value}
