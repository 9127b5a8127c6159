"""Tables 3 to 6 of the USHydraNet paper: scores are scikit-learn's, the printed ones stand beside the right rows."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hydra import compose, initialize_config_dir
from sklearn.metrics import accuracy_score, f1_score, precision_score, recall_score, roc_auc_score

from ushydra_lab.config.paths import CONF
from ushydra_lab.config.resolvers import register_resolvers
from ushydra_lab.report.papers import registry
from ushydra_lab.report.papers.ushydranet.tables import SYSTEMS, section
from ushydra_lab.report.render import markdown
from ushydra_lab.results.collect import collect

from .. import fake_runs

QUALITIES = {"site_a": "medium", "site_b": "low", "site_c": "high"}
DOMAINS = ["low", "medium", "high"]
PLANES = ("abdomen", "brain", "femur")
UNSEEN = "site_u"
IMAGES = 12


def planes_of(seed: int, skill: float) -> pd.DataFrame:
    """What was predicted of the images of all sites."""
    rng = np.random.default_rng([seed, int(100 * skill)])
    sites = np.repeat([*QUALITIES, UNSEEN], IMAGES)
    true = np.resize([0, 0, 0, 1, 1, 2], len(sites))
    chances = rng.dirichlet(np.ones(3), len(sites)) + skill * np.eye(3)[true]
    chances /= chances.sum(1, keepdims=True)
    table = pd.DataFrame({f"prob_{plane}": chances[:, k] for k, plane in enumerate(PLANES)})
    return table.assign(site=sites, true=true, predicted=chances.argmax(1))


def hearts_of(seed: int, skill: float) -> pd.DataFrame:
    """Overlaps with the left ventricle, which the first image of each site does not show."""
    rng = np.random.default_rng([seed, int(100 * skill)])
    sites = np.repeat(["site_b", "site_c", UNSEEN], IMAGES)
    dice = np.where(np.arange(len(sites)) % IMAGES, rng.uniform(skill, 1, len(sites)), np.nan)
    return pd.DataFrame({"site": sites, "dice_lv": dice, "iou_lv": dice / (2 - dice), "hits_lv": 5})


def write_run(root: Path, seed: int, variant: str, images: pd.DataFrame, status: str = "finished") -> Path:
    """Routed variants have two stages, of which the first is far worse, and know their images' quality."""
    routed = variant in ("weight_10", "weight_1", "single")
    stages = {name: f"{variant}{name}{seed}" for name in (["specialise", "route"] if routed else ["train"])}
    part = np.where(images["site"] == UNSEEN, "test", "val")
    own = images.assign(part=part, record=range(len(images)))
    if routed:
        own["domain"] = own["site"].map(lambda site: DOMAINS.index(QUALITIES[site]) if site in QUALITIES else -1)
    worse = own.assign(**{name: 0.01 for name in own if str(name).startswith("dice")})
    worse = worse.assign(**{name: 1 / 3 for name in own if str(name).startswith("prob")})
    tables = [(own if name != "specialise" else worse).assign(stage=name) for name in stages]
    config = {"stages": {name: {"task": {"domains": DOMAINS} if routed else {}} for name in stages}}
    run = root / UNSEEN / f"seed{seed}" / variant
    return fake_runs.write(run, stages, pd.concat(tables), config=config, status=status)


@pytest.fixture
def planes(tmp_path: Path) -> Path:
    """Two seeds of the paper's rule and of ViT, one of ResNet18; the control failed."""
    root = tmp_path / "hydra_vit"
    for seed in (1, 2):
        for variant, skill in (("weight_10", 0.9), ("weight_1", 0.1), ("vit", 0.5)):
            write_run(root, seed, variant, planes_of(seed, skill))
        write_run(root, seed, "single", planes_of(seed, 0.4), status="failed")
    write_run(root, 1, "resnet18", planes_of(1, 0.3))
    return root


@pytest.fixture
def hearts(tmp_path: Path) -> Path:
    root = tmp_path / "hydra_unet"
    for seed in (1, 2):
        for variant, skill in (("weight_10", 0.8), ("unet", 0.5), ("single", 0.7)):
            write_run(root, seed, variant, hearts_of(seed, skill))
    return root


def texts(root: Path) -> str:
    return markdown.render(section(SYSTEMS[root.name], collect(root), root / "report"))


def rows(root: Path, number: int) -> pd.DataFrame:
    texts(root)
    table = pd.read_csv(root / "report" / f"ushydranet_table{number}_{UNSEEN}.csv", dtype=str)
    return table.set_index(["Method", "Images"])


