"""USHydraNet on look-alikes of the data that its paper mixes: test images of seen sites beside an unseen site."""

from collections.abc import Collection
from pathlib import Path

import pandas as pd
import pytest
import torch

from ushydra_lab.config.validation import check
from ushydra_lab.errors import UserError
from ushydra_lab.report.build import report
from ushydra_lab.runs.run import Run
from ushydra_lab.training.assembly import rehearse

from . import mixtures
from .small_systems import composed, train

TINY = [
    "scale=laptop", "canvas=[32,32]", "batch_size=16", "logger.mode=disabled", "panel_images=1",
    "stages.specialise.max_epochs=1", "stages.route.max_epochs=1",
]  # fmt: skip
KINDS = {
    "hydra_vit": ["data=planes_by_quality", "network.hidden_size=16", "network.layers=2", "network.heads=2"],
    "hydra_unet": ["data=hearts_by_quality", "network.widths=[2,4,8]"],
}
SOURCES = {
    "hydra_vit": {"africa.root": "africa", "europe.root": "spain", "macao.path": "macao/manifest.csv"},
    "hydra_unet": {"camus.root": "camus", "echonet.root": "echonet", "cardiac_uda.root": "uda"},
}
SEEN = {"hydra_vit": ["Africa", "Europe", "Macao"], "hydra_unet": ["CAMUS", "EchoNet"]}
UNSEEN = {"hydra_vit": [], "hydra_unet": ["CardiacUDA"]}
kinds = pytest.mark.parametrize("kind", KINDS)


def write(root: Path) -> Path:
    mixtures.african(root / "africa", 1)
    mixtures.spanish(root / "spain", 4)
    mixtures.own_manifest(root / "macao", 4)
    return write_hearts(root)


def write_hearts(root: Path, others: Collection[str] = ()) -> Path:
    mixtures.camus(root / "camus", 4, others)
    mixtures.echonet(root / "echonet", 4, others)
    mixtures.cardiac_uda(root / "uda", 3, others)
    return root


def run(kind: str, data: Path, runs: Path, *overrides: str) -> Path:
    places = [f"data.sources.{key}='{data / place}'" for key, place in SOURCES[kind].items()]
    return train([f"+experiment={kind}", *TINY, *KINDS[kind], *places, f"run_root='{runs}'", *overrides])


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("mixtures")
    write(root / "data")
    return {kind: run(kind, root / "data", root / "runs") for kind in KINDS}


@kinds
def test_seen_sites_have_test_images_of_their_own_beside_the_unseen_site(kind: str, finished: dict[str, Path]) -> None:
    images, split = pd.read_csv(finished[kind] / "per_image.csv"), pd.read_csv(finished[kind] / "split.csv")
    parts = split.groupby("site")["part"].unique().map(sorted).to_dict()
    of_seen = {site: ["seen_test", "train", "val"] for site in SEEN[kind]}
    assert parts == of_seen | {site: ["test"] for site in UNSEEN[kind]}
    assert (split.groupby(["site", "subject"])["part"].nunique() == 1).all()
    assert sorted(images.query("part == 'seen_test'")["site"].unique()) == SEEN[kind]
    domains = images.query("part == 'seen_test'").groupby("site")["domain"].unique()
    assert domains.map(len).eq(1).all()
    assert domains.explode().nunique() == len(SEEN[kind])


def poison(kind: str, data: Path, split: pd.DataFrame, own: Path) -> None:
    """Other noise in place of all images that are reported."""
    reported = split[split["part"].isin(["seen_test", "test"])]
    if kind == "hydra_unet":
        write_hearts(data, [subject.split("/")[-1] for subject in reported["subject"]])
        return
    for number, name in enumerate(reported["image"]):
        mixtures.save(data / Path(name).relative_to(own), mixtures.noise(8, number))


@kinds
def test_noise_in_place_of_what_is_reported_changes_nothing_that_was_fitted_or_selected(
    kind: str, finished: dict[str, Path], tmp_path: Path
) -> None:
    data = write(tmp_path / "data")
    poison(kind, data, pd.read_csv(finished[kind] / "split.csv"), (finished[kind].parents[4] / "data").resolve())
    other = run(kind, data, tmp_path / "runs")
    for stage in ("specialise", "route"):
        both = (torch.load(one / f"checkpoints/{stage}.ckpt", weights_only=True) for one in (finished[kind], other))
        clean, dirty = (content["state_dict"] for content in both)
        torch.testing.assert_close(dirty, clean, rtol=0, atol=0, equal_nan=True)
    tables = [pd.read_csv(one / "per_image.csv") for one in (finished[kind], other)]
    pd.testing.assert_frame_equal(*(table[table["part"] == "val"] for table in tables))
    assert Run(other).summary.stages["route"].key == Run(finished[kind]).summary.stages["route"].key
    reported = [table[table["part"] != "val"] for table in tables]
    for part in reported[0]["part"].unique():
        clean, dirty = (table[table["part"] == part] for table in reported)
        assert not clean.equals(dirty), part