@pytest.mark.parametrize(
    ("images", "sites"),
    [("site_b", ["site_b"]), ("Mixture", list(QUALITIES)), (f"{UNSEEN} (unseen)", [UNSEEN])],
)
def test_scores_are_scikit_learns_of_the_images_of_one_site_or_of_all_seen_ones(
    planes: Path, images: str, sites: list[str]
) -> None:
    found = []
    for seed in (1, 2):
        own = planes_of(seed, 0.9).query("site in @sites")
        truth, answers = own["true"], own["predicted"]
        chances = own[[f"prob_{plane}" for plane in PLANES]]
        found.append(
            {
                "Precision": precision_score(truth, answers, average="macro"),
                "Recall": recall_score(truth, answers, average="macro"),
                "F1": f1_score(truth, answers, average="macro"),
                "Accuracy": accuracy_score(truth, answers),
                "AUC": roc_auc_score(truth, chances, multi_class="ovr"),
            }
        )
    expected = 100 * pd.DataFrame(found)
    row = rows(planes, 3).loc["USHydra-ViT", images]
    assert dict(row[list(expected)]) == {k: f"{v.mean():.2f} ± {v.std(ddof=1):.2f}" for k, v in expected.items()}
    assert row["n"] == f"2 x {IMAGES * len(sites)}"


def test_dice_and_iou_are_means_over_the_images_that_show_the_structure(hearts: Path) -> None:
    table = rows(hearts, 4)
    per_seed = [100 * hearts_of(seed, 0.5).query("site != @UNSEEN")["iou_lv"].mean() for seed in (1, 2)]
    assert table.loc[("UNet", "Mixture"), "IoU"] == f"{np.mean(per_seed):.2f} ± {np.std(per_seed, ddof=1):.2f}"
    per_seed = [100 * hearts_of(seed, 0.8).query("site == @UNSEEN")["dice_lv"].mean() for seed in (1, 2)]
    expected = f"{np.mean(per_seed):.2f} ± {np.std(per_seed, ddof=1):.2f}"
    assert table.loc[("USHydra-UNet", f"{UNSEEN} (unseen)"), "Dice"] == expected
    assert rows(hearts, 6).loc[("USHydra-UNet", f"{UNSEEN} (unseen)"), "Dice"] == expected


def test_the_printed_numbers_stand_beside_the_site_of_the_same_quality(planes: Path, hearts: Path) -> None:
    ablation, comparison = rows(planes, 3), rows(planes, 5)
    assert ablation.loc[("ViT", "site_a"), "Paper's"] == "European"
    assert ablation.loc[("ViT", "site_a"), "AUC paper"] == "92.67"
    assert ablation.loc[("USHydra-ViT", "site_b"), "F1 paper"] == "78.91"
    assert comparison.loc[("VGG16", "site_c"), "Precision paper"] == "77.30"
    assert comparison.loc[("DenseNet121", "Mixture"), "Accuracy paper"] == "92.67"
    assert set(ablation.loc["Single decoder", "Recall paper"]) == {"–"}
    assert set(ablation.xs(f"{UNSEEN} (unseen)", level="Images")["Recall paper"]) == {"–"}
    assert rows(hearts, 4).loc[("UNet", "site_b"), "IoU paper"] == "69.09"
    assert rows(hearts, 6).loc[("FCN", f"{UNSEEN} (unseen)"), "Dice paper"] == "80.81"


def test_a_site_of_several_qualities_or_of_none_known_has_nothing_printed_beside_it(planes: Path) -> None:
    for file in planes.rglob("per_image.csv"):
        images = pd.read_csv(file)
        if "domain" in images:
            images.loc[images["record"] == 0, "domain"] = 2
            images.assign(domain=images["domain"].where(images["site"] != "site_b", -1)).to_csv(file, index=False)
    table = rows(planes, 3)
    assert set(table.xs("site_a", level="Images")["AUC paper"]) == {"–"}
    assert set(table.xs("site_b", level="Images")["AUC paper"]) == {"–"}
    assert table.loc[("ViT", "site_c"), "AUC paper"] == "82.40"


@pytest.mark.parametrize("name", SYSTEMS)
def test_what_is_printed_has_a_value_for_each_column_between_0_and_100(name: str) -> None:
    system = SYSTEMS[name]
    assert set(system.printed) == set(system.methods) - {"single"}
    for variant, sets in system.printed.items():
        assert {*system.datasets.values(), "Mixture"} <= set(sets), variant
        for values in sets.values():
            assert len(values) == len(system.columns)
            assert all(50 < float(value) < 100 for value in values)