@kinds
def test_the_papers_tables_have_test_images_of_the_seen_sites_and_say_so(kind: str, finished: dict[str, Path]) -> None:
    folder = finished[kind].parents[2]
    report(folder)
    text = (folder / "report" / "tables.md").read_text()
    assert "test images of the seen sites" in text
    assert "test images, by which nothing was selected, as in the paper" in text
    held_out = finished[kind].parents[1].name
    number = {"hydra_vit": "table3", "hydra_unet": "table6"}[kind]
    rows = pd.read_csv(folder / "report" / f"ushydranet_{number}_{held_out}.csv", dtype=str)
    routed = rows[rows["Method"].str.startswith("USHydra")]
    assert routed["Images"].tolist() == [*SEEN[kind], "Mixture", *(f"{site} (unseen)" for site in UNSEEN[kind])]
    printed = {"hydra_vit": ["African", "European", "Macao"], "hydra_unet": ["Camus", "EchoNet"]}[kind]
    assert routed["Paper's"].tolist()[: len(printed)] == printed
    counts = pd.read_csv(finished[kind] / "split.csv").query("part == 'seen_test'")["site"].value_counts()
    assert routed["n"].iloc[0] == f"1 x {counts[SEEN[kind][0]]}"


QUALITIES = ("Good", "Medium", "Poor")
CAMUS = ["+experiment=hydra_unet", *TINY, "network.widths=[2,4,8]", "arm=hydra/weight_10", "data=camus"]
DOMAINS = "stages.specialise.task.domains"


def of_camus(root: Path) -> list[str]:
    data = mixtures.camus(root / "camus", 9)
    return [*CAMUS, "data.views=[4CH]", f"data.root='{data}'", f"run_root='{root / 'runs'}'"]


def test_published_camus_qualities_name_the_setting_before_launch_and_finish_with_it(tmp_path: Path) -> None:
    words = of_camus(tmp_path)
    for number, folder in enumerate(sorted((tmp_path / "camus" / "database_nifti").iterdir())):
        (folder / "Info_4CH.cfg").write_text(f"ED: 1\nImageQuality: {QUALITIES[number % 3]}\n")
    with pytest.raises(UserError, match=rf"they have: medium \d+\. set {DOMAINS}=\[low,medium,high\]"):
        rehearse(check(composed(words)))
    table = pd.read_csv(train([*words, f"{DOMAINS}=[low,medium,high]"]) / "per_image.csv")
    assert table["domain"].ge(0).all()
    assert table["domain"].nunique() > 1


def test_camus_without_qualities_names_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"they have: none 14. Info_2CH.cfg and Info_4CH.cfg, which say ImageQuality"):
        rehearse(check(composed(of_camus(tmp_path))))


@pytest.mark.real
def test_real_camus_beside_phantom_hearts_finishes_with_the_papers_tables(real_data: Path, tmp_path: Path) -> None:
    words = ["data=hearts_real_and_phantom", f"data.sources.camus.root='{real_data / 'camus'}'"]
    words += ["data.sources.phantom.images_per_site=10", f"cache_dir='{tmp_path / 'cache'}'"]
    words += [f"run_root='{tmp_path / 'runs'}'", "network.widths=[2,4,8]", "arm=hydra/weight_10"]
    done = train(["+experiment=hydra_unet", *TINY, *words])
    table = pd.read_csv(done / "per_image.csv")
    own = table[table["part"] == "seen_test"].groupby("site")["domain"].unique().map(list).to_dict()
    assert own == {"CAMUS": [0], "echo_high": [1]}
    assert table.query("part == 'test'")["site"].unique() == ["echo_unseen"]
    report(done.parents[2])
    rows = pd.read_csv(done.parents[2] / "report" / "ushydranet_table4_echo_unseen.csv", dtype=str)
    printed = dict(zip(rows["Images"], rows["Paper's"], strict=True))
    assert printed["CAMUS"] == "Camus"