def test_the_paper_s_own_differences_follow_from_the_printed_numbers() -> None:
    """Section Ablation study: Dice +12.23 and IoU +19.52 on Camus, +0.59 and +1.05 on EchoNet."""
    printed = SYSTEMS["hydra_unet"].printed
    for dataset, gains in {"Camus": (12.23, 19.52), "EchoNet": (0.59, 1.05)}.items():
        before, after = (np.array(printed[variant][dataset], float) for variant in ("unet", "weight_10"))
        assert after - before == pytest.approx(gains, abs=0.005)


def test_a_method_that_was_not_run_stays_a_row_and_has_its_command(planes: Path) -> None:
    table, text = rows(planes, 5), texts(planes)
    assert set(table.loc["ResNet50", "F1"]) == {"not run"}
    assert table.loc[("ResNet50", "Mixture"), "n"] == "0"
    command = f"python -m ushydra_lab +experiment=hydra_baselines held_out={UNSEEN} seed=1,2"
    assert "'ResNet50': not run (seed 1,2): not started.\n" in text
    assert f"{command} arm=hydra_baselines/resnet50`" in text
    assert f"{command} arm=hydra_baselines/vgg16`" in text
    assert "'VGG16': not run (seed 1,2): not started; needs torchvision" in text
    assert "'USHydra-ViT'" not in text


def test_runs_that_failed_or_lack_seeds_say_so(planes: Path) -> None:
    text = texts(planes)
    assert "'Single decoder': not run (seed 1,2): failed.\n" in text
    assert f"+experiment=hydra_vit held_out={UNSEEN} seed=1,2 arm=hydra/single`" in text
    assert rows(planes, 5).loc[("ResNet18", "Mixture"), "n"] == f"1 x {3 * IMAGES} (1 of 2 runs missing)"
    assert "'ResNet18': not run (seed 2): not started.\n" in text


def test_a_command_keeps_what_the_sweep_set_but_not_what_another_experiment_lacks(planes: Path) -> None:
    typed = ["+experiment=hydra_vit", "scale=laptop", "stages.specialise.max_epochs=3", "network.shared=true", "seed=1"]
    (planes / "multirun.yaml").write_text(json.dumps({"hydra": {"overrides": {"task": typed}}}))
    text = texts(planes)
    kept = f"held_out={UNSEEN} seed=1,2 arm"
    assert f"+experiment=hydra_baselines scale=laptop {kept}=hydra_baselines/resnet50`" in text
    own = "+experiment=hydra_vit scale=laptop stages.specialise.max_epochs=3 network.shared=true"
    assert f"{own} {kept}=hydra/single`" in text


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_command_makes_the_row_it_stands_for(name: str, tmp_path: Path) -> None:
    """What it composes has the experiment's name and the variant by which the row is found."""
    register_resolvers()
    write_run(tmp_path / name, 1, "weight_3", planes_of(1, 0.5) if name == "hydra_vit" else hearts_of(1, 0.5))
    commands = [line.strip(" `") for line in texts(tmp_path / name).split("\n") if line.startswith("  `")]
    assert len(commands) == len(SYSTEMS[name].methods)
    with initialize_config_dir(str(CONF), version_base="1.3"):
        for command, variant in zip(commands, SYSTEMS[name].methods, strict=True):
            made = compose("config", command.split()[3:])
            assert (made.name, made.variant) == (name, variant)
            assert list(made.stages)[-1] == ("route" if variant in ("weight_10", "single") else "train")


def test_the_captions_say_how_our_images_differ(planes: Path, hearts: Path) -> None:
    text = texts(planes)
    assert "validation images, which also selected the checkpoint" in text
    assert "20 % of the same sites" in text
    assert "in print it is ambiguous" in text
    assert "low = African, medium = European, high = Macao" in text
    assert "low = Camus, high = EchoNet" in texts(hearts)


def test_other_experiments_have_no_such_table_and_the_same_runs_give_the_same_bytes(
    planes: Path, tmp_path: Path
) -> None:
    other = tmp_path / "head_hc18"
    write_run(other, 1, "unet", hearts_of(1, 0.5))
    assert registry.section(collect(other), other / "report") == []
    assert texts(planes) in markdown.render(registry.section(collect(planes), planes / "report"))
    assert texts(planes) == texts(planes)
